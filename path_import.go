// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"net/http"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/entra"
)

const importPath = "import/"

func (b *backend) pathImport() []*framework.Path {
	return []*framework.Path{{
		Pattern:      importPath + framework.GenericNameWithAtRegex("account"),
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		Fields: map[string]*framework.FieldSchema{
			"account":       accountField(),
			"refresh_token": {Type: framework.TypeString, Required: true, Description: "Refresh token that this mount's client obtained elsewhere.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
			"scopes":        {Type: framework.TypeCommaStringSlice, Description: "Scopes of token/<account>, kept on the account; one resource. The config's if left out."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{
				Callback:                    b.handleImport,
				Summary:                     "Bring a refresh token from elsewhere: it is redeemed, and its user verified, before anything is stored.",
				DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "import", OperationSuffix: "account"},
				ForwardPerformanceStandby:   true,
				ForwardPerformanceSecondary: true,
				Responses: map[int][]framework.Response{http.StatusOK: {{
					Description: http.StatusText(http.StatusOK),
					Fields:      signInResponseFields(),
				}}},
			},
		},
		HelpSynopsis:    "Bring an existing refresh token to an account.",
		HelpDescription: importHelp,
	}}
}

func (b *backend) handleImport(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	account := d.Get("account").(string)
	token := entra.Secret(d.Get("refresh_token").(string))
	if token == "" {
		return nil, invalid("refresh_token: is required")
	}
	reg, err := b.registration(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	known, err := b.accounts.get(ctx, req.Storage, account)
	if err != nil {
		return nil, err
	}
	if known != nil && known.Disabled {
		return nil, errDisabled(account)
	}
	scopes, kept, err := loginScopes(d, reg.configEntry, known)
	if err != nil {
		return nil, err
	}
	e, err := b.importToken(ctx, req, reg, account, token, scopes, kept)
	if err != nil {
		return nil, err
	}
	return signInResponse(account, e, scopes), nil
}

// importToken redeems and stores on a context of its own: a provider that rotates
// strictly has ended the token it was given.
func (b *backend) importToken(ctx context.Context, req *logical.Request, reg *registration, account string, token entra.Secret, scopes, kept []string) (*accountEntry, error) {
	if !b.work.begin() {
		return nil, errStopping
	}
	defer b.work.end()
	ctx, cancel := detach(ctx, 3*reg.RequestTimeout+storageGrace)
	defer cancel()
	by := b.requester(req, time.Now())

	signIn, err := reg.client.RedeemRefreshToken(ctx, entra.RefreshRequest{RefreshToken: token, Scopes: scopes})
	if err != nil {
		r := refusalOf(err, time.Now())
		b.refreshes.noteLogin(r)
		return nil, r.loginFault(account)
	}
	if signIn.Tokens.RefreshToken == "" {
		signIn.Tokens.RefreshToken = token
	}
	e, err := b.storeSignIn(ctx, req.Storage, reg, account, true, signIn, scopes, func(e *accountEntry, _ time.Time) {
		e.Scopes = kept
		e.LoginRequestedBy = by.String()
	})
	if err != nil {
		return nil, err
	}
	b.refreshes.forgetAccount(account)
	b.Logger().Info("refresh token imported", "account", account)
	b.sendAccountEvent(eventLoginSucceeded, account)
	return e, nil
}

const importHelp = `
Takes over a refresh token that this mount's client obtained elsewhere. It is
redeemed at once: only a working token of a verified user is stored, and the
account is pinned to that user as by a login.
`
