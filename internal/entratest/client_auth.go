// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionSkew is how far a client's clock may be off.
const assertionSkew = 5 * time.Minute

// credential is what a client presents to prove itself, if anything.
type credential struct {
	clientID  string
	secret    string
	assertion string
}

func (cr credential) presented() bool { return cr.secret != "" || cr.assertion != "" }

// basicCredentials reads a Basic header, whose two halves are form-urlencoded
// before they are joined (RFC 6749, section 2.3.1).
func basicCredentials(r *http.Request) (id, secret string, ok bool) {
	user, password, ok := r.BasicAuth()
	if !ok {
		return "", "", false
	}
	id, errID := url.QueryUnescape(user)
	secret, errSecret := url.QueryUnescape(password)
	return id, secret, errID == nil && errSecret == nil
}

// credential collects what a token request presents. A client must not use
// more than one way (RFC 6749, section 2.3).
func (c *call) credential() (credential, *entraError) {
	cr := credential{clientID: c.form.Get("client_id"), secret: c.form.Get("client_secret"),
		assertion: c.form.Get("client_assertion")}
	if c.r.Header.Get("Authorization") != "" {
		id, secret, ok := basicCredentials(c.r)
		if !ok || cr.presented() || cr.clientID != "" && !strings.EqualFold(cr.clientID, id) {
			return cr, aadsts(9002313, "")
		}
		cr.clientID, cr.secret = id, secret
	}
	if cr.secret != "" && cr.assertion != "" {
		return cr, aadsts(9002313, "")
	}
	if cr.assertion != "" && c.form.Get("client_assertion_type") != jwtBearer {
		return cr, missingParameter("client_assertion_type")
	}
	return cr, nil
}

// authenticate checks a client's credential. Whether there must be one goes by
// the platform of the redirect URI (entra-protocol: 7000218, 700025).
// Where nothing tells the platform, what is presented must at least be right.
func (c *call) authenticate(app *App, cr credential) *entraError {
	switch origin := c.r.Header.Get("Origin"); {
	case c.platform == SPA && origin == "":
		return aadsts(9002327, "")
	case c.platform != SPA && origin != "":
		return aadsts(9002326, "")
	case (c.platform == SPA || c.platform == Public) && cr.presented():
		return aadsts(700025, "")
	case c.platform != Web && !cr.presented():
		return nil
	case cr.assertion != "":
		return c.checkAssertion(app, cr.assertion)
	case cr.secret != "":
		return app.checkSecret(cr.secret)
	}
	return aadsts(7000218, "")
}

func (a *App) checkSecret(secret string) *entraError {
	for _, known := range a.Secrets {
		if subtle.ConstantTimeCompare([]byte(known.Value), []byte(secret)) != 1 {
			continue
		}
		if known.Expired {
			return aadsts(
				7000222,
				fmt.Sprintf(
					"The provided client secret keys for app '%s' are expired. Visit the Azure "+
						"portal to create new keys for your app: "+
						"https://aka.ms/NewClientSecret, or consider using certificate "+
						"credentials for added security.",
					a.ClientID),
			)
		}
		return nil
	}
	return aadsts(
		7000215,
		fmt.Sprintf(
			"Invalid client secret provided. Ensure the secret being sent in the request is "+
				"the client secret value, not the client secret ID, for a secret added to app "+
				"'%s'.",
			a.ClientID),
	)
}

// looseTime is a NumericDate that some clients send as a string.
type looseTime float64

func (t *looseTime) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(strings.Trim(string(b), `"`), 64)
	if err != nil {
		return err
	}
	*t = looseTime(f)
	return nil
}

func (t looseTime) time() time.Time { return time.Unix(int64(t), 0) }

// looseAudience is an aud claim: a string or a list.
type looseAudience []string

func (a *looseAudience) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]string)(a))
	}
	*a = make([]string, 1)
	return json.Unmarshal(b, &(*a)[0])
}

