// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// clockLeeway is for exp and nbf: as much as Microsoft's own libraries allow.
const clockLeeway = 5 * time.Minute

// signingAlgorithms never hold "none" and no HMAC: with the latter, a public key would be a
// password everybody knows.
var signingAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256}

// Identity is the user that a verified ID token names. The texts are the provider's, as they came:
// escape them for display.
type Identity struct {
	Issuer   string // iss
	Subject  string // sub: the user, for this client only
	TenantID string // tid, "" at providers that have none
	ObjectID string // oid, "" at providers that have none
	// first of preferred_username, email, upn, name, sub: for people to read, not to tell users
	// apart
	Username          string
	PreferredUsername string
	Name              string

	// AccountType is the optional claim acct: "member" or "guest" of the tenant, "" = not said.
	// Provider is the claim idp, which a token has where somebody else than the tenant knows the
	// user: a guest's own directory or mail provider ("ID token claims reference"). Both are for
	// the check at a sign-in, and not stored.
	AccountType string `json:"-"`
	Provider    string `json:"-"`
}

// IsGuest reports whether the token says that the user is a guest in the tenant, whose names are
// then another directory's.
func (i Identity) IsGuest() bool {
	if i.AccountType != "" {
		return i.AccountType == "guest"
	}
	return i.Provider != "" && i.Provider != i.Issuer &&
		(i.TenantID == "" || !strings.Contains(i.Provider, i.TenantID))
}

// Is says whether both are the same user: by tid and oid where both have an oid, else by iss and
// sub. Names can change, and pass to somebody else.
func (i Identity) Is(o Identity) bool {
	if i.ObjectID != "" && o.ObjectID != "" {
		if i.TenantID == "" ||
			o.TenantID == "" { // the oid is unique in its tenant, and iss is what is known of that
			return i.ObjectID == o.ObjectID && i.Issuer == o.Issuer
		}
		return i.ObjectID == o.ObjectID && i.TenantID == o.TenantID
	}
	return i.Subject != "" && i.Subject == o.Subject && i.Issuer == o.Issuer
}

// readyToVerify fetches what an ID token will be checked against, so that nothing is spent at the
// token endpoint while it cannot be had. The error is an *Error.
func (c *Client) readyToVerify(ctx context.Context) error {
	if _, err := c.issuerRule(ctx); err != nil {
		return err
	}
	_, err := c.keys.get(ctx)
	return err
}

// verifyIDToken checks an ID token as OpenID Connect Core section 3.1.3.7 says. A nil nonce means
// that none was sent. The error is an *Error of ClassTransient where keys or discovery cannot be
// had; any other says what is wrong with the token.
func (c *Client) verifyIDToken(ctx context.Context, raw string, nonce *Secret) (Identity, error) {
	if raw == "" {
		return Identity{}, errors.New("there is none in the answer")
	}
	jws, err := jose.ParseSignedCompact(raw, signingAlgorithms)
	if err != nil {
		return Identity{}, errors.New("it is not a token signed with RS256, PS256 or ES256")
	}
	rule, err := c.issuerRule(ctx)
	if err != nil {
		return Identity{}, err
	}
	unverified, err := parseClaims(jws.UnsafePayloadWithoutVerification())
	if err != nil {
		return Identity{}, err
	}
	tid := unverified.text("tid")
	issuer, err := rule.issuer(tid)
	if err != nil {
		return Identity{}, err
	}
	header := jws.Signatures[0].Protected
	check := &signature{keys: c.keys, keyID: header.KeyID,
		algorithm: jose.SignatureAlgorithm(header.Algorithm), tid: tid}
	if rule.keysHaveSame {
		check.issuer = issuer
	}
	token, err := oidc.NewVerifier(issuer, check, &oidc.Config{
		ClientID:             c.cfg.ClientID,
		SupportedSigningAlgs: algorithmNames(),
		SkipExpiryCheck:      true, // go-oidc has no leeway for exp: see checkTimes
		Now:                  c.cfg.Now,
	}).Verify(ctx, raw)
	if check.unavailable != nil {
		return Identity{}, check.unavailable
	}
	if err != nil {
		return Identity{}, errors.New(strings.TrimPrefix(err.Error(), "oidc: "))
	}
	claims := unverified // the same bytes, whose signature is good now
	if err := errors.Join(c.checkParties(claims, token), claims.checkTimes(c.cfg.Now()),
		claims.checkNonce(nonce)); err != nil {
		return Identity{}, err
	}
	if tid == "" && rule.impliesTid {
		claims["tid"] = rule.tenant
	}
	return claims.identity(), nil
}

