// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

const tokenPath = "token/"

// heldTTL is how soon a reader should come back for whom a refresh failed.
const heldTTL = time.Minute

func (b *backend) pathToken() []*framework.Path {
	return []*framework.Path{
		b.tokenPath(tokenPath+framework.GenericNameWithAtRegex("account"), "token", map[string]*framework.FieldSchema{
			"account": accountField(),
		}),
		b.tokenPath(tokenPath+framework.GenericNameWithAtRegex("account")+"/"+framework.GenericNameWithAtRegex("role"), "role-token", map[string]*framework.FieldSchema{
			"account": accountField(),
			"role":    roleField(),
		}),
	}
}

// tokenPath is one of the two: the account's default token, or a role's.
func (b *backend) tokenPath(pattern, suffix string, fields map[string]*framework.FieldSchema) *framework.Path {
	fields["min_ttl"] = &framework.FieldSchema{Type: framework.TypeDurationSecond, Query: true, Description: "Ask for a token that lives at least this long, beyond refresh_margin; capped at half of the token's lifetime."}
	return &framework.Path{
		Pattern:      pattern,
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		Fields:       fields,
		Operations: map[logical.Operation]framework.OperationHandler{
			// Not forwarded: a fresh token is served by any node. A read that
			// needs a refresh finds out by itself where it may not write.
			logical.ReadOperation: &framework.PathOperation{
				Callback:     b.handleTokenRead,
				Summary:      "Read a fresh access token.",
				DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "read", OperationSuffix: suffix},
				Responses:    tokenResponses(),
			},
			logical.UpdateOperation: &framework.PathOperation{
				Callback:     b.handleTokenRead,
				Summary:      "Read a fresh access token, for clients that can only PUT.",
				DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "generate", OperationSuffix: suffix},
				Responses:    tokenResponses(),
			},
		},
		HelpSynopsis:    "Read a fresh access token of an account.",
		HelpDescription: tokenHelp,
	}
}

// roleOf is the role that a request names, "" for the default token.
func roleOf(d *framework.FieldData) string {
	if _, has := d.Schema["role"]; !has {
		return ""
	}
	return d.Get("role").(string)
}

// tokenResponses is the contract with Vault Agent, consul-template, the Vault
// Secrets Operator and others: every field but ttl is constant for one token.
func tokenResponses() map[int][]framework.Response {
	return map[int][]framework.Response{http.StatusOK: {{
		Description: http.StatusText(http.StatusOK),
		Fields: map[string]*framework.FieldSchema{
			"access_token":        {Type: framework.TypeString, Required: true, Description: "Access token."},
			"token_type":          {Type: framework.TypeString, Required: true, Description: "Bearer."},
			"expire_time":         {Type: framework.TypeString, Required: true, Description: "When the token expires, RFC 3339 UTC."},
			"last_vault_rotation": {Type: framework.TypeString, Required: true, Description: "When the token was obtained, RFC 3339 UTC."},
			"rotation_period":     {Type: framework.TypeInt64, Required: true, Description: "Planned lifetime of the token in Vault, in seconds."},
			"ttl":                 {Type: framework.TypeInt64, Required: true, Description: "After this many seconds a read certainly serves a different token."},
			"scope":               {Type: framework.TypeString, Required: true, Description: "Scopes granted, separated by spaces."},
			"tenant_id":           {Type: framework.TypeString, Required: true, Description: "Tenant ID of the user."},
			"client_id":           {Type: framework.TypeString, Required: true, Description: "Client the token was issued to."},
			"username":            {Type: framework.TypeString, Required: true, Description: "Username of the user."},
			"object_id":           {Type: framework.TypeString, Required: true, Description: "Object ID of the user."},
		},
	}}}
}

func (b *backend) handleTokenRead(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	minTTL := time.Duration(0)
	if v, ok := d.GetOk("min_ttl"); ok {
		minTTL = time.Duration(v.(int)) * time.Second
	}
	reg, e, want, err := b.tokenWish(ctx, req.Storage, d)
	if err != nil {
		return nil, err
	}
	want.minTTL = minTTL
	now := time.Now()
	held := e.held(want.role, want.scopes)
	if !want.satisfiedBy(held, reg, now) {
		return b.readThroughRefresh(ctx, req.Storage, reg, want, e)
	}
	b.worker.tokenRead(want, held, reg, now)
	resp := tokenResponse(reg, e, held, want, now)
	if r := e.refusalFor(want.role, now); r != nil {
		resp.AddWarning("this is the last token: " + b.explain(r.refreshFault(want, e)))
	}
	return resp, nil
}

