// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The device code grant's name, and the short one that some clients send.
const (
	deviceGrantURN   = "urn:ietf:params:oauth:grant-type:device_code"
	deviceGrantShort = "device_code"
)

// grant is what a token response is made of.
type grant struct {
	app      *App
	user     User
	scopes   *scopeRequest
	resource *resourceRequest
	granted  string // the scope member
	nonce    string
	sequence int64  // of the sign-in
	refresh  string // the new refresh token, or ""
	lifetime time.Duration
	cae      bool
}

// token is the token endpoint.
func (c *call) token() {
	g, refused := c.redeem()
	if refused != nil {
		c.refuse(refused)
		return
	}
	c.entry.User = g.user.Username
	c.answerTokens(g)
}

func (c *call) redeem() (*grant, *entraError) {
	if c.r.Method != http.MethodPost {
		return nil, aadsts(900561, "")
	}
	for name, values := range c.form {
		if len(values) > 1 {
			return nil, aadsts(9000411,
				"The request is not properly formatted. The parameter '"+name+"' is duplicated.")
		}
	}
	if c.form.Get("grant_type") == "" {
		return nil, missingParameter("grant_type")
	}
	cr, refused := c.credential()
	if refused != nil {
		return nil, refused
	}
	c.s.mu.Lock()
	app, refused := c.s.appAt(c.at, cr.clientID)
	c.s.mu.Unlock()
	if refused != nil {
		return nil, refused
	}
	cae, refused := c.wantsCAE()
	if refused != nil {
		return nil, refused
	}

	var redeem func(*App) (*grant, *entraError)
	switch c.entry.GrantType {
	case "authorization_code":
		redeem = c.redeemCode
	case "refresh_token":
		redeem = c.redeemRefreshToken
	case deviceGrantShort:
		redeem = c.redeemDeviceCode
	default:
		return nil, aadsts(70003,
			"The app requested an unsupported grant type '"+c.form.Get("grant_type")+"'.")
	}
	if refused := c.authenticate(app, cr); refused != nil {
		return nil, refused
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	g, refused := redeem(app)
	if refused != nil {
		return nil, refused
	}
	g.cae = cae
	g.lifetime = c.s.tokenLifetime(app, cae)
	return g, nil
}

// wantsCAE reads the claims parameter: cp1 among the values of xms_cc declares
// a client that understands claims challenges.
func (c *call) wantsCAE() (bool, *entraError) {
	raw := c.form.Get("claims")
	if raw == "" {
		return false, nil
	}
	var claims struct {
		AccessToken struct {
			Capabilities struct {
				Values []string `json:"values"`
			} `json:"xms_cc"`
		} `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(raw), &claims); err != nil {
		return false, aadsts(9002313, "")
	}
	return slices.ContainsFunc(claims.AccessToken.Capabilities.Values,
		func(v string) bool { return strings.EqualFold(v, "cp1") }), nil
}

// tokenLifetime of a new access token. s.mu must be held.
func (s *Simulator) tokenLifetime(app *App, cae bool) time.Duration {
	switch l := s.lifetimes; {
	case cae && l.CAEToken != 0:
		return l.CAEToken
	case app.AccessTokenLifetime != 0:
		return app.AccessTokenLifetime
	case l.AccessToken != 0:
		return l.AccessToken
	case cae:
		return randomBetween(20*time.Hour, 28*time.Hour)
	}
	return randomBetween(60*time.Minute, 90*time.Minute)
}

// oneResource picks the resource of a token request: the only one its scopes
// name, or Graph where they name none. s.mu must be held.
func (c *call) oneResource(req *scopeRequest) (*resourceRequest, *entraError) {
	switch len(req.resources) {
	case 0:
		return c.s.graphOnly(), nil
	case 1:
		return req.resources[0], nil
	}
	return nil, aadsts(
		28000,
		"Provided value for the input parameter scope is not valid because it contains more "+
			"than one resource. Scope "+req.raw+" is not valid.",
	)
}

// grant checks that the user may have what is asked now, and puts the token
// response's parts together. s.mu must be held.
func (c *call) grant(app *App, u *userRecord, req *scopeRequest, resource *resourceRequest,
	sequence int64) (*grant, *entraError) {
	if refused := u.refusal(sequence, resource.Resource); refused != nil {
		return nil, refused
	}
	for _, name := range app.expand(resource) {
		if !c.s.consents[consentKey{u.ObjectID, app.ClientID, resource.AppID}][name] {
			return nil, notConsented(u, app)
		}
	}
	return &grant{
		app: app, user: u.User, scopes: req, resource: resource, sequence: sequence,
		granted: c.s.granted(u, app, req, resource),
	}, nil
}

// notConsented is the refusal of what a user has not agreed to. Personal accounts have another
// number for it, which elsewhere means a bad grant.
func notConsented(u *userRecord, app *App) *entraError {
	if u.TenantID == PersonalTenantID {
		e := aadsts(70000, "The request was denied because one or more scopes requested are "+
			"unauthorized or expired. The user must first sign in and grant the client "+
			"application access to the requested scope.")
		e.Suberror = ""
		return e
	}
	return aadsts(65001, "The user or administrator has not consented to use the application "+
		"with ID '"+app.ClientID+"' named '"+app.Name+"'. Send an interactive authorization "+
		"request for this user and resource.")
}

// userOf finds the user a code or token was issued for. s.mu must be held.
func (s *Simulator) userOf(username string) (*userRecord, *entraError) {
	if u := s.users[userKey(username)]; u != nil {
		return u, nil
	}
	return nil, aadsts(50034, "")
}

// answerTokens builds the token response, with what a fault changes in it.
func (c *call) answerTokens(g *grant) {
	seconds := int64(g.lifetime / time.Second)
	response := map[string]any{
		"token_type":     "Bearer",
		"scope":          g.granted,
		"expires_in":     seconds,
		"ext_expires_in": seconds,
		"access_token":   c.s.issueAccessToken(c.at, g),
	}
	if c.at.policy != "" {
		response["expires_in"] = strconv.FormatInt(seconds, 10)
	}
	if g.lifetime >= 2*time.Hour {
		response["refresh_in"] = seconds / 2
	}
	if g.refresh != "" {
		response["refresh_token"] = g.refresh
	}
	if g.scopes.openid {
		response["id_token"] = c.idToken(g)
	}
	if c.form.Get("client_info") == "1" {
		response["client_info"] = clientInfo(g.user)
	}
	c.change(response)
	c.json(http.StatusOK, response)
	if c.fault != nil {
		c.fault.headers(c)
	}
}

// change makes of a good answer what a fault says.
func (c *call) change(response map[string]any) {
	if c.fault == nil {
		return
	}
	for _, name := range c.fault.Omit {
		delete(response, name)
	}
	for name, value := range c.fault.Set {
		response[name] = value
	}
}

// omits reports whether a fault leaves a member out of the token response.
func (c *call) omits(member string) bool {
	return c.fault != nil && slices.Contains(c.fault.Omit, member)
}
