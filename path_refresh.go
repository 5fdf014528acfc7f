// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

const refreshPath = "refresh/"

func (b *backend) pathRefresh() []*framework.Path {
	account, role := framework.GenericNameWithAtRegex("account"), framework.GenericNameWithAtRegex("role")
	return []*framework.Path{
		b.refreshPath(refreshPath+account, "token", map[string]*framework.FieldSchema{"account": accountField()}),
		b.refreshPath(refreshPath+account+"/"+role, "role-token", map[string]*framework.FieldSchema{"account": accountField(), "role": roleField()}),
	}
}

func (b *backend) refreshPath(pattern, suffix string, fields map[string]*framework.FieldSchema) *framework.Path {
	fields["claims"] = &framework.FieldSchema{Type: framework.TypeString, Description: "Claims challenge to answer: JSON, or base64 as a WWW-Authenticate header holds it."}
	return &framework.Path{
		Pattern:      pattern,
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		Fields:       fields,
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{
				Callback:                    b.handleRefresh,
				Summary:                     "Force a new access token, whatever is held; answer a claims challenge.",
				DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "refresh", OperationSuffix: suffix},
				ForwardPerformanceStandby:   true,
				ForwardPerformanceSecondary: true,
				Responses:                   tokenResponses(),
			},
		},
		HelpSynopsis:    "Force a new access token of an account.",
		HelpDescription: refreshHelp,
	}
}

func (b *backend) handleRefresh(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	claims, err := claimsChallenge(d.Get("claims").(string))
	if err != nil {
		return nil, err
	}
	reg, _, want, err := b.tokenWish(ctx, req.Storage, d)
	if err != nil {
		return nil, err
	}
	want.forced, want.claims = true, claims
	e, err := b.refresh(ctx, req.Storage, reg, want)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	t := e.held(want.role, want.scopes)
	if t == nil || !t.usable(now) {
		return nil, shortLived(want.account)
	}
	b.worker.tokenRead(want, t, reg, now)
	return tokenResponse(reg, e, t, want, now), nil
}

// claimsChallenge reads a challenge as a program has it: JSON, or the base64 of a
// WWW-Authenticate header, padded or not, URL-safe or not ("Claims challenges,
// claims requests, and client capabilities").
func claimsChallenge(claims string) (string, error) {
	claims = strings.TrimSpace(claims)
	if claims != "" && !strings.HasPrefix(claims, "{") {
		plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(claims, "="))
		decoded, err := base64.RawStdEncoding.DecodeString(plain)
		if err != nil {
			return "", invalid("claims: must be a JSON object, or its base64")
		}
		claims = string(decoded)
	}
	return claims, checkClaims(claims)
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
