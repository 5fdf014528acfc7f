// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/signin"
)

const loginPath = "login/"

func (b *backend) pathLogin() []*framework.Path {
	return []*framework.Path{path(
		loginPath+framework.GenericNameWithAtRegex("account"), loginFields(),
		map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: forwarded(operation(b.handleLoginStart, "start", "login",
				"Start a sign-in: returns the authorization URL to open in a browser.",
				answers(map[string]*framework.FieldSchema{
					"auth_url":      answer(framework.TypeString, "Authorization URL; whoever opens it signs in."),
					"login_id":      answer(framework.TypeString, "Name of this login in its status."),
					"redirect_uri":  answer(framework.TypeString, "Where Entra sends the code."),
					"response_mode": answer(framework.TypeString, "How Entra sends the code."),
					"expire_time":   answer(framework.TypeString, "When the URL stops working, RFC 3339."),
				}))),
			logical.ReadOperation: forwarded(operation(b.handleLoginRead, "read", "login-status",
				"Read what became of the account's latest login.",
				answers(map[string]*framework.FieldSchema{
					"login_id":     answer(framework.TypeString, "Name of the login."),
					"status":       answer(framework.TypeString, "pending, succeeded, failed or expired."),
					"error":        answer(framework.TypeString, "Why it failed; empty otherwise."),
					"error_code":   answer(framework.TypeString, "AADSTS code or OAuth error, where Entra said one."),
					"username":     answer(framework.TypeString, "Who signed in."),
					"expire_time":  answer(framework.TypeString, "When its URL stops working, RFC 3339."),
					"requested_by": answer(framework.TypeString, "Who asked for it."),
				}))),
		},
		"Start a sign-in for an account, or read how the latest one went.", loginHelp)}
}

func loginFields() map[string]*framework.FieldSchema {
	fields := map[string]*framework.FieldSchema{
		"account": accountField(),
		"scopes": field(framework.TypeCommaStringSlice, "Scopes of token/<account>, kept on the "+
			"account; one resource. If left out: those kept from an earlier login, else the "+
			"config's. \"\" goes back to the config's."),
		"roles": field(framework.TypeCommaStringSlice, "Roles to consent to in the same sign-in. "+
			"If left out: those the account has."),
		"redirect_uri": field(framework.TypeString, "Where Entra sends the code: one of the "+
			"config's redirect_uris. The first one if left out."),
		"response_mode": field(framework.TypeString, "form_post (default) or query (default for a "+
			"loopback redirect URI that is not this mount's callback)."),
		"prompt": field(framework.TypeString, "login, none, consent or select_account; create at "+
			"External ID."),
		"login_hint": field(framework.TypeString, "Username to fill in. The pinned username if "+
			"left out."),
		"domain_hint": field(framework.TypeString, "Domain to sign in at, skips home realm "+
			"discovery."),
		"claims": field(framework.TypeString, "Claims request: a JSON object."),
	}
	fields["response_mode"].AllowedValues = []any{"form_post", "query"}
	fields["prompt"].AllowedValues = []any{"login", "none", "consent", "select_account", "create"}
	return fields
}

func (b *backend) handleLoginStart(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	started, err := b.signIns.Start(ctx, signin.BrowserRequest{
		Request:      b.signInRequest(req, d),
		RedirectURI:  d.Get("redirect_uri").(string),
		ResponseMode: d.Get("response_mode").(string),
		Prompt:       d.Get("prompt").(string),
		LoginHint:    d.Get("login_hint").(string),
		DomainHint:   d.Get("domain_hint").(string),
		Claims:       d.Get("claims").(string),
		OwnCallback:  req.MountPoint + callbackPath,
	})
	if err != nil {
		return nil, err
	}
	resp := &logical.Response{Data: map[string]any{
		"auth_url":      started.AuthURL,
		"login_id":      started.Login.LoginID,
		"redirect_uri":  started.Login.RedirectURI,
		"response_mode": started.ResponseMode,
		"expire_time":   formatTime(started.Login.Expiry),
	}}
	for _, text := range started.Warnings {
		resp.AddWarning(strings.ReplaceAll(text, "{mount}", b.mount()))
	}
	return resp, nil
}

// signInRequest is what every way to sign in is asked for.
func (b *backend) signInRequest(req *logical.Request, d *framework.FieldData) signin.Request {
	ask := signin.Request{
		Account:     d.Get("account").(string),
		RequestedBy: b.requester(req, time.Now()),
	}
	var given any
	if given, ask.ScopesNamed = d.GetOk("scopes"); ask.ScopesNamed {
		ask.Scopes = words(given.([]string))
	}
	if _, has := d.Schema["roles"]; !has {
		return ask
	}
	if given, ask.RolesNamed = d.GetOk("roles"); ask.RolesNamed {
		ask.Roles = words(given.([]string))
	}
	return ask
}

// requester takes from Vault who is asking.
func (b *backend) requester(req *logical.Request, now time.Time) account.Requester {
	r := account.Requester{DisplayName: req.DisplayName, Time: now.UTC()}
	if req.Connection != nil {
		r.Address = req.Connection.RemoteAddr
	}
	if req.EntityID == "" {
		return r
	}
	entity, err := b.System().EntityInfo(req.EntityID)
	if err != nil || entity == nil {
		b.Logger().Warn("the requester's entity could not be looked up",
			"entity_id", req.EntityID, "error", err)
		return r
	}
	r.Entity = entity.Name
	for _, alias := range entity.Aliases {
		r.Aliases = append(r.Aliases, alias.Name)
	}
	return r
}

func (b *backend) handleLoginRead(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	e, err := b.accounts.Get(ctx, d.Get("account").(string))
	if err != nil || e == nil || e.LatestLogin == nil {
		return nil, err
	}
	login := e.LatestLogin
	return &logical.Response{Data: map[string]any{
		"login_id":     login.LoginID,
		"status":       login.StatusAt(time.Now()),
		"error":        login.ErrorText(),
		"error_code":   login.EntraCode,
		"username":     login.Username,
		"expire_time":  formatTime(login.Expiry),
		"requested_by": login.RequestedBy,
	}}, nil
}

const loginHelp = `
A write starts a sign-in and returns auth_url: open it in a browser and sign in.
The URL works once and for login_ttl (10 minutes by default). Entra sends the
code to redirect_uri: to this mount's callback, or to a loopback listener that
hands it to callback/<account>.

A read returns the status of the latest login: pending, succeeded, failed or
expired.

The first sign-in pins the account to the user who signed in. Later sign-ins by
anyone else are refused.
`
