// SPDX-License-Identifier: MPL-2.0

// Package credentials stands for a part of Amazon's client: the Agent of the small Vault does
// not sign in by aws.
package credentials

import "errors"

// Credentials are credentials.
type Credentials struct{}

// Value is a credential.
type Value struct{}

// Get is refused.
func (*Credentials) Get() (Value, error) {
	return Value{}, errors.New("sign-in by aws is left out of the small Vault")
}

// IsExpired is always so.
func (*Credentials) IsExpired() bool { return true }
