// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"context"
	"maps"
	"slices"

	"golang.org/x/oauth2"
)

// AuthorizeRequest is one attempt to sign in. State, Nonce and Verifier come from NewRandom, each
// its own.
type AuthorizeRequest struct {
	RedirectURI  string
	ResponseMode string // form_post or query; "" leaves it to the provider
	State        string
	Nonce        string
	Verifier     Secret // only its S256 challenge goes into the URL
	// may be of several resources; openid, profile and offline_access are added
	Scopes     []string
	Prompt     string
	LoginHint  string
	DomainHint string
	Claims     string // JSON object, or ""
}

// reservedScopes are sent with every request: they make the ID token (openid), put the user's name
// into it (profile) and bring a refresh token (offline_access).
var reservedScopes = []string{"openid", "profile", "offline_access"}

// NewRandom returns 256 random bits in base64url, 43 characters: enough for a state, a nonce, and
// a code verifier (RFC 7636 section 4.1).
func NewRandom() string { return oauth2.GenerateVerifier() }

// AuthorizeURL returns the URL that a person opens to sign in. It is built offline for the three
// environments; at an authority_url the (cached) discovery document is needed. The error is an
// *Error.
func (c *Client) AuthorizeURL(ctx context.Context, r AuthorizeRequest) (string, error) {
	configuredClaims := c.cfg.AuthorizeParams["claims"]
	if r.Claims != "" {
		configuredClaims = ""
	}
	claims, err := c.claimsParameter(configuredClaims + r.Claims)
	if err != nil {
		return "", err
	}
	provider, err := c.provider(ctx)
	if err != nil {
		return "", err
	}
	params := maps.Clone(c.cfg.AuthorizeParams)
	if params == nil {
		params = map[string]string{}
	}
	for name, own := range map[string]string{
		"response_mode": r.ResponseMode,
		"nonce":         r.Nonce,
		"prompt":        r.Prompt,
		"login_hint":    r.LoginHint,
		"domain_hint":   r.DomainHint,
		"claims":        claims,
	} {
		if own != "" {
			params[name] = own
		}
	}
	if params["prompt"] == "select_account" {
		delete(params,
			"login_hint") // the two contradict each other: the hint would choose the account
	}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(r.Verifier.Reveal())}
	for name, value := range params {
		options = append(options, oauth2.SetAuthURLParam(name, value))
	}
	request := oauth2.Config{
		ClientID:    c.cfg.ClientID,
		Endpoint:    oauth2.Endpoint{AuthURL: provider.AuthorizationURL},
		RedirectURL: r.RedirectURI,
		Scopes:      withReserved(r.Scopes),
	}
	return request.AuthCodeURL(r.State, options...), nil
}

// withReserved appends the reserved scopes that are missing, and drops what stands there twice. The
// order is kept.
func withReserved(scopes []string) []string {
	var wire []string
	for _, scope := range slices.Concat(scopes, reservedScopes) {
		if !slices.Contains(wire, scope) {
			wire = append(wire, scope)
		}
	}
	return wire
}
