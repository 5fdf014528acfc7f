// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	defaultLifetime = 5 * time.Minute     // of a token whose answer does not say
	maxLifetime     = 30 * 24 * time.Hour // no access token is believed to live longer
)

// CodeRequest redeems an authorization code. Everything but Code is what the authorization URL was
// made with.
type CodeRequest struct {
	Code        Secret
	Verifier    Secret
	Nonce       Secret
	RedirectURI string
	Scopes      []string // of one resource: those that the access token is for
	Claims      string   // JSON object, or ""
}

// RefreshRequest redeems a refresh token.
type RefreshRequest struct {
	RefreshToken Secret
	Scopes       []string // of one resource; nil at other providers than Entra: as first granted
	Claims       string   // JSON object (a claims challenge, say), or ""
	User         Identity // Refresh: who the answer must be for; the zero Identity = not checked
}

// SignIn is a verified user and the tokens that user's sign-in brought.
type SignIn struct {
	User   Identity
	Tokens Tokens
}

// Tokens is the answer of a token endpoint, without its ID token.
type Tokens struct {
	AccessToken  Secret
	TokenType    string // always Bearer: see wireTokens.bearer
	RefreshToken Secret // "" = the answer had none
	// space-separated, as granted; as asked for where the answer does not say
	Scope    string
	Obtained time.Time // UTC, when the request was sent
	// UTC; Obtained where the answer says zero or less, five minutes after it where it does not say
	Expiry time.Time
	// UTC; from here on the provider wants the token refreshed, while it is still good until
	// Expiry; zero where it says nothing
	RefreshAfter time.Time
}

// RedeemCode exchanges an authorization code for tokens and verifies the ID token that comes with
// them. A code works once: what the verification needs is fetched before it is sent. The error is
// an *Error.
func (c *Client) RedeemCode(ctx context.Context, r CodeRequest) (*SignIn, error) {
	if err := c.readyToVerify(ctx); err != nil {
		return nil, err
	}
	answer, err := c.redeem(ctx, r.Scopes, r.Claims, url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {r.Code.Reveal()},
		"redirect_uri":  {r.RedirectURI},
		"code_verifier": {r.Verifier.Reveal()},
		"scope":         {strings.Join(withReserved(r.Scopes), " ")},
	})
	if err != nil {
		return nil, err
	}
	return c.signIn(ctx, answer, &r.Nonce)
}

// RedeemRefreshToken makes a sign-in of a refresh token that was obtained elsewhere: it uses the
// token once and verifies the ID token that comes back, which has no nonce of ours. The error is an
// *Error.
func (c *Client) RedeemRefreshToken(ctx context.Context, r RefreshRequest) (*SignIn, error) {
	if err := c.readyToVerify(ctx); err != nil {
		return nil, err
	}
	answer, err := c.refresh(ctx, r)
	if err != nil {
		return nil, err
	}
	return c.signIn(ctx, answer, nil)
}

// Refresh uses a refresh token: one HTTP request, never repeated here, after discovery where an
// authority_url needs that. The error is an *Error.
func (c *Client) Refresh(ctx context.Context, r RefreshRequest) (*Tokens, error) {
	answer, err := c.refresh(ctx, r)
	if err != nil {
		return nil, err
	}
	if r.User != (Identity{}) && answer.idToken != "" {
		if err := c.checkSameUser(answer.idToken, r.User); err != nil {
			return nil, signInError(err.Error())
		}
	}
	return &answer.tokens, nil
}

func (c *Client) refresh(ctx context.Context, r RefreshRequest) (*tokenAnswer, error) {
	provider, err := c.provider(ctx)
	if err != nil {
		return nil, err
	}
	form := url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {r.RefreshToken.Reveal()},
	}
	entra := c.atEntra(provider)
	if len(r.Scopes) > 0 || entra {
		form.Set("scope", strings.Join(refreshScopes(provider, r.Scopes), " "))
	}
	header := http.Header{}
	if user := r.User; entra && user.ObjectID != "" && user.TenantID != "" {
		// As MSAL does: it leads to the user's region, and to the backup service in an outage.
		header.Set("X-AnchorMailbox", "Oid:"+user.ObjectID+"@"+user.TenantID)
	}
	answer, err := c.redeemWith(ctx, r.Scopes, r.Claims, form, header)
	var refused *Error
	if errors.As(err, &refused) {
		refused.reclassifyRefresh()
	}
	return answer, err
}

