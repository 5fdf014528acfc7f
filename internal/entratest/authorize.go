// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// signInFlow is a checked authorization request that waits for a person.
type signInFlow struct {
	at           authority
	app          *App
	redirectURI  string
	platform     Platform
	responseMode string
	state        string
	scope        string
	scopes       *scopeRequest
	nonce        string
	challenge    string
	method       string
	prompt       string
	loginHint    string
	clientInfo   bool
	challenged   bool // the request carries the claims of mfaClaims
	opened       time.Time
	username     string // who has signed in and is being asked for consent
}

// session is a browser that has signed in: the cookie is its key.
type session struct {
	username string
	sequence int64 // of the sign-in
}

const (
	sessionCookie = "ESTSAUTHPERSISTENT"
	flowLifetime  = time.Hour
)

// authorize is the authorize endpoint (RFC 6749, section 4.1.1). As long as
// client and redirect URI are not known to be good, errors are shown as a page
// and never redirected.
func (c *call) authorize() {
	for name, values := range c.form {
		if len(values) > 1 {
			c.errorPage(
				aadsts(
					9000411,
					"The request is not properly formatted. The parameter '"+name+
						"' is duplicated.",
				),
			)
			return
		}
	}
	flow, refused := c.authorizeTarget()
	if refused != nil {
		c.errorPage(refused)
		return
	}
	if refused := c.authorizeParameters(flow); refused != nil {
		if refused.Page {
			c.errorPage(refused)
			return
		}
		c.redirectError(flow, refused)
		return
	}
	c.s.mu.Lock()
	u, sequence := c.signedIn(flow)
	consented := u != nil && c.s.consented(u, flow.app, flow.scopes)
	c.s.mu.Unlock()
	switch {
	case flow.prompt == "none" && u == nil:
		c.redirectError(
			flow,
			aadsts(
				50058,
				"Session information is not sufficient for single-sign-on: a silent sign-in "+
					"request was sent but no user is signed in.",
			),
		)
	case flow.prompt == "none" && !consented:
		e := aadsts(65001, "")
		e.Err = "consent_required"
		c.redirectError(flow, e)
	case u == nil || flow.prompt == "login" || flow.prompt == "select_account":
		c.openFlow(flow)
	case flow.prompt == "consent" || !consented:
		flow.username = u.Username
		c.openFlow(flow)
	default:
		c.complete(flow, u.Username, sequence)
	}
}

// authorizeTarget checks where an answer would go to.
func (c *call) authorizeTarget() (*signInFlow, *entraError) {
	c.s.mu.Lock()
	app, refused := c.s.appAt(c.at, c.form.Get("client_id"))
	c.s.mu.Unlock()
	if refused != nil {
		return nil, refused
	}
	redirectURI := c.form.Get("redirect_uri")
	if redirectURI == "" {
		return nil, aadsts(900971, "")
	}
	platform := app.platformOf(redirectURI)
	if platform == "" {
		return nil, aadsts(
			50011,
			"The redirect URI '"+redirectURI+"' specified in the request does not match the "+
				"redirect URIs configured for the application '"+app.ClientID+"'.",
		)
	}
	return &signInFlow{
		at: c.at, app: app, redirectURI: redirectURI, platform: platform,
		responseMode: "query", state: c.form.Get("state"), opened: c.s.now(),
	}, nil
}

