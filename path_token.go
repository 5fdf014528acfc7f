// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/config"
	"vault-plugin-secrets-entra/internal/problem"
	"vault-plugin-secrets-entra/internal/refresh"
)

const tokenPath = "token/"

// retryTTL is how soon a reader should come back for whom a refresh failed.
const retryTTL = time.Minute

// minTTL is the least ttl of an answer, in seconds: the Vault Secrets Operator takes one of
// 2 or less with an unchanged last_vault_rotation for an error.
const minTTL = 3

func (b *backend) pathToken() []*framework.Path {
	return tokenPaths(tokenPath, func(pattern, suffix string, fields map[string]*framework.FieldSchema) *framework.Path {
		fields["min_ttl"] = field(framework.TypeDurationSecond, "Ask for a token that lives at least "+
			"this long, beyond refresh_margin; capped at half of the token's lifetime.")
		fields["min_ttl"].Query = true
		return path(pattern, fields, map[logical.Operation]framework.OperationHandler{
			// Not forwarded: a fresh token is served by any node. A read that needs a
			// refresh finds out by itself where it may not write.
			logical.ReadOperation: operation(b.handleTokenRead, "read", suffix,
				"Read a fresh access token.", tokenResponses()),
			logical.UpdateOperation: operation(b.handleTokenRead, "generate", suffix,
				"Read a fresh access token, for clients that can only PUT.", tokenResponses()),
		}, "Read a fresh access token of an account.", tokenHelp)
	})
}

// tokenPaths makes both paths of a kind: for the account's default token, and for a
// role's.
func tokenPaths(prefix string, make func(pattern, suffix string, fields map[string]*framework.FieldSchema) *framework.Path) []*framework.Path {
	name, role := framework.GenericNameWithAtRegex("account"), framework.GenericNameWithAtRegex("role")
	return []*framework.Path{
		make(prefix+name, "token", map[string]*framework.FieldSchema{
			"account": accountField(),
		}),
		make(prefix+name+"/"+role, "role-token", map[string]*framework.FieldSchema{
			"account": accountField(),
			"role":    roleField(),
		}),
	}
}

// roleOf is the role that a request names, "" for the default token.
func roleOf(d *framework.FieldData) string {
	if _, has := d.Schema["role"]; !has {
		return ""
	}
	return d.Get("role").(string)
}

// tokenResponses is the contract with Vault Agent, consul-template, the Vault Secrets
// Operator and others: every field but ttl is constant for one token.
func tokenResponses() map[int][]framework.Response {
	return answers(map[string]*framework.FieldSchema{
		"access_token": answer(framework.TypeString, "Access token."),
		"token_type":   answer(framework.TypeString, "Bearer."),
		"expire_time":  answer(framework.TypeString, "When the token expires, RFC 3339 UTC."),
		"last_vault_rotation": answer(framework.TypeString,
			"When the token was obtained, RFC 3339 UTC."),
		"rotation_period": answer(framework.TypeInt64,
			"Planned lifetime of the token in Vault, in seconds."),
		"ttl": answer(framework.TypeInt64,
			"After this many seconds a read certainly serves a different token."),
		"scope":     answer(framework.TypeString, "Scopes granted, separated by spaces."),
		"tenant_id": answer(framework.TypeString, "Tenant ID of the user."),
		"client_id": answer(framework.TypeString, "Client the token was issued to."),
		"username":  answer(framework.TypeString, "Username of the user."),
		"object_id": answer(framework.TypeString, "Object ID of the user."),
	})
}

func (b *backend) handleTokenRead(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	reg, e, ask, err := b.tokenRequest(ctx, d)
	if err != nil {
		return nil, err
	}
	if v, ok := d.GetOk("min_ttl"); ok {
		ask.MinTTL = time.Duration(v.(int)) * time.Second
	}
	if ask.Lease && b.node.IsStandby() {
		return nil, logical.ErrReadOnly // the active node registers leases
	}
	now := time.Now()
	cached := e.Token(ask.Role, ask.Scopes)
	if !ask.SatisfiedBy(cached, reg, now) {
		return b.readThroughRefresh(ctx, reg, ask, e)
	}
	b.worker.TokenRead(ask, cached, reg, now)
	resp := tokenResponse(reg, e, cached, ask, now)
	if r := e.ErrorFor(ask.Role, ask.Scopes, now); r != nil {
		why := r.Problem(ask.Account, ask.Role, e).Explain(b.mount())
		resp.AddWarning("this is the last token: " + why)
	}
	return resp, nil
}

// tokenRequest finds the account that a request wants a token of.
func (b *backend) tokenRequest(ctx context.Context, d *framework.FieldData) (*config.Registration, *account.Entry, refresh.TokenRequest, error) {
	none := refresh.TokenRequest{}
	reg, err := b.config.Registration(ctx)
	if err != nil {
		return nil, nil, none, err
	}
	name := d.Get("account").(string)
	e, err := b.servable(ctx, name)
	if err != nil {
		return nil, nil, none, err
	}
	ask, err := b.refreshes.Request(ctx, reg, e, name, roleOf(d))
	return reg, e, ask, err
}

