// SPDX-License-Identifier: MPL-2.0

// Package auth stands for a part of Alibaba's client.
package auth

// Credential is a credential.
type Credential any