func algorithmNames() []string {
	var names []string
	for _, algorithm := range signingAlgorithms {
		names = append(names, string(algorithm))
	}
	return names
}

// checkParties checks whom the token is about, and that it was issued to this client alone or with
// this client as the authorized party.
func (c *Client) checkParties(claims idClaims, token *oidc.IDToken) error {
	azp, azpGiven := claims["azp"]
	switch {
	case token.Issuer != claims.text("iss"): // go-oidc reads names of claims in any case
		return errors.New("its iss is ambiguous")
	case claims.text("sub") == "" || token.Subject != claims.text("sub"):
		return errors.New("it has no sub")
	case azpGiven && azp != c.cfg.ClientID:
		return errors.New("its azp is another client")
	case !azpGiven && len(token.Audience) > 1:
		return errors.New("it has several audiences and no azp")
	}
	return nil
}

// idClaims is the payload of an ID token. Only this package ever sees one.
type idClaims map[string]any

func parseClaims(payload []byte) (idClaims, error) {
	var claims idClaims
	if err := json.Unmarshal(payload, &claims); err != nil || claims == nil {
		return nil, errors.New("its claims are not a JSON object")
	}
	return claims, nil
}

// text is a claim that is a string. One that is not is as good as absent.
func (claims idClaims) text(name string) string {
	s, _ := claims[name].(string)
	return s
}

// date is a NumericDate (RFC 7519 section 2).
func (claims idClaims) date(name string) (time.Time, bool) {
	seconds, ok := claims[name].(float64)
	if !ok || seconds < 0 || seconds > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}

func (claims idClaims) checkTimes(now time.Time) error {
	expiry, hasExpiry := claims.date("exp")
	_, hasIssued := claims.date("iat")
	notBefore, hasNotBefore := claims.date("nbf")
	_, givesNotBefore := claims["nbf"]
	switch {
	case !hasExpiry:
		return errors.New("it has no exp")
	case !hasIssued:
		return errors.New("it has no iat")
	case givesNotBefore && !hasNotBefore:
		return errors.New("its nbf is not a date")
	case now.After(expiry.Add(clockLeeway)):
		return fmt.Errorf("it expired at %s (this machine's clock says %s)",
			expiry.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case hasNotBefore && now.Add(clockLeeway).Before(notBefore):
		return fmt.Errorf("it is not valid before %s (this machine's clock says %s)",
			notBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

func (claims idClaims) checkNonce(nonce *Secret) error {
	if nonce == nil {
		return nil
	}
	if *nonce == "" ||
		subtle.ConstantTimeCompare([]byte(claims.text("nonce")), []byte(nonce.Reveal())) != 1 {
		return errors.New("its nonce is not this login's")
	}
	return nil
}

func (claims idClaims) identity() Identity {
	user := Identity{
		Issuer:            claims.text("iss"),
		Subject:           claims.text("sub"),
		TenantID:          claims.text("tid"),
		ObjectID:          claims.text("oid"),
		PreferredUsername: claims.text("preferred_username"),
		Name:              claims.text("name"),
	}
	user.Provider = claims.text("idp")
	switch acct := claims["acct"]; acct {
	case 0.0, "0":
		user.AccountType = "member"
	case 1.0, "1":
		user.AccountType = "guest"
	}
	for _, name := range []string{"preferred_username", "email", "upn", "name", "sub"} {
		if user.Username = claims.text(name); user.Username != "" {
			break
		}
	}
	return user
}

// checkSameUser checks the ID token of a refresh. A refresh may bring an ID token, which must be
// about the same user and for this client (OpenID Connect Core section 12.2). It came over TLS from
// the token endpoint itself, which section 3.1.3.7 (6) accepts in place of its signature: a rotated
// refresh token must not be lost because the keys endpoint is down.
func (c *Client) checkSameUser(raw string, user Identity) error {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return errors.New("the ID token in the answer cannot be read")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return errors.New("the ID token in the answer cannot be read")
	}
	claims, err := parseClaims(payload)
	if err != nil {
		return errors.New("the ID token in the answer cannot be read")
	}
	if !claims.identity().Is(user) {
		return errors.New("the answer is for another user than the one who signed in")
	}
	audiences, several := claims["aud"].([]any)
	if claims["aud"] != c.cfg.ClientID &&
		!(several && slices.Contains(audiences, any(c.cfg.ClientID))) {
		return errors.New("the ID token in the answer is for another client")
	}
	return nil
}
