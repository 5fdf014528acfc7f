// SPDX-License-Identifier: MPL-2.0

// Package gcputil stands for the search for Google's credentials.
package gcputil

import (
	"context"
	"errors"

	"golang.org/x/oauth2"
)

// GcpCredentials are credentials.
type GcpCredentials struct{ ClientEmail string }

// FindCredentials is refused.
func FindCredentials(
	string, context.Context, ...string,
) (*GcpCredentials, oauth2.TokenSource, error) {
	return nil, nil, errors.New("sign-in by gcp is left out of the small Vault")
}
