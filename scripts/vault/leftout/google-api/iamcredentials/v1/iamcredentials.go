// SPDX-License-Identifier: MPL-2.0

// Package iamcredentials stands for Google's client: the Agent of the small Vault
// does not sign in by gcp.
package iamcredentials

import (
	"errors"
	"net/http"
)

var errLeftOut = errors.New("sign-in by gcp is left out of the small Vault")

// CloudPlatformScope is what sign-in asks for.
const CloudPlatformScope = "https://www.googleapis.com/auth/cloud-platform"

type (
	// Service calls Google.
	Service struct{ Projects Projects }
	// Projects is a part of Service.
	Projects struct{ ServiceAccounts ServiceAccounts }
	// ServiceAccounts signs tokens.
	ServiceAccounts struct{}
	// SignJwtRequest asks for a token.
	SignJwtRequest struct{ Payload string }
	// SignJwtResponse is a token.
	SignJwtResponse struct{ SignedJwt string }
	// Call is a call.
	Call struct{}
)

// New is refused.
func New(*http.Client) (*Service, error) { return nil, errLeftOut }

// SignJwt is refused.
func (ServiceAccounts) SignJwt(string, *SignJwtRequest) Call { return Call{} }

// Do is refused.
func (Call) Do() (*SignJwtResponse, error) { return nil, errLeftOut }
