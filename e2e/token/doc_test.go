// SPDX-License-Identifier: MPL-2.0

// Package token shows what reads of tokens give: fresh ones, refreshed ones, roles and claims, and
// what readers are told while Entra, the network or the storage fails.
package token

// object is a JSON object.
type object = map[string]any