type assertionClaims struct {
	Audience  looseAudience `json:"aud"`
	Issuer    string        `json:"iss"`
	Subject   string        `json:"sub"`
	NotBefore *looseTime    `json:"nbf"`
	Expiry    *looseTime    `json:"exp"`
}

// checkAssertion verifies a certificate credential: PS256 with x5t#S256, or
// RS256 with x5t (learn.microsoft.com, "Microsoft identity platform application
// authentication certificate credentials"). One that was used before is good
// again, as clients in the wild cache them.
func (c *call) checkAssertion(app *App, assertion string) *entraError {
	algorithms := c.s.assertionAlgs
	if len(algorithms) == 0 {
		algorithms = []jose.SignatureAlgorithm{jose.PS256, jose.RS256}
	}
	parsed, err := jose.ParseSignedCompact(assertion, algorithms)
	if err != nil || len(parsed.Signatures) != 1 {
		return aadsts(700027, "Client assertion is no JWT signed with PS256 or RS256.")
	}
	cert := app.certificateOf(parsed.Signatures[0].Protected)
	if cert == nil {
		return aadsts(
			700027,
			"The certificate with identifier used to sign the client assertion is not "+
				"registered on application.",
		)
	}
	payload, err := parsed.Verify(cert.PublicKey)
	if err != nil {
		return aadsts(700027, "Client assertion failed signature validation.")
	}
	var claims assertionClaims
	if err := json.Unmarshal(payload, &claims); err != nil {
		return aadsts(9002313, "")
	}
	now := c.s.now()
	switch {
	case !strings.EqualFold(claims.Issuer, app.ClientID),
		!strings.EqualFold(claims.Subject, app.ClientID):
		return aadsts(700021, "")
	case !c.isOurAudience(claims.Audience):
		return aadsts(700023, "")
	case claims.Expiry == nil, claims.NotBefore == nil,
		claims.Expiry.time().Add(assertionSkew).Before(now),
		claims.NotBefore.time().Add(-assertionSkew).After(now):
		return aadsts(
			700024,
			fmt.Sprintf("Client assertion is not within its valid time range. Current time: %s.",
				now.UTC().Format(time.RFC3339)),
		)
	}
	return nil
}

// isOurAudience accepts the token endpoint, under any name of the tenant, and
// the issuer.
func (c *call) isOurAudience(audiences []string) bool {
	for _, aud := range audiences {
		u, err := url.Parse(aud)
		if err != nil || u.Scheme != "https" || !strings.EqualFold(u.Host, c.host()) {
			continue
		}
		segment, rest, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
		if c.at.policy != "" {
			rest = strings.TrimPrefix(rest, c.at.policy+"/")
		}
		named, refused := c.s.authorityFor(c.host(), segment, c.at.policy)
		if refused == nil && named.directory() == c.at.directory() &&
			(rest == "oauth2/v2.0/token" || rest == "v2.0") {
			return true
		}
	}
	return false
}

// certificateOf finds the registered certificate that an assertion's header
// names: by SHA-256 thumbprint with PS256, by SHA-1 thumbprint with RS256.
func (a *App) certificateOf(header jose.Header) *x509.Certificate {
	name, digest := jose.HeaderKey(
		"x5t#S256"), func(der []byte) []byte { s := sha256.Sum256(der); return s[:] }
	if _, ok := header.ExtraHeaders[name]; !ok && header.Algorithm == string(jose.RS256) {
		name, digest = "x5t", func(der []byte) []byte { s := sha1.Sum(der); return s[:] }
	}
	thumbprint, _ := header.ExtraHeaders[name].(string)
	want, err := base64.RawURLEncoding.DecodeString(
		strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(thumbprint), "="))
	if err != nil || len(want) == 0 {
		return nil
	}
	for _, text := range a.Certificates {
		cert, err := parseCertificate(text)
		if err != nil {
			continue
		}
		if _, ok := cert.PublicKey.(*rsa.PublicKey); ok &&
			subtle.ConstantTimeCompare(digest(cert.Raw), want) == 1 {
			return cert
		}
	}
	return nil
}
