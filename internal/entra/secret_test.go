// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/hashicorp/go-hclog"
)

// TestSecretIsNeverPrinted checks that no verb shows it, JSON stores it.
func TestSecretIsNeverPrinted(t *testing.T) {
	type holder struct{ Token Secret }
	const plain = "PLAIN-secret-value"
	secret := Secret(plain)
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s"} {
		fmt.Fprintf(&out, verb+"\n", secret)
		fmt.Fprintf(&out, verb+"\n", holder{secret})
		fmt.Fprintf(&out, verb+"\n", []Secret{secret})
		fmt.Fprintf(&out, verb+"\n", map[string]Secret{"a": secret})
	}
	fmt.Fprintln(&out, secret, &secret, fmt.Errorf("failed: %s", secret), secret.String())
	hclog.New(&hclog.LoggerOptions{Output: &out}).Error("message", "secret", secret)
	slog.New(slog.NewJSONHandler(&out, nil)).Error("message", "secret", secret)
	slog.New(slog.NewTextHandler(&out, nil)).Error("message", "secret", secret)
	if strings.Contains(out.String(), plain) ||
		strings.Contains(out.String(), fmt.Sprintf("%x", plain)) ||
		strings.Contains(out.String(), fmt.Sprintf("%X", plain)) {
		t.Errorf("printed: %s", out.String())
	}
	stored, err := json.Marshal(holder{secret})
	var back holder
	if err != nil || json.Unmarshal(stored, &back) != nil || back.Token.Reveal() != plain {
		t.Errorf("stored as %s, %v", stored, err)
	}
}

// TestSecretInJSON checks that what is stored comes back, whatever it holds, and what is no JSON
// string is refused.
func TestSecretInJSON(t *testing.T) {
	for _, plain := range []string{"", "a", "eyJ0eXAi.eyJhdWQi-_.c2ln", `a"b`, `a\b`, "a\nb\x00",
		"pässwörd ☂", "<&>", "\u2028", `"`, "'~ "} {
		stored, err := json.Marshal(Secret(plain))
		if err != nil {
			t.Fatal(err)
		}
		var back Secret
		if err := json.Unmarshal(stored, &back); err != nil || back.Reveal() != plain {
			t.Errorf("%q is stored as %s and comes back as %q, %v", plain, stored, back.Reveal(),
				err)
		}
	}
	for _, wrong := range []string{"", `"`, `"a`, `a"`, `"a"b"`, `"\"`, "\"a\nb\"", "1", "{}"} {
		var s Secret
		if err := s.UnmarshalJSON([]byte(wrong)); err == nil {
			t.Errorf("%q is taken for %q", wrong, s.Reveal())
		}
	}
}

