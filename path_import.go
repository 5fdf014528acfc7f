// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/entra"
)

const importPath = "import/"

func (b *backend) pathImport() []*framework.Path {
	token := secretField("Refresh token that this mount's client obtained elsewhere.")
	token.Required = true
	return []*framework.Path{path(
		importPath+framework.GenericNameWithAtRegex("account"),
		map[string]*framework.FieldSchema{
			"account":       accountField(),
			"refresh_token": token,
			"scopes": field(framework.TypeCommaStringSlice, "Scopes of token/<account>, kept on the "+
				"account; one resource. The config's if left out."),
		},
		map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: forwarded(operation(b.handleImport, "import", "account",
				"Bring a refresh token from elsewhere: it is redeemed, and its user verified, "+
					"before anything is stored.", answers(signInResponseFields()))),
		},
		"Bring an existing refresh token to an account.", importHelp)}
}

func (b *backend) handleImport(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	ask := b.signInRequest(req, d)
	e, scopes, err := b.signIns.Import(ctx, ask, entra.Secret(d.Get("refresh_token").(string)))
	if err != nil {
		return nil, err
	}
	return signInResponse(ask.Account, e, scopes), nil
}

const importHelp = `
Takes over a refresh token that this mount's client obtained elsewhere. It is
redeemed at once: only a working token of a verified user is stored, and the
account is pinned to that user as by a login.
`
