// SPDX-License-Identifier: MPL-2.0

// Package policy stands for a part of Azure's client.
package policy

// TokenRequestOptions ask for a token.
type TokenRequestOptions struct{ Scopes []string }

// AccessToken is a token.
type AccessToken struct{ Token string }
