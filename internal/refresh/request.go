// SPDX-License-Identifier: MPL-2.0

// Package refresh gets accounts new access tokens: one call to Entra however many
// ask, a memory of what failed, and a worker that refreshes when nobody asks.
package refresh

import (
	"context"
	"fmt"
	"strings"
	"time"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/config"
)

// TokenRequest is the token that somebody asks for.
type TokenRequest struct {
	Account string
	Role    string        // "" is the default token
	Scopes  []string      // what the token is for: the config's, the account's or the role's
	Lease   bool          // the answer to a read carries one; no refresh depends on it
	MinTTL  time.Duration // beyond the refresh margin

	// Force ignores the cached token, and asks with Claims: what a resource
	// challenged its caller with.
	Force  bool
	Claims string

	// background comes from the worker: no reader waits. Tokens obtained before
	// newer are replaced, even if they are fresh.
	background bool
	newer      time.Time
	lastRead   time.Time // of the token, as far as it is known
}

// Request is the request for an account's token as it is configured now.
func (r *Refresher) Request(ctx context.Context, reg *config.Registration, e *account.Entry, name, role string) (TokenRequest, error) {
	req := TokenRequest{Account: name, Role: role}
	if role == "" {
		req.Scopes = e.EffectiveScopes(reg.Entry)
		return req, nil
	}
	named, err := r.config.Roles.Named(ctx, role)
	if err != nil {
		return req, err
	}
	req.Scopes, req.Lease = named.Scopes, named.Lease
	return req, nil
}

// flightKey names a request among those that one refresh answers alike. MinTTL does
// not count: every new token satisfies it, capped as it is. Nor does Lease. A forced refresh is for
// those alone who ask for just that.
func (q TokenRequest) flightKey(generation uint64) string {
	return fmt.Sprintf("%s\x00%s\x00%s\x00%d\x00%t\x00%s",
		q.Account, q.Role, strings.Join(q.Scopes, " "), generation, q.Force, q.Claims)
}

// backoffKey is what the request's failures are remembered by.
func (q TokenRequest) backoffKey() backoffKey { return backoffKey{q.Account, q.Role, q.Claims} }

// SatisfiedBy reports whether the token, which may be nil, is what is asked for.
func (q TokenRequest) SatisfiedBy(t *account.CachedToken, reg *config.Registration, now time.Time) bool {
	return t != nil && !q.Force && t.ObtainedAt.After(q.newer) && t.Fresh(now, reg.RefreshMargin, q.MinTTL)
}
