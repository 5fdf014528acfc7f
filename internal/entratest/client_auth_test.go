// SPDX-License-Identifier: MPL-2.0

package entratest_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"vault-plugin-secrets-entra/internal/entratest"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

func TestClientSecret(t *testing.T) {
	w := start(t, entratest.Options{})
	err := w.UpdateApp(w.App.ClientID, func(app *entratest.App) {
		app.Secrets = append(app.Secrets, entratest.Secret{Value: "old-secret", Expired: true},
			entratest.Secret{Value: "second:secret+%"})
	})
	if err != nil {
		t.Fatal(err)
	}
	basic := func(id, secret string) string {
		return "Basic " + base64.StdEncoding.EncodeToString(
			[]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
	}
	for name, test := range map[string]struct {
		changes, headers []string
		status           int
		code             string
		aadsts           int
	}{
		"right":          {},
		"the second one": {changes: []string{"client_secret", "second:secret+%"}},
		"wrong": {[]string{"client_secret", "wrong"}, nil, 401, "invalid_client",
			7000215},
		"none": {[]string{"client_secret", ""}, nil, 401, "invalid_client",
			7000218},
		"expired": {[]string{"client_secret", "old-secret"}, nil, 401,
			"invalid_client", 7000222},
		"in a header": {changes: []string{"client_secret", "", "client_id", ""},
			headers: []string{"Authorization", basic(w.App.ClientID, "second:secret+%")}},
		"wrong in a header": {[]string{"client_secret", ""},
			[]string{"Authorization", basic(w.App.ClientID, "wrong")}, 401, "invalid_client",
			7000215},
		"header and body": {nil,
			[]string{"Authorization", basic(w.App.ClientID, w.App.Secret())}, 400,
			"invalid_request", 9002313},
		"two clients": {[]string{"client_secret", ""},
			[]string{"Authorization", basic(w.PublicApp.ClientID, w.App.Secret())}, 400,
			"invalid_request", 9002313},
		"no Basic header": {[]string{"client_secret", ""},
			[]string{"Authorization", "Bearer x"}, 400, "invalid_request", 9002313},
		"secret and assertion": {[]string{"client_assertion", "x", "client_assertion_type",
			assertionType}, nil, 400, "invalid_request", 9002313},
		"from a web page": {nil, []string{"Origin", "https://spa.example"}, 400,
			"invalid_request", 9002326},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.token(w.codeForm(w.code("alice"), test.changes...), test.headers...)
			if test.code == "" {
				a.good(t)
				return
			}
			a.refused(t, test.status, test.code, test.aadsts)
		})
	}
}

// TestPlatforms checks that whether a credential is needed goes by the redirect URI's
// platform, for the refresh token too, though the app is one and the same.
func TestPlatforms(t *testing.T) {
	const webURI, publicURI, spaURI = "https://vault.example.com/cb",
		"http://localhost:8400/callback", "https://spa.example/cb"
	w := start(t, entratest.Options{RedirectURIs: []entratest.RedirectURI{
		{
			URI:      webURI,
			Platform: entratest.Web,
		}, {URI: publicURI, Platform: entratest.Public}, {URI: spaURI, Platform: entratest.SPA},
	}})
	redeem := func(uri, secret string, headers ...string) answer {
		code := w.code("alice", "redirect_uri", uri)
		return w.token(w.codeForm(code, "redirect_uri", uri, "client_secret", secret), headers...)
	}
	t.Run("web", func(t *testing.T) {
		redeem(webURI, "").refused(t, 401, "invalid_client", 7000218)
		tokens := redeem(webURI, w.App.Secret()).good(t)
		w.refresh(tokens.RefreshToken, "client_secret", "").refused(t, 401, "invalid_client",
			7000218)
		w.refresh(tokens.RefreshToken).good(t)
	})
	t.Run("mobile and desktop", func(t *testing.T) {
		redeem(publicURI, w.App.Secret()).refused(t, 401, "invalid_client", 700025)
		tokens := redeem(publicURI, "").good(t)
		w.refresh(tokens.RefreshToken).refused(t, 401, "invalid_client", 700025)
		w.refresh(tokens.RefreshToken, "client_secret", "").good(t)
	})
	t.Run("single-page application", func(t *testing.T) {
		redeem(spaURI, "").refused(t, 400, "invalid_request", 9002327)
		tokens := redeem(spaURI, "", "Origin", "https://spa.example").good(t)
		w.clock.advance(24 * time.Hour)
		w.token(w.refreshForm(tokens.RefreshToken, "client_secret", ""), "Origin",
			"https://spa.example").refused(
			t,
			400,
			"invalid_grant",
			700084,
		)
	})
	t.Run("an unknown token and a wrong secret", func(t *testing.T) {
		w.refresh("made-up", "client_secret", "wrong").refused(t, 401, "invalid_client", 7000215)
	})
}