// TestClientIsNeverPrinted checks that a client and what holds one show no secret.
func TestClientIsNeverPrinted(t *testing.T) {
	p := newProvider(t)
	certPEM, keyPEM := certificate(t)
	cert, err := ParseCertificate(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	c := p.client(func(cfg *Config) { cfg.Certificate = cert })
	shown := fmt.Sprintf("%v %+v %#v %v %+v %+v", c, c, c, cert, cert, *c)
	if strings.Contains(shown, "s3cret-of-the-client") ||
		strings.Contains(shown, signingKeys()[0].D.String()) {
		t.Errorf("printed: %s", shown)
	}
}

func certificate(t *testing.T) (certPEM string, keyPEM Secret) {
	t.Helper()
	key := signingKeys()[0]
	template := &x509.Certificate{SerialNumber: big.NewInt(7),
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		Secret(
			pem.EncodeToMemory(
				&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		)
}

// TestAssertion is what Microsoft's page on certificate credentials asks for.
func TestAssertion(t *testing.T) {
	certPEM, keyPEM := certificate(t)
	cert, err := ParseCertificate(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Truncate(time.Second)
	seen := map[string]bool{}
	for range 3 {
		raw, err := cert.assertion(jose.PS256, "client", "https://login.example/token", now)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jwt.ParseSigned(raw.Reveal(), []jose.SignatureAlgorithm{jose.PS256})
		if err != nil {
			t.Fatal(err)
		}
		var claims jwt.Claims
		if err := parsed.Claims(signingKeys()[0].Public(), &claims); err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode([]byte(certPEM))
		digest := sha256.Sum256(block.Bytes)
		header := parsed.Headers[0]
		if header.ExtraHeaders["x5t#S256"] != base64.RawURLEncoding.EncodeToString(digest[:]) ||
			header.ExtraHeaders["typ"] != "JWT" ||
			header.Algorithm != "PS256" {
			t.Errorf("header %+v", header)
		}
		if claims.Issuer != "client" || claims.Subject != "client" ||
			!claims.Audience.Contains("https://login.example/token") ||
			claims.ID == "" ||
			seen[claims.ID] {
			t.Errorf("claims %+v", claims)
		}
		seen[claims.ID] = true
		if life := claims.Expiry.Time().Sub(now); life < 5*time.Minute || life > 10*time.Minute ||
			!claims.NotBefore.Time().Equal(now) ||
			!claims.IssuedAt.Time().Equal(now) {
			t.Errorf("it lives %s", life)
		}
	}
}

func TestRedactor(t *testing.T) {
	secret := "abcdefghijklmnopqrstuvwxyz0123456789+/="
	r := newRedactor("id", map[string][]string{"code": {secret}}, "client/secret+value")
	for _, text := range []string{secret, "abcdefghijklmnopqrstuvwxyz0123456789%2B%2F%3D",
		secret[:20], secret[5:25], "x" + secret + "y", "client/secret+value",
		basicCredentials("id", "client/secret+value")} {
		if got := r.clean("before " + text + " after"); strings.Contains(got, text) ||
			!strings.Contains(got, redacted) ||
			!strings.HasPrefix(got, "before ") ||
			!strings.HasSuffix(got, " after") {
			t.Errorf("%q became %q", text, got)
		}
	}
	if got := r.clean("abcdefghij"); got != "abcdefghij" {
		t.Errorf("a short piece became %q", got)
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"a\r\nb\tc": "a b c", "\x1b[31mred": "[31mred", "a\u202eb": "a b", "  x ": "x",
		"\xff\xfe": "", "Grüße": "Grüße",
	} {
		if got := oneLine(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	if got := []rune(oneLine(strings.Repeat("ä", 5000))); len(got) != maxDescription {
		t.Errorf("%d runes are left", len(got))
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "60": time.Minute, " 7 ": 7 * time.Second, "0": 0, "-5": 0,
		"999999999999999999999": time.Hour, "86400": time.Hour, "soon": 0, "1.5": 0,
		"Mon, 23 Nov 2026 12:00:30 GMT": 30 * time.Second, "Mon, 23 Nov 2026 11:00:00 GMT": 0,
		"Tue, 24 Nov 2026 12:00:00 GMT": time.Hour,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

func TestClaimsParameter(t *testing.T) {
	for _, test := range []struct {
		capabilities []string
		own, want    string
		bad          bool
	}{
		{nil, "", "", false},
		{nil, `{"a":1}`, `{"a":1}`, false},
		{[]string{"cp1"}, "", `{"access_token":{"xms_cc":{"values":["cp1"]}}}`, false},
		{[]string{"cp1"}, `{"access_token":null}`, `{"access_token":{"xms_cc":{"values":["cp1"]}}}`,
			false},
		{[]string{"cp1"}, `{"access_token":{"nbf":{"value":12345678901234567890}}}`,
			`{"access_token":{"nbf":{"value":12345678901234567890},"xms_cc":{"values":["cp1"]}}}`,
			false},
		{nil, `[1]`, "", true}, {nil, `null`, "", true}, {[]string{"cp1"}, `x`, "", true},
	} {
		c := &Client{cfg: Config{Capabilities: test.capabilities}}
		got, err := c.claimsParameter(test.own)
		var e *Error
		if got != test.want || (err != nil) != test.bad ||
			test.bad && (!errors.As(err, &e) || e.Class != ClassRequest) {
			t.Errorf("%q with %q: %q, %v", test.own, test.capabilities, got, err)
		}
	}
}
