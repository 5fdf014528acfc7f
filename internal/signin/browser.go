// SPDX-License-Identifier: MPL-2.0

package signin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/config"
	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/problem"
)

// BrowserRequest asks for a sign-in by authorization code (RFC 6749 section 4.1).
type BrowserRequest struct {
	Request
	RedirectURI  string // "" is the config's first
	ResponseMode string // form_post, query, or "" for the one that fits the redirect URI
	Prompt       string
	LoginHint    string // "" is the pinned username
	DomainHint   string
	Claims       string // a JSON object (OpenID Connect Core section 5.5)
	OwnCallback  string // the path of this mount's own callback
}

// Started is a sign-in that waits for a person.
type Started struct {
	Login        *account.Login
	AuthURL      string
	ResponseMode string
	Warnings     []string // with {mount} for the mount's path
}

// Start begins a sign-in by browser.
func (s *SignIns) Start(ctx context.Context, req BrowserRequest) (*Started, error) {
	ctx, v, err := s.enter(ctx, req.Account, nil)
	if err != nil {
		return nil, err
	}
	defer v.leave()
	login, state := account.NewLogin(req.Account, req.RequestedBy, v.reg.Entry, time.Now())
	login.Verifier, login.Nonce = entra.Secret(entra.NewRandom()), entra.Secret(entra.NewRandom())
	if login.Claims = req.Claims; login.Claims == "" && v.known != nil {
		login.Claims = v.known.Challenge()
	}
	left, err := s.chooseScopes(ctx, req.Request, v, login)
	if err != nil {
		return nil, err
	}
	if login.RedirectURI, err = v.reg.RedirectURI(req.RedirectURI); err != nil {
		return nil, err
	}
	ask, err := req.authorize(login, v)
	if err != nil {
		return nil, err
	}
	ask.State = state
	authURL, err := v.reg.Client.AuthorizeURL(ctx, ask)
	if err != nil {
		failure, _ := account.NewRefreshError(err, time.Now())
		return nil, failure.LoginProblem(req.Account)
	}
	if err := s.begin(ctx, login); err != nil {
		return nil, err
	}
	return &Started{
		Login:        login,
		AuthURL:      authURL,
		ResponseMode: ask.ResponseMode,
		Warnings:     leftOutWarnings(req.Request, left),
	}, nil
}

// authorize is what Entra's authorize endpoint is asked, all but the state.
func (r BrowserRequest) authorize(login *account.Login, v *visit) (entra.AuthorizeRequest, error) {
	mode, err := responseMode(r.ResponseMode, login.RedirectURI, r.OwnCallback)
	if err != nil {
		return entra.AuthorizeRequest{}, err
	}
	ask := entra.AuthorizeRequest{
		RedirectURI:  login.RedirectURI,
		Scopes:       login.Consent,
		Verifier:     login.Verifier,
		Nonce:        login.Nonce.Reveal(),
		ResponseMode: mode,
		Prompt:       r.Prompt,
		LoginHint:    r.LoginHint,
		DomainHint:   r.DomainHint,
		Claims:       login.Claims,
	}
	if ask.LoginHint == "" && ask.Prompt != "select_account" && v.known != nil {
		ask.LoginHint = v.known.PinnedUsername()
	}
	switch {
	case ask.Prompt == "create" && !v.reg.AllowsPrompt(ask.Prompt):
		return ask, problem.Invalid("prompt: create is for External ID alone")
	case !v.reg.AllowsPrompt(ask.Prompt):
		return ask, problem.Invalid("prompt: must be login, none, consent or select_account")
	case ask.Prompt == "select_account" && ask.LoginHint != "":
		return ask, problem.Invalid("prompt: select_account does not go with login_hint")
	}
	return ask, CheckClaims(ask.Claims)
}

// responseMode is form_post unless the redirect URI is a loopback listener of a
// person's own: Vault's audit log shows a GET's query string in clear.
func responseMode(asked, redirectURI, ownCallback string) (string, error) {
	switch asked {
	case "form_post", "query":
		return asked, nil
	case "":
	default:
		return "", problem.Invalid("response_mode: must be form_post or query")
	}
	u, err := url.Parse(redirectURI)
	if err != nil {
		return "", problem.Invalid("redirect_uri: %q is not a URL", redirectURI)
	}
	if entra.IsLoopback(u.Hostname()) && !strings.HasSuffix(u.Path, "/"+ownCallback) {
		return "query", nil
	}
	return "form_post", nil
}

