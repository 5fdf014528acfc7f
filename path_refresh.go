// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/problem"
	"vault-plugin-secrets-entra/internal/refresh"
	"vault-plugin-secrets-entra/internal/signin"
)

const refreshPath = "refresh/"

func (b *backend) pathRefresh() []*framework.Path {
	return tokenPaths(refreshPath, func(pattern, suffix string, fields map[string]*framework.FieldSchema) *framework.Path {
		fields["claims"] = field(framework.TypeString, "Claims challenge to answer: JSON, or base64 "+
			"as a WWW-Authenticate header holds it.")
		return path(pattern, fields, map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: forwarded(operation(b.handleRefresh, "refresh", suffix,
				"Force a new access token, whatever is held; answer a claims challenge.",
				tokenResponses())),
		}, "Force a new access token of an account.", refreshHelp)
	})
}

func (b *backend) handleRefresh(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	claims, err := claimsChallenge(d.Get("claims").(string))
	if err != nil {
		return nil, err
	}
	reg, _, ask, err := b.tokenRequest(ctx, d)
	if err != nil {
		return nil, err
	}
	ask.Force, ask.Claims, ask.Lease = true, claims, false // leases are for reads
	e, err := b.refreshes.Refresh(ctx, reg, ask)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	t := e.Token(ask.Role, ask.Scopes)
	if t == nil || !t.Usable(now) {
		return nil, refresh.ShortLived(ask.Account)
	}
	b.worker.TokenRead(ask, t, reg, now)
	return tokenResponse(reg, e, t, ask, now), nil
}

// claimsChallenge reads a challenge as a program has it: JSON, or the base64 of a
// WWW-Authenticate header, padded or not, URL-safe or not ("Claims challenges, claims
// requests, and client capabilities").
func claimsChallenge(claims string) (string, error) {
	claims = strings.TrimSpace(claims)
	if claims != "" && !strings.HasPrefix(claims, "{") {
		plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(claims, "="))
		decoded, err := base64.RawStdEncoding.DecodeString(plain)
		if err != nil {
			return "", problem.Invalid("claims: must be a JSON object, or its base64")
		}
		claims = string(decoded)
	}
	return claims, signin.CheckClaims(claims)
}

const refreshHelp = `
Gets a new access token from Entra, whatever is held, and serves it from then
on. claims answers a claims challenge: what a resource sent with its 401 (JSON,
or base64 as in the WWW-Authenticate header).

The response is that of token/<account>. A failure is an error, and the held
token stays as it is. Calls that overlap or follow within a second share one
refresh. A refusal that needs a sign-in or an administrator is tried again, at
most once in 10 seconds.
`