// refreshScopes are those to ask for at a refresh. Entra must be sent them (AADSTS90009 otherwise),
// but no scope may be among them that was not granted at first (RFC 6749 section 6), and some
// providers ignore `profile` at the authorize endpoint only to refuse it here: a reserved scope
// that the provider's discovery does not know is left out.
func refreshScopes(provider *discovery, scopes []string) []string {
	return slices.DeleteFunc(withReserved(scopes), func(scope string) bool {
		return len(provider.Scopes) > 0 && slices.Contains(reservedScopes, scope) &&
			!slices.Contains(provider.Scopes, scope)
	})
}

// signIn verifies who signed in. Without a verified user there are no tokens either.
func (c *Client) signIn(ctx context.Context, answer *tokenAnswer, nonce *Secret) (*SignIn, error) {
	user, err := c.verifyIDToken(ctx, answer.idToken, nonce)
	var unavailable *Error
	if errors.As(err, &unavailable) {
		return nil, unavailable
	}
	if err != nil {
		return nil, signInError("ID token refused: " + answer.secrets.clean(err.Error()))
	}
	return &SignIn{User: user, Tokens: answer.tokens}, nil
}

// tokenAnswer is what a token endpoint granted. The ID token in it is not verified.
type tokenAnswer struct {
	tokens  Tokens
	idToken string
	secrets redactor // of the request
}

// redeem sends one token request: the grant in form, with the client's credential and the claims
// added. The error is an *Error.
func (c *Client) redeem(ctx context.Context, asked []string, claims string,
	form url.Values) (*tokenAnswer, error) {
	return c.redeemWith(ctx, asked, claims, form, nil)
}

// redeemWith is redeem with more headers.
func (c *Client) redeemWith(ctx context.Context, asked []string, claims string, form url.Values,
	header http.Header) (*tokenAnswer, error) {
	claims, err := c.claimsParameter(claims)
	if err != nil {
		return nil, err
	}
	if claims != "" {
		form.Set("claims", claims)
	}
	provider, err := c.provider(ctx)
	if err != nil {
		return nil, err
	}
	a, secrets, err := c.post(ctx, provider, provider.TokenURL, form, header)
	if err != nil {
		return nil, err
	}
	return a.tokens(asked, secrets, c.cfg.Now())
}

// post sends a form with the client's credential. The error is an *Error.
func (c *Client) post(ctx context.Context, provider *discovery, endpoint string, form url.Values,
	header http.Header) (*answer, redactor, error) {
	authorization, err := c.authenticate(provider, form)
	if err != nil {
		return nil, nil, &Error{Class: ClassClient,
			Description: "the client assertion cannot be signed", Err: err}
	}
	secrets := newRedactor(c.cfg.ClientID, form, c.cfg.ClientSecret)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint,
		strings.NewReader(form.Encode()))
	if err != nil {
		return nil, nil, &Error{Class: ClassTransient,
			Description: oneLine("cannot ask " + endpoint), Err: err}
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	a, err := c.do(ctx, req)
	return a, secrets, err
}

// authenticate adds the client's credential to the form, or returns the Authorization header for
// the providers that offer nothing else. It never tries one after the other: a code that was sent
// once is spent.
func (c *Client) authenticate(provider *discovery,
	form url.Values) (authorization string, err error) {
	basicOnly := slices.Contains(provider.AuthMethods, "client_secret_basic") &&
		!slices.Contains(provider.AuthMethods, "client_secret_post")
	if c.cfg.ClientSecret != "" && basicOnly {
		return "Basic " + basicCredentials(c.cfg.ClientID, c.cfg.ClientSecret), nil
	}
	form.Set("client_id", c.cfg.ClientID)
	switch {
	case c.cfg.ClientSecret != "":
		form.Set("client_secret", c.cfg.ClientSecret.Reveal())
	case c.cfg.Certificate != nil:
		assertion, err := c.cfg.Certificate.assertion(c.assertionAlgorithm(provider),
			c.cfg.ClientID, provider.TokenURL,
			c.cfg.Now())
		if err != nil {
			return "", err
		}
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", assertion.Reveal())
	}
	return "", nil
}

// assertionAlgorithm is PS256 at Entra, which says nothing of it in discovery, and wherever RS256
// is not among what discovery names. Else it is RS256, which every provider should take (OpenID
// Connect Discovery section 3) and AD FS alone does.
func (c *Client) assertionAlgorithm(provider *discovery) jose.SignatureAlgorithm {
	named := provider.AssertionAlgs
	onlyPS := slices.Contains(named, string(jose.PS256)) &&
		!slices.Contains(named, string(jose.RS256))
	if len(named) == 0 && c.atEntra(provider) || onlyPS {
		return jose.PS256
	}
	return jose.RS256
}

// atEntra reports whether the authority is Entra, by its host or by what its discovery document
// says, as that of a proxy or of a simulator does.
func (c *Client) atEntra(provider *discovery) bool {
	return c.authority.isEntra() || provider.CloudInstance != ""
}