// CheckClaims holds a claims request to being a JSON object (OpenID Connect Core
// section 5.5).
func CheckClaims(claims string) error {
	var object map[string]json.RawMessage
	if claims != "" && (json.Unmarshal([]byte(claims), &object) != nil || object == nil) {
		return problem.Invalid("claims: must be a JSON object")
	}
	return nil
}

// AuthorizationResponse is what Entra sends back with the browser (RFC 6749 section
// 4.1.2, RFC 9207).
type AuthorizationResponse struct {
	Code             entra.Secret
	State            string
	Issuer           string
	Error            string
	ErrorDescription string
	ErrorSubcode     string
}

// Check refuses what no authorization server sends.
func (r *AuthorizationResponse) Check() *problem.Error {
	switch {
	case r.State == "":
		return problem.Invalid("state: is required")
	case r.Code == "" && r.Error == "":
		return problem.Invalid("code: is required")
	case r.Code != "" && r.Error != "":
		return problem.Invalid("code: does not go with error")
	}
	return nil
}

// Find reads the login that waits for a state, nil if none does.
func (s *SignIns) Find(ctx context.Context, state string) (*account.Login, error) {
	return s.logins.Find(ctx, state)
}

// Callback is Entra's answer to a login that waits for it.
type Callback struct {
	Login    *account.Login
	Response *AuthorizationResponse
	Reg      *config.Registration
	s        *SignIns
}

// Open holds an answer to its login, which it does not consume. Where the provider
// promises an issuer, a browser has to bring it (RFC 9207).
func (s *SignIns) Open(ctx context.Context, login *account.Login, resp *AuthorizationResponse, browser bool) (*Callback, error) {
	if p := login.Expired(time.Now()); p != nil {
		return nil, p
	}
	reg, err := s.config.Registration(ctx)
	if err != nil {
		return nil, err
	}
	if err := reg.Client.CheckResponseIssuer(ctx, resp.Issuer, browser); err != nil {
		failure, _ := account.NewRefreshError(err, time.Now())
		return nil, failure.LoginProblem(login.Account)
	}
	return &Callback{Login: login, Response: resp, Reg: reg, s: s}, nil
}

// Complete consumes the login and redeems its code, once. What comes of it is noted
// on the account.
func (c *Callback) Complete(ctx context.Context) (*account.Entry, error) {
	ctx, v, err := c.s.enter(ctx, c.Login.Account, c.Reg)
	if err != nil {
		return nil, err
	}
	defer v.leave()
	if err := c.s.consume(ctx, c.Login); err != nil {
		return nil, err
	}
	signIn, err := c.redeem(ctx)
	if err != nil {
		return nil, c.s.end(ctx, c.Login, err)
	}
	return c.s.finish(ctx, c.Reg, c.Login, signIn)
}

// Cancel ends the login at the person's wish.
func (c *Callback) Cancel(ctx context.Context) error {
	if err := c.s.consume(ctx, c.Login); err != nil {
		return err
	}
	_ = c.s.end(ctx, c.Login, problem.FailedLogin("cancelled on the confirm page")) // noted
	return nil
}

// redeem exchanges the code for verified tokens, or says why there are none.
func (c *Callback) redeem(ctx context.Context) (*entra.SignIn, error) {
	login, resp := c.Login, c.Response
	if resp.Error != "" {
		refusal := entra.AuthorizeError(resp.Error, resp.ErrorDescription, resp.ErrorSubcode)
		failure, _ := account.NewRefreshError(refusal, time.Now())
		p := failure.LoginProblem(login.Account)
		if failure.Class == entra.ClassSignIn {
			p.Detail = problem.Declined
		}
		if !entra.KnownNumber(failure.AADSTS) {
			p.Said = "" // it came through a browser: anybody may have written it
			p.Text = fmt.Sprintf("account %q was not signed in: Entra answered with an error", login.Account)
		}
		return nil, p
	}
	if p := login.Mismatch(c.Reg.Entry); p != nil {
		return nil, p
	}
	signIn, err := account.Client(c.Reg, login.ClientAuth).RedeemCode(ctx, entra.CodeRequest{
		Code:        resp.Code,
		Verifier:    login.Verifier,
		Nonce:       login.Nonce,
		RedirectURI: login.RedirectURI,
		Scopes:      login.Scopes,
		Claims:      login.Claims,
	})
	if err != nil {
		return nil, c.s.refused(login.Account, c.Reg, err)
	}
	return signIn, nil
}
