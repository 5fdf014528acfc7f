// SPDX-License-Identifier: MPL-2.0

// Package login signs a person at a terminal in to an account of the entra secrets engine: by their
// browser, by pasting, or by a device code.
package login

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

// Options are how to sign in.
type Options struct {
	Account     string
	Mount       string // without slashes around it
	Roles       string // separated by commas; "" = those that the account has
	RedirectURI string // a loopback URI; without a port a free one is taken
	Device      bool   // by a device code
	Paste       bool   // by what the person pastes
	NoBrowser   bool   // print the address only
}

// DefaultRedirectURI is the loopback redirect URI that docs/setup.md registers.
const DefaultRedirectURI = "http://localhost/callback"

// Result is who signed in.
type Result struct {
	Account  string   `json:"account"`
	Username string   `json:"username"`
	Name     string   `json:"name,omitempty"`
	ObjectID string   `json:"object_id,omitempty"`
	TenantID string   `json:"tenant_id,omitempty"`
	Scopes   []string `json:"scopes,omitempty"`
	Roles    []string `json:"roles,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

// Interrupted is the error of a sign-in whose context ended.
type Interrupted struct {
	HandedOver bool // Vault may finish the sign-in all the same
}

// Error says that the sign-in was interrupted.
func (Interrupted) Error() string { return "interrupted" }

// Run signs in, by the way that the options ask for. What the person has to read goes to messages;
// what they paste comes from in. The error is an *vaultclient.Error where Vault or Entra refused.
func Run(ctx context.Context, vault *vaultclient.Client, opts Options, in io.Reader,
	messages io.Writer) (*Result, error) {
	s := &signIn{Options: opts, vault: vault, in: in, messages: messages}
	result, err := s.run(ctx)
	if ctx.Err() != nil {
		return nil, Interrupted{s.handedOver.Load()}
	}
	return result, err
}

// signIn is one sign-in under way.
type signIn struct {
	Options
	vault    *vaultclient.Client
	in       io.Reader
	messages io.Writer

	handedOver atomic.Bool // Vault has what it needs to finish the sign-in by itself
}

func (s *signIn) run(ctx context.Context) (*Result, error) {
	switch {
	case s.Device && s.Paste:
		return nil, errors.New("-device and -print do not go together")
	case s.Device:
		return s.byDevice(ctx)
	case s.Paste:
		return s.byPaste(ctx)
	}
	return s.byBrowser(ctx)
}

// untilExpiry bounds a wait by what Vault says of the login.
func untilExpiry(ctx context.Context, expireTime string) (context.Context, context.CancelFunc) {
	expiry, err := time.Parse(time.RFC3339, expireTime)
	if err != nil {
		expiry = time.Now().Add(10 * time.Minute)
	}
	return context.WithDeadline(ctx, expiry)
}