// tokenWish finds the account that a request wants a token of.
func (b *backend) tokenWish(ctx context.Context, s logical.Storage, d *framework.FieldData) (*registration, *accountEntry, wish, error) {
	reg, err := b.registration(ctx, s)
	if err != nil {
		return nil, nil, wish{}, err
	}
	account := d.Get("account").(string)
	e, err := b.accounts.get(ctx, s, account)
	switch {
	case err != nil:
		return nil, nil, wish{}, err
	case e == nil:
		return nil, nil, wish{}, unknownAccount(account)
	case e.Disabled:
		return nil, nil, wish{}, errDisabled(account)
	}
	want, err := b.wishFor(ctx, s, reg, e, account, roleOf(d))
	return reg, e, want, err
}

// readThroughRefresh answers a read whose token needs a refresh: with the new
// token, else with the held one while it is valid and a warning, else with why.
func (b *backend) readThroughRefresh(ctx context.Context, s logical.Storage, reg *registration, want wish, held *accountEntry) (*logical.Response, error) {
	e, err := b.refresh(ctx, s, reg, want)
	now := time.Now()
	if err == nil {
		if t := e.held(want.role, want.scopes); t != nil && t.usable(now) {
			b.worker.tokenRead(want, t, reg, now)
			return tokenResponse(reg, e, t, want, now), nil
		}
		err = shortLived(want.account)
	}
	var f *fault
	isFault := errors.As(err, &f)
	if errors.Is(err, logical.ErrReadOnly) || isFault && (f.notFound || f.word == accountDisabled || f.word == notConfigured) {
		return nil, err
	}
	t := held.held(want.role, want.scopes)
	if t == nil || !t.usable(now) || t.ObtainedAt.After(now.Add(clockSkew)) {
		return nil, err
	}
	if !isFault {
		b.Logger().Error("a held token is served, its refresh failed", "account", want.account, "error", err)
		f = &fault{text: "Vault could not refresh it"}
	}
	resp := tokenResponse(reg, held, t, want, now)
	resp.Data["ttl"] = heldFor(t, now)
	resp.AddWarning("the token could not be refreshed and is served until it expires: " + b.explain(f))
	return resp, nil
}

// heldFor is the ttl of a token whose refresh failed: a minute, or what it has
// left, and at least 3 s, because a ttl of 2 or less is an error to the Vault
// Secrets Operator. What is served has that much.
func heldFor(t *heldToken, now time.Time) int64 {
	return max(3, seconds(min(heldTTL, t.Expiry.Sub(now))))
}

func shortLived(account string) *fault {
	return &fault{
		word: entraUnavailable,
		text: fmt.Sprintf("Entra gave account %q an access token with less than %s to live", account, minServedLife),
	}
}

func tokenResponse(reg *registration, e *accountEntry, t *heldToken, want wish, now time.Time) *logical.Response {
	resp := &logical.Response{Data: map[string]any{
		"access_token":        t.AccessToken.Reveal(),
		"token_type":          t.TokenType,
		"expire_time":         formatTime(t.Expiry),
		"last_vault_rotation": formatTime(t.ObtainedAt),
		"rotation_period":     max(1, seconds(t.life()-t.margin(reg.RefreshMargin))),
		"ttl":                 max(1, secondsUp(t.renewAt(reg.RefreshMargin, want.minTTL).Sub(now))),
		"scope":               t.Scope,
		"tenant_id":           e.tenantID(),
		"client_id":           e.ClientID,
		"username":            e.User.Username,
		"object_id":           e.objectID(),
	}}
	if half := t.life() / 2; want.minTTL > half {
		resp.AddWarning(fmt.Sprintf("min_ttl is capped at half of the token's lifetime, %s", half.Truncate(time.Second)))
	}
	return resp
}

const tokenHelp = `
Returns an access token that is fresh enough to use: it lives at least
refresh_margin longer. A token that is due is refreshed before it is served, by
one call to Entra however many readers there are.

ttl is the number of seconds after which a read certainly serves a different
token. There is no lease. Where a refresh fails and the held token is still
valid, that token is served with a warning.

Errors begin with a word to match on: login_required, access_denied,
account_disabled, invalid_request, not_configured (400), client_rejected,
entra_unavailable (502).
`
