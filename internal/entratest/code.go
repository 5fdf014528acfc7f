// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"time"
)

// authCode is an authorization code and all that it is bound to.
type authCode struct {
	username    string
	clientID    string
	redirectURI string
	platform    Platform
	policy      string
	scope       string
	nonce       string
	challenge   string // PKCE, "" for none
	method      string
	issued      time.Time
	sequence    int64 // of the sign-in
	redeemed    bool
}

// codeLifetime is how long an authorization code works. s.mu must be held.
func (s *Simulator) codeLifetime() time.Duration {
	if s.lifetimes.Code != 0 {
		return s.lifetimes.Code
	}
	return 10 * time.Minute
}

// issueCode makes an authorization code. s.mu must be held.
func (s *Simulator) issueCode(code authCode) string {
	code.issued = s.now()
	for value, old := range s.codes {
		if code.issued.Sub(old.issued) > s.codeLifetime()+time.Hour {
			delete(s.codes, value)
		}
	}
	value := "1.AXo" + randomString(240)
	s.codes[value] = &code
	return value
}

// redeemCode is the authorization code grant (RFC 6749, section 4.1.3; RFC
// 7636, section 4.6). A request that is refused does not use the code up.
func (c *call) redeemCode(app *App) (*grant, *entraError) {
	value, redirectURI := c.form.Get("code"), c.form.Get("redirect_uri")
	if value == "" {
		return nil, missingParameter("code")
	}
	if redirectURI == "" {
		return nil, missingParameter("redirect_uri")
	}
	code := c.s.codes[value]
	switch {
	case code == nil:
		return nil, malformedGrant()
	case code.clientID != app.ClientID:
		return nil, aadsts(70000,
			"Provided grant is invalid: the authorization code was issued to another client.")
	case code.policy != c.at.policy:
		return nil, otherProviderError("invalid_grant",
			"AADB2C90088: The provided grant has not been issued for this endpoint.")
	case code.redeemed:
		return nil, aadsts(54005, "")
	case c.s.now().Sub(code.issued) >= c.s.codeLifetime():
		return nil, aadsts(70008, "")
	case code.redirectURI != redirectURI:
		return nil, aadsts(
			500112,
			fmt.Sprintf(
				"The reply address '%s' does not match the reply address '%s' provided when "+
					"requesting Authorization code.",
				redirectURI, code.redirectURI),
		)
	}
	if refused := code.checkVerifier(c.form.Get("code_verifier")); refused != nil {
		return nil, refused
	}
	u, refused := c.s.userOf(code.username)
	if refused != nil {
		return nil, refused
	}
	if !c.at.admits(u.TenantID) {
		return nil, aadsts(50020, "")
	}
	req, resource, refused := c.codeScopes(code)
	if refused != nil {
		return nil, refused
	}
	g, refused := c.grant(app, u, req, resource, code.sequence)
	if refused != nil {
		return nil, refused
	}
	code.redeemed = true
	g.nonce = code.nonce
	if req.offline && !c.omits("refresh_token") {
		g.refresh = c.s.startFamily(g, code.platform, code.policy)
	}
	return g, nil
}

// codeScopes reads the scopes of a code's redemption. Without any, they are
// those of the authorization request, for the first resource it named. openid
// and offline_access count where this request names them: MSAL for Go sends
// them to the token endpoint only, and gets its refresh token.
func (c *call) codeScopes(code *authCode) (*scopeRequest, *resourceRequest, *entraError) {
	authorized, refused := c.s.parseScopes(code.scope, c.at)
	if refused != nil {
		return nil, nil, refused
	}
	raw := c.form.Get("scope")
	if raw == "" {
		if len(authorized.resources) == 0 {
			return authorized, c.s.graphOnly(), nil
		}
		return authorized, authorized.resources[0], nil
	}
	req, refused := c.s.parseScopes(raw, c.at)
	if refused != nil {
		return nil, nil, refused
	}
	if len(req.resources) == 0 && len(authorized.resources) > 0 {
		return nil, nil, aadsts(28003, "")
	}
	resource, refused := c.oneResource(req)
	return req, resource, refused
}

// checkVerifier compares a PKCE verifier with the challenge. One without the
// other is refused: taking a verifier that no challenge asked for would hide a
// downgrade (RFC 9700, section 2.1.1).
func (code *authCode) checkVerifier(verifier string) *entraError {
	switch {
	case code.challenge == "" && verifier == "":
		if code.platform == SPA {
			return aadsts(9002325, "")
		}
		return nil
	case code.challenge == "" || verifier == "":
		return aadsts(50148, "")
	case len(verifier) < 43 || len(verifier) > 128:
		e := aadsts(501491, "Invalid size of Code_Verifier parameter.")
		e.Err = "invalid_grant"
		return e
	}
	computed := verifier
	if code.method == "S256" {
		sum := sha256.Sum256([]byte(verifier))
		computed = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	if subtle.ConstantTimeCompare([]byte(computed), []byte(code.challenge)) != 1 {
		return aadsts(501481, "")
	}
	return nil
}
