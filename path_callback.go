// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/entra"
)

const callbackPath = "callback"

// What the person chose on the confirm page.
const (
	decisionConfirm = "confirm"
	decisionCancel  = "cancel"
)

func (b *backend) pathCallback() []*framework.Path {
	return []*framework.Path{b.pathBrowserCallback(), b.pathAccountCallback()}
}

// pathBrowserCallback is Entra's redirect straight to Vault. It has no existence
// check: that would run unauthenticated, too.
func (b *backend) pathBrowserCallback() *framework.Path {
	page := map[int][]framework.Response{}
	for _, status := range []int{http.StatusOK, http.StatusBadRequest, http.StatusForbidden, http.StatusInternalServerError, http.StatusBadGateway} {
		page[status] = []framework.Response{{Description: http.StatusText(status), MediaType: "text/html"}}
	}
	// A parameter given twice arrives as a list by GET and joined with a comma
	// by form POST: as lists both can be refused. A description may have commas.
	field := func(t framework.FieldType, description string) *framework.FieldSchema {
		return &framework.FieldSchema{Type: t, Query: true, Description: description}
	}
	return &framework.Path{
		Pattern:      callbackPath,
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		Fields: map[string]*framework.FieldSchema{
			"code":              field(framework.TypeCommaStringSlice, "Authorization code from Entra."),
			"state":             field(framework.TypeCommaStringSlice, "State of the login."),
			"iss":               field(framework.TypeCommaStringSlice, "Issuer of the response (RFC 9207)."),
			"error":             field(framework.TypeCommaStringSlice, "Error code from Entra."),
			"error_description": field(framework.TypeStringSlice, "Error text from Entra."),
			"error_subcode":     field(framework.TypeCommaStringSlice, "Detail of the error from Entra."),
			"error_uri":         field(framework.TypeStringSlice, "Not used."),
			"session_state":     field(framework.TypeStringSlice, "Not used."),
			"client_info":       field(framework.TypeStringSlice, "Not used."),
			"decision":          {Type: framework.TypeString, Description: "What the person chose on the confirm page: confirm or cancel."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback:                    b.handleBrowserCallback,
				Summary:                     "Receive the authorization code as a query (response_mode=query). Unauthenticated; answers with a page.",
				DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "receive", OperationSuffix: "code-by-query"},
				ForwardPerformanceStandby:   true,
				ForwardPerformanceSecondary: true,
				Responses:                   page,
			},
			logical.UpdateOperation: &framework.PathOperation{
				Callback:                    b.handleBrowserCallback,
				Summary:                     "Receive the authorization code as a form (response_mode=form_post), or the confirmation. Unauthenticated; answers with a page.",
				DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "receive", OperationSuffix: "code-by-form"},
				ForwardPerformanceStandby:   true,
				ForwardPerformanceSecondary: true,
				Responses:                   page,
			},
		},
		HelpSynopsis:    "Where Entra redirects the browser to; answers with a page.",
		HelpDescription: callbackHelp,
	}
}