// authorizeParameters checks the rest; what it refuses is redirected.
func (c *call) authorizeParameters(flow *signInFlow) *entraError {
	switch mode := c.form.Get("response_mode"); {
	case mode == "", mode == "query":
	case mode == "form_post", mode == "fragment" && flow.platform != Web:
		flow.responseMode = mode
	default:
		return aadsts(70007,
			"'"+mode+"' is not a supported value of 'response_mode' when requesting a token.")
	}
	switch c.form.Get("response_type") {
	case "code":
	case "":
		return missingParameter("response_type")
	default:
		return aadsts(700051,
			"response_type '"+c.form.Get("response_type")+"' is not enabled for the application.")
	}
	flow.prompt = c.form.Get("prompt")
	prompts := []string{"", "login", "none", "consent", "select_account"}
	if c.at.isExternalID() {
		prompts = append(prompts, "create") // sign up instead of sign in
	}
	if !slices.Contains(prompts, flow.prompt) {
		return aadsts(90023, "Unsupported 'prompt' value.")
	}
	if flow.prompt != "select_account" { // which shows the picker, whatever the hint
		flow.loginHint = c.form.Get("login_hint")
	}
	if claims := c.form.Get("claims"); claims != "" {
		if !json.Valid([]byte(claims)) {
			return aadsts(9002313, "")
		}
		flow.challenged = answersChallenge(claims)
	}
	flow.nonce, flow.clientInfo = c.form.Get("nonce"), c.form.Get("client_info") == "1"
	if refused := c.challenge(flow); refused != nil {
		return refused
	}
	if flow.scope = c.form.Get("scope"); strings.TrimSpace(flow.scope) == "" {
		return missingParameter("scope")
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	var refused *entraError
	if flow.scopes, refused = c.s.parseScopes(flow.scope, c.at); refused != nil {
		return refused
	}
	if refused := flow.scopes.together(); refused != nil {
		return refused
	}
	return flow.scopes.askable(flow.app)
}

// challenge reads the PKCE parameters (RFC 7636, section 4.3: no method means
// plain).
func (c *call) challenge(flow *signInFlow) *entraError {
	flow.challenge, flow.method = c.form.Get("code_challenge"), c.form.Get("code_challenge_method")
	switch {
	case flow.challenge == "" && flow.method != "":
		return aadsts(50147, "")
	case flow.challenge == "":
		return nil
	case flow.method == "":
		flow.method = "plain"
	case flow.method != "plain" && flow.method != "S256":
		return aadsts(50149, "")
	}
	if len(flow.challenge) < 43 || len(flow.challenge) > 128 {
		return aadsts(501491, "")
	}
	return nil
}

// authorizeRefused answers as for a request that Entra refuses, whatever the
// request says: by a redirect if the redirect URI is good, else by a page.
func (c *call) authorizeRefused(e *entraError) {
	c.discard()
	flow, unknown := c.authorizeTarget()
	if unknown != nil {
		c.errorPage(e)
		return
	}
	if c.form.Get("response_mode") == "form_post" {
		flow.responseMode = "form_post"
	}
	c.redirectError(flow, e)
}

// signedIn returns the user of the browser's session, if that is good for this
// flow. s.mu must be held.
func (c *call) signedIn(flow *signInFlow) (*userRecord, int64) {
	cookie, err := c.r.Cookie(sessionCookie)
	if err != nil {
		return nil, 0
	}
	current, ok := c.s.sessions[cookie.Value]
	if !ok {
		return nil, 0
	}
	u := c.s.users[userKey(current.username)]
	if u == nil || !flow.at.admits(u.TenantID) ||
		flow.loginHint != "" && u != c.s.userNamed(flow.loginHint) {
		return nil, 0
	}
	if u.refusal(current.sequence, nil) != nil {
		return nil, 0
	}
	for _, r := range flow.scopes.resources {
		if u.refusal(current.sequence, r.Resource) != nil {
			return nil, 0
		}
	}
	return u, current.sequence
}

// openFlow remembers the request and shows the page that it waits on.
func (c *call) openFlow(flow *signInFlow) {
	id := randomString(24)
	c.s.mu.Lock()
	for old, f := range c.s.flows {
		if flow.opened.Sub(f.opened) > flowLifetime {
			delete(c.s.flows, old)
		}
	}
	c.s.flows[id] = flow
	c.s.mu.Unlock()
	if flow.username != "" {
		c.consentPage(id, flow)
		return
	}
	c.signInPage(id, flow, "")
}

// complete answers the client with a code.
func (c *call) complete(flow *signInFlow, username string, sequence int64) {
	s := c.s
	s.mu.Lock()
	u, refused := s.userOf(username)
	if refused == nil {
		refused = s.consent(u, flow.app, flow.scopes)
	}
	if refused != nil {
		s.mu.Unlock()
		c.redirectError(flow, refused)
		return
	}
	code := s.issueCode(authCode{
		username: u.Username, clientID: flow.app.ClientID, redirectURI: flow.redirectURI,
		platform: flow.platform, policy: flow.at.policy,
		scope: flow.scope, nonce: flow.nonce, challenge: flow.challenge, method: flow.method,
		sequence: sequence,
	})
	user := u.User
	s.mu.Unlock()
	params := url.Values{"code": {code}, "session_state": {randomGUID()}}
	if flow.clientInfo {
		params.Set("client_info", clientInfo(user))
	}
	c.redirect(flow, params)
}

// redirectError answers the client with an error (RFC 6749, section 4.1.2.1).
func (c *call) redirectError(flow *signInFlow, e *entraError) {
	c.entry.Error, c.entry.AADSTS = e.Err, e.Code
	body := e.body(c.host(), c.traceID, c.correlationID, c.s.now())
	params := url.Values{"error": {e.Err},
		"error_description": {strings.ReplaceAll(body.Description, "\r\n", " ")}}
	if body.URI != "" {
		params.Set("error_uri", body.URI)
	}
	if e.Subcode != "" {
		params.Set("error_subcode", e.Subcode)
	}
	c.redirect(flow, params)
}

// redirect sends the browser back to the client.
func (c *call) redirect(flow *signInFlow, params url.Values) {
	if flow.state != "" {
		params.Set("state", flow.state)
	}
	if flow.responseMode == "form_post" {
		c.formPostPage(flow.redirectURI, params)
		return
	}
	target := flow.redirectURI
	switch {
	case flow.responseMode == "fragment":
		target += "#" + params.Encode()
	case strings.Contains(target, "?"):
		target += "&" + params.Encode() + "#"
	default:
		// Entra ends a query redirect in an empty fragment.
		target += "?" + params.Encode() + "#"
	}
	c.status = http.StatusFound
	c.header.Set("Location", target)
}