// tokens reads the answer to a token request.
func (a *answer) tokens(asked []string, secrets redactor, now time.Time) (*tokenAnswer, error) {
	if a.status != http.StatusOK {
		return nil, a.refusal(secrets, now)
	}
	granted, err := parseTokens(a.body, a.sent, asked)
	switch {
	case errors.Is(err, errRefusedWithOK):
		return nil, a.refusal(secrets, now)
	case err != nil:
		e := a.refusal(secrets, now)
		e.Class, e.Err = ClassTransient, err
		e.Description = oneLine(
			"the token answer from " + a.host + " cannot be used: " + err.Error())
		if errors.Is(err, errNoAccessToken) {
			e.Class = ClassRequest
		}
		return nil, e
	}
	granted.secrets = secrets
	return granted, nil
}

var (
	errRefusedWithOK = errors.New("an error with status 200") // not RFC 6749, and seen
	errNoAccessToken = errors.New(
		"it holds no access token: name a scope of the API that the token is for")
)

// wireTokens is the answer of RFC 6749 section 5.1 and OpenID Connect Core section 3.1.3.3.
type wireTokens struct {
	AccessToken  string          `json:"access_token"`
	TokenType    string          `json:"token_type"`
	RefreshToken string          `json:"refresh_token"`
	IDToken      string          `json:"id_token"`
	Scope        json.RawMessage `json:"scope"`
	RefreshIn    json.RawMessage `json:"refresh_in"` // Entra's, of long-lived tokens
	ExpiresIn    json.RawMessage `json:"expires_in"` // a number; a string at B2C
	// (what is raw is never held against the tokens it comes with)
	Error json.RawMessage `json:"error"`
}

// parseTokens reads a successful answer. No error repeats anything of it.
func parseTokens(body []byte, sent time.Time, asked []string) (*tokenAnswer, error) {
	var wire wireTokens
	if err := json.Unmarshal(body, &wire); err != nil {
		return nil, jsonProblem(err)
	}
	switch {
	case wire.AccessToken == "" && text(wire.Error) != "":
		return nil, errRefusedWithOK
	case wire.AccessToken == "" && wire.IDToken != "": // B2C, asked for nothing but openid
		return nil, errNoAccessToken
	case wire.AccessToken == "":
		return nil, errors.New("it holds no access token")
	case !wire.bearer():
		return nil, errors.New("its token_type is not Bearer")
	}
	scope := strings.Fields(text(wire.Scope))
	if len(scope) == 0 {
		scope = slices.DeleteFunc(slices.Clone(asked),
			func(s string) bool { return slices.Contains(reservedScopes, s) })
	}
	return &tokenAnswer{
		tokens: Tokens{
			AccessToken:  Secret(wire.AccessToken),
			TokenType:    "Bearer",
			RefreshToken: Secret(wire.RefreshToken),
			Scope:        strings.Join(scope, " "),
			Obtained:     sent,
			Expiry:       sent.Add(lifetime(wire.ExpiresIn)),
			RefreshAfter: refreshAfter(wire, sent),
		},
		idToken: wire.IDToken,
	}, nil
}

// refreshAfter reads refresh_in, which Entra sends with tokens of many hours. One that does not lie
// within the token's life is none.
func refreshAfter(wire wireTokens, sent time.Time) time.Time {
	after, _ := duration(wire.RefreshIn)
	if after == 0 || after >= lifetime(wire.ExpiresIn) {
		return time.Time{}
	}
	return sent.Add(after)
}

// bearer reports whether the token is a bearer token. One of another type must not be used by who
// does not know that type (RFC 6749 section 7.1). It is no word about the user or the grant, so the
// error is transient. A missing type counts as Bearer.
func (w wireTokens) bearer() bool {
	return w.TokenType == "" || strings.EqualFold(w.TokenType, "Bearer")
}

// lifetime reads expires_in; where it is not a number, the default.
func lifetime(raw json.RawMessage) time.Duration {
	if d, isNumber := duration(raw); isNumber {
		return d
	}
	return defaultLifetime
}

// duration reads seconds as a number or as a string, with or without a fraction.
func duration(raw json.RawMessage) (d time.Duration, isNumber bool) {
	seconds, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64)
	tooLarge := errors.Is(err, strconv.ErrRange) // a number all the same, unlike NaN and infinity
	if err != nil && !tooLarge || math.IsNaN(seconds) || math.IsInf(seconds, 0) && !tooLarge {
		return 0, false
	}
	return time.Duration(min(max(seconds, 0), maxLifetime.Seconds())) * time.Second, true
}