// signer makes client assertions by hand, so that each claim can be wrong.
type signer struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

func newSigner(t *testing.T) signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1),
		Subject: pkix.Name{CommonName: "client"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key: key, cert: cert}
}

func (s signer) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert.Raw}))
}

func (s signer) thumbprint(hash crypto.Hash, encoding *base64.Encoding) string {
	if hash == crypto.SHA1 {
		sum := sha1.Sum(s.cert.Raw)
		return encoding.EncodeToString(sum[:])
	}
	sum := sha256.Sum256(s.cert.Raw)
	return encoding.EncodeToString(sum[:])
}

func (s signer) assertion(t *testing.T, algorithm jose.SignatureAlgorithm, header string,
	thumbprint string, claims map[string]any) string {
	t.Helper()
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: s.key},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader(jose.HeaderKey(header), thumbprint))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(made).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestCertificateCredential(t *testing.T) {
	w := start(t, entratest.Options{})
	good, stranger := newSigner(t), newSigner(t)
	if err := w.UpdateApp(w.App.ClientID,
		func(app *entratest.App) { app.Certificates = []string{good.pem()} }); err != nil {
		t.Fatal(err)
	}
	claims := func(changes map[string]any) map[string]any {
		now := w.clock.Now()
		all := map[string]any{
			"aud": w.URL + "/" + w.Tenant() + "/oauth2/v2.0/token", "iss": w.App.ClientID,
			"sub": w.App.ClientID, "jti": "1",
			"nbf": now.Unix(), "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
		}
		for name, value := range changes {
			all[name] = value
		}
		return all
	}
	s256 := good.thumbprint(crypto.SHA256, base64.RawURLEncoding)
	with := func(changes map[string]any) string {
		return good.assertion(t, jose.PS256, "x5t#S256", s256, claims(changes))
	}
	for name, test := range map[string]struct {
		assertion string
		aadsts    int
	}{
		"PS256": {with(nil), 0},
		"padded thumbprint": {good.assertion(t, jose.PS256, "x5t#S256",
			good.thumbprint(crypto.SHA256, base64.URLEncoding), claims(nil)), 0},
		"RS256 with x5t": {good.assertion(t, jose.RS256, "x5t",
			good.thumbprint(crypto.SHA1, base64.RawURLEncoding), claims(nil)), 0},
		"times as strings": {with(map[string]any{"nbf": "1", "exp": "4102444800"}), 0},
		"audience: domain name": {with(map[string]any{"aud": w.URL +
			"/contoso.example/oauth2/v2.0/token"}), 0},
		"audience: the issuer": {with(map[string]any{"aud": w.Authority()}), 0},
		"PS256 with x5t": {good.assertion(t, jose.PS256, "x5t",
			good.thumbprint(crypto.SHA1, base64.RawURLEncoding), claims(nil)), 700027},
		"unregistered": {stranger.assertion(t, jose.PS256, "x5t#S256",
			stranger.thumbprint(crypto.SHA256, base64.RawURLEncoding), claims(nil)), 700027},
		"signed by another": {stranger.assertion(t, jose.PS256, "x5t#S256", s256,
			claims(nil)), 700027},
		"no JWT": {"x.y.z", 700027},
		"other audience": {with(map[string]any{"aud": "https://login.example/token"}),
			700023},
		"other tenant's audience": {with(map[string]any{"aud": w.URL +
			"/fabrikam.example/oauth2/v2.0/token"}), 700023},
		"other issuer":  {with(map[string]any{"iss": "somebody"}), 700021},
		"other subject": {with(map[string]any{"sub": "somebody"}), 700021},
		"expired": {
			with(map[string]any{"exp": w.clock.Now().Add(-6 * time.Minute).Unix()}), 700024},
		"expired, but clocks drift": {
			with(map[string]any{"exp": w.clock.Now().Add(-4 * time.Minute).Unix()}), 0},
		"not yet valid": {
			with(map[string]any{"nbf": w.clock.Now().Add(6 * time.Minute).Unix()}), 700024},
		"no expiry": {with(map[string]any{"exp": nil}), 700024},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.redeem(w.code("alice"), "client_secret", "", "client_assertion", test.assertion,
				"client_assertion_type", assertionType)
			if test.aadsts == 0 {
				a.good(t)
				return
			}
			a.refused(t, 401, "invalid_client", test.aadsts)
		})
	}
	t.Run("no type", func(t *testing.T) {
		w.redeem(w.code("alice"), "client_secret", "", "client_assertion", with(nil)).refused(t,
			400, "invalid_request", 900144)
	})
	t.Run("used again", func(t *testing.T) {
		assertion := with(nil)
		for range 2 {
			w.redeem(w.code("alice"), "client_secret", "", "client_assertion", assertion,
				"client_assertion_type", assertionType).good(
				t,
			)
		}
	})
}