func (b *backend) pathAccountCallback() *framework.Path {
	return &framework.Path{
		Pattern:      callbackPath + "/" + framework.GenericNameWithAtRegex("account"),
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		Fields: map[string]*framework.FieldSchema{
			"account":           accountField(),
			"code":              {Type: framework.TypeString, Description: "Authorization code from Entra.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
			"state":             {Type: framework.TypeString, Description: "State of the login.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
			"iss":               {Type: framework.TypeString, Description: "Issuer of the response (RFC 9207)."},
			"error":             {Type: framework.TypeString, Description: "Error code from Entra."},
			"error_description": {Type: framework.TypeString, Description: "Error text from Entra."},
			"error_subcode":     {Type: framework.TypeString, Description: "Detail of the error from Entra."},
			"url":               {Type: framework.TypeString, Description: "The whole redirected URL, instead of the fields above.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{
				Callback:                    b.handleAccountCallback,
				Summary:                     "Hand over the authorization code from a loopback listener or by paste.",
				DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "complete", OperationSuffix: "login"},
				ForwardPerformanceStandby:   true,
				ForwardPerformanceSecondary: true,
				Responses: map[int][]framework.Response{http.StatusOK: {{
					Description: http.StatusText(http.StatusOK),
					Fields:      signInResponseFields(),
				}}},
			},
		},
		HelpSynopsis:    "Complete an account's login with the code that Entra sent.",
		HelpDescription: accountCallbackHelp,
	}
}

// signInResponseFields is what a completed sign-in answers: never a token.
func signInResponseFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"account":   {Type: framework.TypeString, Required: true, Description: "Name of the account."},
		"username":  {Type: framework.TypeString, Required: true, Description: "Who signed in."},
		"name":      {Type: framework.TypeString, Required: true, Description: "Display name of who signed in."},
		"object_id": {Type: framework.TypeString, Required: true, Description: "Object ID (oid) of the user; sub where the provider has none."},
		"tenant_id": {Type: framework.TypeString, Required: true, Description: "Tenant ID (tid) of the user."},
		"scopes":    {Type: framework.TypeStringSlice, Required: true, Description: "Scopes granted."},
		"roles":     {Type: framework.TypeStringSlice, Required: true, Description: "Roles consented to."},
	}
}

func (b *backend) handleAccountCallback(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	account := d.Get("account").(string)
	e, err := b.accounts.get(ctx, req.Storage, account)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, unknownAccount(account)
	}
	resp, err := pastedResponse(d)
	if err != nil {
		return nil, err
	}
	login, err := getLogin(ctx, req.Storage, stateHash(resp.state))
	switch {
	case err != nil:
		return nil, err
	case login == nil:
		return nil, usedLogin(e, account, stateHash(resp.state))
	case login.Account != account:
		return nil, failedLogin("this state belongs to the login of another account, which stays as it is")
	}
	if f := login.expired(time.Now()); f != nil {
		return nil, f
	}
	if err := b.checkIssuer(ctx, req.Storage, account, resp.issuer, false); err != nil {
		return nil, err
	}
	e, err = b.completeLogin(ctx, req.Storage, login, resp)
	if err != nil {
		return nil, err
	}
	return signInResponse(account, e, login.Scopes), nil
}

// pastedResponse reads the fields of an authenticated callback.
func pastedResponse(d *framework.FieldData) (*authorizationResponse, error) {
	get := func(name string) string { return strings.TrimSpace(d.Get(name).(string)) }
	if pasted := get("url"); pasted != "" {
		if get("code") != "" || get("state") != "" {
			return nil, invalid("url: stands instead of code and state, not beside them")
		}
		values, err := redirectedValues(pasted)
		if err != nil {
			return nil, err
		}
		get = values.Get
	}
	resp := &authorizationResponse{
		code:             entra.Secret(get("code")),
		state:            get("state"),
		issuer:           get("iss"),
		errorCode:        get("error"),
		errorDescription: get("error_description"),
		errorSubcode:     get("error_subcode"),
	}
	if f := resp.check(); f != nil {
		return nil, f
	}
	return resp, nil
}