// servable is the account that tokens are served of, or why there is none.
func (b *backend) servable(ctx context.Context, name string) (*account.Entry, error) {
	e, err := b.accounts.Get(ctx, name)
	switch {
	case err != nil:
		return nil, err
	case e == nil:
		return nil, problem.NoAccount(name)
	case e.Disabled:
		return nil, problem.Disabled(name)
	}
	return e, nil
}

// readThroughRefresh answers a read whose token needs a refresh: with the new token,
// else with the cached one while it is valid and a warning, else with why.
func (b *backend) readThroughRefresh(ctx context.Context, reg *config.Registration, ask refresh.TokenRequest, before *account.Entry) (*logical.Response, error) {
	e, err := b.refreshes.Refresh(ctx, reg, ask)
	now := time.Now()
	if err == nil {
		if t := e.Token(ask.Role, ask.Scopes); t != nil && t.Usable(now) {
			b.worker.TokenRead(ask, t, reg, now)
			return tokenResponse(reg, e, t, ask, now), nil
		}
		err = refresh.ShortLived(ask.Account)
	}
	p := problem.Of(err)
	if errors.Is(err, logical.ErrReadOnly) || p != nil && p.Code == problem.NotConfigured {
		return nil, err
	}
	// The account as it is now: it may be disabled, gone, or somebody else's.
	after, gone := b.servable(ctx, ask.Account)
	if gone != nil {
		return nil, gone
	}
	now = time.Now() // storage may have taken its time
	t := after.Token(ask.Role, ask.Scopes)
	if ask.SatisfiedBy(t, reg, now) {
		b.worker.TokenRead(ask, t, reg, now)
		return tokenResponse(reg, after, t, ask, now), nil
	}
	if after.Generation != before.Generation || !isServable(t, now) {
		return nil, err
	}
	if p == nil {
		b.Logger().Error("a cached token is served, its refresh failed",
			"account", ask.Account, "error", err)
		p = &problem.Error{Text: "Vault could not refresh it"}
	}
	resp := tokenResponse(reg, after, t, ask, now)
	resp.Data["ttl"] = retryAfterFailure(t, now)
	resp.AddWarning("the token could not be refreshed and is served until it expires: " +
		p.Explain(b.mount()))
	return resp, nil
}

// leaseType is how Vault knows the leases of this engine again. It is stored with each.
const leaseType = "access_token"

// leasedToken lets Vault revoke leases. There is nothing to be done: the token is the
// account's, many readers have the same, and Entra revokes no single access token. Without
// Renew a lease cannot be renewed.
func leasedToken() *framework.Secret {
	return &framework.Secret{
		Type: leaseType,
		Revoke: func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
			return nil, nil
		},
	}
}

// leaseOf is a lease that ends with the token. Vault caps it at the mount's max_lease_ttl.
func leaseOf(t *account.CachedToken, now time.Time) *logical.Secret {
	lease := leasedToken().Response(nil, nil).Secret
	lease.TTL = t.Expiry.Sub(now).Truncate(time.Second)
	return lease
}

// isServable reports whether the token, which may be nil, is served where it cannot be
// refreshed.
func isServable(t *account.CachedToken, now time.Time) bool {
	return t != nil && t.Usable(now) && !t.FromTheFuture(now)
}

// retryAfterFailure is the ttl of a token whose refresh failed: a minute, or what it has
// left, and at least minTTL. What is served has that much.
func retryAfterFailure(t *account.CachedToken, now time.Time) int64 {
	return max(minTTL, seconds(min(retryTTL, t.Expiry.Sub(now))))
}

func tokenResponse(reg *config.Registration, e *account.Entry, t *account.CachedToken, ask refresh.TokenRequest, now time.Time) *logical.Response {
	servedFor := t.ServedUntil(reg.RefreshMargin, ask.MinTTL).Sub(now)
	resp := &logical.Response{Data: map[string]any{
		"access_token":        t.AccessToken.Reveal(),
		"token_type":          t.TokenType,
		"expire_time":         formatTime(t.Expiry),
		"last_vault_rotation": formatTime(t.ObtainedAt),
		"rotation_period":     max(1, seconds(t.Life()-t.Margin(reg.RefreshMargin))),
		"ttl":                 max(minTTL, secondsUp(servedFor)),
		"scope":               t.Scope,
		"tenant_id":           e.TenantID(),
		"client_id":           e.ClientID,
		"username":            e.User.Username,
		"object_id":           e.ObjectID(),
	}}
	if ask.Lease {
		resp.Secret = leaseOf(t, now)
	}
	if half := t.Life() / 2; ask.MinTTL > half {
		resp.AddWarning(fmt.Sprintf("min_ttl is capped at half of the token's lifetime, %s",
			half.Truncate(time.Second)))
	}
	return resp
}

const tokenHelp = `
Returns an access token that is fresh enough to use: it lives at least
refresh_margin longer. A token that is due is refreshed before it is served, by
one call to Entra however many readers there are.

ttl is the number of seconds after which a read certainly serves a different
token. There is no lease, unless the role has lease=true. Where a refresh fails and the held token is still
valid, that token is served with a warning.

Errors begin with a word to match on: login_required, access_denied,
account_disabled, invalid_request, not_configured (400), client_rejected,
entra_unavailable (502).
`
