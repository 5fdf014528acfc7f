// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/problem"
	"vault-plugin-secrets-entra/internal/signin"
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

// pathBrowserCallback is Entra's redirect straight to Vault. It has no existence check:
// that would run unauthenticated, too.
func (b *backend) pathBrowserCallback() *framework.Path {
	page := map[int][]framework.Response{}
	for _, status := range []int{
		http.StatusOK, http.StatusBadRequest, http.StatusForbidden,
		http.StatusInternalServerError, http.StatusBadGateway,
	} {
		page[status] = []framework.Response{{
			Description: http.StatusText(status),
			MediaType:   "text/html",
		}}
	}
	text := framework.TypeString
	fields := map[string]*framework.FieldSchema{
		"code":              field(text, "Authorization code from Entra."),
		"state":             field(text, "State of the login."),
		"iss":               field(text, "Issuer of the response (RFC 9207)."),
		"error":             field(text, "Error code from Entra."),
		"error_description": field(text, "Error text from Entra."),
		"error_subcode":     field(text, "Detail of the error from Entra."),
		"error_uri":         field(text, "Not used."),
		"session_state":     field(text, "Not used."),
		"client_info":       field(text, "Not used."),
	}
	for _, f := range fields {
		f.Query = true
	}
	fields["decision"] = field(framework.TypeString, "What the person chose on the confirm page: "+
		"confirm or cancel.")
	return path(callbackPath, fields, map[logical.Operation]framework.OperationHandler{
		logical.ReadOperation: forwarded(operation(b.handleBrowserCallback, "receive", "code-by-query",
			"Receive the authorization code as a query (response_mode=query). Unauthenticated; "+
				"answers with a page.", page)),
		logical.UpdateOperation: forwarded(operation(b.handleBrowserCallback, "receive", "code-by-form",
			"Receive the authorization code as a form (response_mode=form_post), or the "+
				"confirmation. Unauthenticated; answers with a page.", page)),
	}, "Where Entra redirects the browser to; answers with a page.", callbackHelp)
}

func (b *backend) pathAccountCallback() *framework.Path {
	return path(callbackPath+"/"+framework.GenericNameWithAtRegex("account"),
		map[string]*framework.FieldSchema{
			"account":           accountField(),
			"code":              secretField("Authorization code from Entra."),
			"state":             secretField("State of the login."),
			"iss":               field(framework.TypeString, "Issuer of the response (RFC 9207)."),
			"error":             field(framework.TypeString, "Error code from Entra."),
			"error_description": field(framework.TypeString, "Error text from Entra."),
			"error_subcode":     field(framework.TypeString, "Detail of the error from Entra."),
			"url":               secretField("The whole redirected URL, instead of the fields above."),
		},
		map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: forwarded(operation(b.handleAccountCallback, "complete", "login",
				"Hand over the authorization code from a loopback listener or by paste.",
				answers(signInResponseFields()))),
		},
		"Complete an account's login with the code that Entra sent.", accountCallbackHelp)
}

// signInResponseFields is what a completed sign-in answers: never a token.
func signInResponseFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"account":  answer(framework.TypeString, "Name of the account."),
		"username": answer(framework.TypeString, "Who signed in."),
		"name":     answer(framework.TypeString, "Display name of who signed in."),
		"object_id": answer(framework.TypeString,
			"Object ID (oid) of the user; sub where the provider has none."),
		"tenant_id": answer(framework.TypeString, "Tenant ID (tid) of the user."),
		"scopes":    answer(framework.TypeStringSlice, "Scopes granted."),
		"roles":     answer(framework.TypeStringSlice, "Roles consented to."),
	}
}

func (b *backend) handleAccountCallback(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("account").(string)
	e, err := b.accounts.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, problem.NoAccount(name)
	}
	resp, err := pastedResponse(d)
	if err != nil {
		return nil, err
	}
	login, err := b.signIns.Find(ctx, resp.State)
	switch {
	case err != nil:
		return nil, err
	case login == nil:
		return nil, e.UsedState(name, resp.State, time.Now())
	case login.Account != name:
		return nil, problem.FailedLogin("this state belongs to the login of another account, " +
			"which stays as it is")
	}
	callback, err := b.signIns.Open(ctx, login, resp, false)
	if err != nil {
		return nil, err
	}
	if e, err = callback.Complete(ctx); err != nil {
		return nil, err
	}
	return signInResponse(name, e, login.Scopes), nil
}

// pastedResponse reads the fields of an authenticated callback.
func pastedResponse(d *framework.FieldData) (*signin.AuthorizationResponse, error) {
	get := func(name string) string { return strings.TrimSpace(d.Get(name).(string)) }
	if pasted := get("url"); pasted != "" {
		if get("code") != "" || get("state") != "" {
			return nil, problem.Invalid("url: stands instead of code and state, not beside them")
		}
		values, err := redirectedValues(pasted)
		if err != nil {
			return nil, err
		}
		get = values.Get
	}
	return authorizationResponse(get)
}