// redirectedValues are the parameters of a redirected URL as a person copies it.
func redirectedValues(pasted string) (url.Values, error) {
	u, err := url.Parse(pasted)
	if err != nil {
		return nil, invalid("url: is not a URL")
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil || len(values) == 0 {
		return nil, invalid("url: has no query; copy the whole address that the browser was sent to")
	}
	for name, v := range values {
		if len(v) != 1 {
			return nil, invalid("url: %q is given twice", name)
		}
	}
	return values, nil
}

// checkIssuer is RFC 9207: a response of another issuer is refused before the
// login is consumed. Where the provider promises an iss, a browser must bring it.
func (b *backend) checkIssuer(ctx context.Context, s logical.Storage, account, issuer string, browser bool) error {
	reg, err := b.registration(ctx, s)
	if err != nil {
		return err
	}
	if err := reg.client.CheckResponseIssuer(ctx, issuer, browser); err != nil {
		return refusalOf(err, time.Now()).loginFault(account)
	}
	return nil
}

func signInResponse(account string, e *accountEntry, asked []string) *logical.Response {
	resp := &logical.Response{Data: map[string]any{
		"account":   account,
		"username":  e.User.Username,
		"name":      e.User.Name,
		"object_id": e.objectID(),
		"tenant_id": e.tenantID(),
		"scopes":    list(e.Granted),
		"roles":     list(e.Roles),
	}}
	if missing := entra.Missing(asked, e.Granted); len(missing) > 0 {
		resp.AddWarning("these scopes were asked for and not granted: " + strings.Join(missing, " "))
	}
	return resp
}

func (b *backend) handleBrowserCallback(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	p, err := b.browserCallback(ctx, req, d)
	var f *fault
	switch {
	case err == nil:
	case errors.Is(err, logical.ErrReadOnly):
		return nil, err
	case errors.As(err, &f):
		p = b.faultPage(f)
	default:
		b.Logger().Error("browser callback", "error", err)
		p = internalErrorPage()
	}
	return p.response()
}

// browserCallback finds the page to show. On the first visit nothing is written:
// the login is consumed when the person confirms or cancels.
func (b *backend) browserCallback(ctx context.Context, req *logical.Request, d *framework.FieldData) (*page, error) {
	resp, err := browserResponse(d)
	if err != nil {
		return nil, err
	}
	login, err := getLogin(ctx, req.Storage, stateHash(resp.state))
	switch {
	case err != nil:
		return nil, err
	case login == nil:
		return nil, unknownState()
	}
	if f := login.expired(time.Now()); f != nil {
		return nil, f
	}
	if err := b.checkIssuer(ctx, req.Storage, login.Account, resp.issuer, true); err != nil {
		return nil, err
	}
	reg, err := b.registration(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	decision := ""
	if req.Operation == logical.UpdateOperation {
		decision = d.Get("decision").(string)
	}
	switch {
	case decision == decisionCancel:
		return b.cancelLogin(ctx, req.Storage, login, resp)
	case reg.ConfirmCallback && decision != decisionConfirm && resp.errorCode == "":
		return b.confirmPage(login, resp), nil
	}
	e, err := b.completeLogin(ctx, req.Storage, login, resp)
	if err != nil {
		return nil, err
	}
	return b.donePage(login, e), nil
}

// cancelLogin ends a login at the person's wish.
func (b *backend) cancelLogin(ctx context.Context, s logical.Storage, login *loginEntry, resp *authorizationResponse) (*page, error) {
	hash := stateHash(resp.state)
	if err := b.consumeLogin(ctx, s, login.Account, hash); err != nil {
		return nil, err
	}
	f := failedLogin("cancelled on the confirm page")
	_ = b.endLogin(ctx, s, login.Account, hash, f) // returns f
	return b.cancelledPage(login), nil
}

// browserResponse reads the parameters of the browser's visit.
func browserResponse(d *framework.FieldData) (*authorizationResponse, error) {
	values := map[string]string{}
	for _, name := range []string{"code", "state", "iss", "error", "error_description", "error_subcode"} {
		given := d.Get(name).([]string)
		switch {
		case len(given) > 1:
			return nil, invalid("%s: is given twice", name)
		case len(given) == 1:
			values[name] = given[0]
		}
	}
	resp := &authorizationResponse{
		code:             entra.Secret(values["code"]),
		state:            values["state"],
		issuer:           values["iss"],
		errorCode:        values["error"],
		errorDescription: values["error_description"],
		errorSubcode:     values["error_subcode"],
	}
	if f := resp.check(); f != nil {
		return nil, f
	}
	return resp, nil
}

const callbackHelp = `
Register this path's URL at Entra as a redirect URI of the platform Web:
https://<vault>/v1/<mount>/callback. It takes the authorization code by GET
(response_mode=query) and by form POST (form_post, the default), and answers
with a page. It is unauthenticated: the single-use state decides.

With confirm_callback (default) the first visit asks the person to confirm.
`

const accountCallbackHelp = `
Completes a login whose redirect URI is not this mount's callback: a loopback
listener hands over code and state, or a person pastes the whole redirected URL
as url. The state must be of this account's login.
`
