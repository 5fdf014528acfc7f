// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/problem"
	"vault-plugin-secrets-entra/internal/refresh"
)

const checkPath = "check/"

func (b *backend) pathCheck() []*framework.Path {
	return tokenPaths(checkPath, func(pattern, suffix string, fields map[string]*framework.FieldSchema) *framework.Path {
		return path(pattern, fields, map[logical.Operation]framework.OperationHandler{
			// Not forwarded: see handleCheck.
			logical.ReadOperation: operation(b.handleCheck, "check", suffix,
				"Tell whether a token can be had, without reading one.", checkResponses()),
		}, "Tell whether a token of an account can be had.", checkHelp)
	})
}

func checkResponses() map[int][]framework.Response {
	return answers(map[string]*framework.FieldSchema{
		"ready": answer(framework.TypeBool, "Whether a read is served, as far as it is known "+
			"without asking Entra."),
		"word": answer(framework.TypeString, "Error code that a read would meet; \"\" where it is "+
			"served, and where the trouble is Vault's own."),
		"message": answer(framework.TypeString, "What a read would meet, in one line."),
		"command": answer(framework.TypeString, "What to run next; \"\" where nothing helps or "+
			"nothing has to."),
		"expire_time": answer(framework.TypeString,
			"When the held token expires, or did, RFC 3339 UTC; \"\" without one."),
		"good_for": answer(framework.TypeInt64,
			"Seconds that the held token has left; 0 where none can be served."),
	})
}

// handleCheck tells what a read of the token would meet now. It asks what the read asks,
// except Entra, and is no read: it keeps no account alive.
func (b *backend) handleCheck(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	reg, e, ask, err := b.tokenRequest(ctx, d)
	if err != nil {
		return b.notReady(err), nil
	}
	now := time.Now()
	held := e.Token(ask.Role, ask.Scopes)
	fresh := ask.SatisfiedBy(held, reg, now)
	if !fresh && !b.node.MayWrite() {
		return nil, logical.ErrReadOnly // as for a read: the active node knows what failed
	}
	against := b.refreshes.Blocked(ctx, reg, ask, e)
	now = time.Now() // storage may have taken its time
	served := fresh || isServable(held, now)
	var resp *logical.Response
	switch of := nameOf(ask); {
	case against != nil && !served:
		resp = b.notReady(against)
	case against != nil:
		resp = ready("%s: the held token is served until it expires, and cannot be refreshed "+
			"now: %s", of, against)
		resp.Data["command"] = b.commandAfter(against)
	case fresh:
		resp = ready("%s: the held token is fresh", of)
	default:
		resp = ready("%s: a read asks Entra for a new token", of)
	}
	if held != nil {
		resp.Data["expire_time"] = formatTime(held.Expiry)
	}
	if served {
		resp.Data["good_for"] = seconds(held.Expiry.Sub(now))
	}
	return resp, nil
}

// nameOf names the token that is asked for.
func nameOf(ask refresh.TokenRequest) string {
	if ask.Role == "" {
		return fmt.Sprintf("account %q", ask.Account)
	}
	return fmt.Sprintf("account %q, role %q", ask.Account, ask.Role)
}

// ready is the answer where a read is served. No token is held, as far as it says.
func ready(format string, args ...any) *logical.Response {
	return &logical.Response{Data: map[string]any{
		"ready": true, "word": "", "message": fmt.Sprintf(format, args...), "command": "",
		"expire_time": "", "good_for": int64(0),
	}}
}

// notReady is the answer where a read meets err.
func (b *backend) notReady(err error) *logical.Response {
	resp := ready("%s", err)
	resp.Data["ready"], resp.Data["command"] = false, b.commandAfter(err)
	if p := problem.Of(err); p != nil {
		resp.Data["word"], resp.Data["message"] = string(p.Code), p.Text
	}
	return resp
}

// commandAfter is what to run after err, "" for nothing.
func (b *backend) commandAfter(err error) string {
	if p := problem.Of(err); p != nil {
		return p.CommandAt(b.mount())
	}
	return ""
}

const checkHelp = `
Tells whether a read of token/<account> or token/<account>/<role> would be served
now, and if not, why and what to run next. The status is 200 in either case, so a
job can print the answer before it reads: some clients do not show the text of an
error.

No token is returned and Entra is not asked, so ready=true without a held token
(good_for=0) means that nothing is known that would keep a refresh from working.
A check counts as no read: it keeps no account alive.
`