// authorizationResponse reads what Entra sent and refuses what no authorization server
// sends.
func authorizationResponse(get func(name string) string) (*signin.AuthorizationResponse, error) {
	resp := &signin.AuthorizationResponse{
		Code:             entra.Secret(get("code")),
		State:            get("state"),
		Issuer:           get("iss"),
		Error:            get("error"),
		ErrorDescription: get("error_description"),
		ErrorSubcode:     get("error_subcode"),
	}
	if p := resp.Check(); p != nil {
		return nil, p
	}
	return resp, nil
}

// redirectedValues are the parameters of a redirected URL as a person copies it.
func redirectedValues(pasted string) (url.Values, error) {
	u, err := url.Parse(pasted)
	if err != nil {
		return nil, problem.Invalid("url: is not a URL")
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil || len(values) == 0 {
		return nil, problem.Invalid("url: has no query; copy the whole address that the browser " +
			"was sent to")
	}
	for name, v := range values {
		if len(v) != 1 {
			return nil, problem.Invalid("url: %q is given twice", name)
		}
	}
	return values, nil
}

func signInResponse(name string, e *account.Entry, asked []string) *logical.Response {
	resp := &logical.Response{Data: map[string]any{
		"account":   name,
		"username":  e.User.Username,
		"name":      e.User.Name,
		"object_id": e.ObjectID(),
		"tenant_id": e.TenantID(),
		"scopes":    list(e.Granted),
		"roles":     list(e.Roles),
	}}
	if missing := entra.Missing(asked, e.Granted); len(missing) > 0 {
		resp.AddWarning("these scopes were asked for and not granted: " + strings.Join(missing, " "))
	}
	return resp
}

func (b *backend) handleBrowserCallback(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	shown, err := b.browserCallback(ctx, req, d)
	switch p := problem.Of(err); {
	case err == nil:
	case errors.Is(err, logical.ErrReadOnly):
		return nil, err
	case p != nil:
		shown = b.problemPage(p)
	default:
		b.Logger().Error("browser callback", "error", err)
		shown = internalErrorPage()
	}
	return shown.response()
}

// browserCallback finds the page to show. On the first visit nothing is written: the
// login is consumed when the person confirms or cancels.
func (b *backend) browserCallback(ctx context.Context, req *logical.Request, d *framework.FieldData) (*page, error) {
	resp, err := authorizationResponse(func(name string) string { return d.Get(name).(string) })
	if err != nil {
		return nil, err
	}
	login, err := b.signIns.Find(ctx, resp.State)
	if err != nil {
		return nil, err
	}
	if login == nil {
		return nil, account.UnknownState()
	}
	callback, err := b.signIns.Open(ctx, login, resp, true)
	if err != nil {
		return nil, err
	}
	decision := ""
	if req.Operation == logical.UpdateOperation {
		decision = d.Get("decision").(string)
	}
	switch {
	case decision == decisionCancel:
		return b.cancelledPage(login), callback.Cancel(ctx)
	case callback.Reg.ConfirmCallback && decision != decisionConfirm && resp.Error == "":
		return b.confirmPage(login, resp), nil
	}
	e, err := callback.Complete(ctx)
	if err != nil {
		return nil, err
	}
	return b.donePage(login, e), nil
}

// maxParameter is how long a parameter of the browser's visit may be, in bytes. Entra's
// longest, the code, has some 2 KiB.
const maxParameter = 16 << 10

// checkParameters looks at the raw parameters of the browser's visit before the framework
// does: anybody may send them. One that is given twice arrives as a list by GET and joined
// with a comma by form POST, and a comma stands in none of those that decide.
func checkParameters(raw map[string]any) error {
	for name, value := range raw {
		text, isText := value.(string)
		list, isList := value.([]any)
		switch {
		case isList && len(list) > 1:
			return problem.Invalid("%s: is given twice", shortName(name))
		case !isText:
			return problem.Invalid("%s: must be text", shortName(name))
		case len(text) > maxParameter:
			return problem.Invalid("%s: is longer than %d bytes", shortName(name), maxParameter)
		case slices.Contains(singleParameters, name) && strings.Contains(text, ","):
			return problem.Invalid("%s: is given twice", name)
		}
	}
	return nil
}

var singleParameters = []string{"code", "state", "iss", "error", "error_subcode", "decision"}

// shortName keeps a parameter that the engine does not know out of the answer.
func shortName(name string) string {
	if slices.Contains(singleParameters, name) || name == "error_description" {
		return name
	}
	return "a parameter"
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
