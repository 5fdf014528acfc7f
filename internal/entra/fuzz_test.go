// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/go-jose/go-jose/v4"
)

// checkError holds an error made of what came from outside to what every one
// promises.
func checkError(t *testing.T, err error, secrets ...string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("not an *Error: %v", err)
	}
	if e.Class == "" {
		t.Errorf("no class: %+v", e)
	}
	for _, text := range []string{e.Error(), e.Reason(), e.Code, e.Suberror, e.CorrelationID,
		e.TraceID} {
		if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("not printable: %q", text)
		}
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("a secret is shown: %q", text)
			}
		}
	}
	if len([]rune(e.Description)) > maxDescription || e.RetryAfter < 0 ||
		e.RetryAfter > maxRetryAfter {
		t.Errorf("not capped: %+v", e)
	}
	if e.Claims != "" && !isJSONObject(e.Claims) {
		t.Errorf("claims %q", e.Claims)
	}
}

func FuzzTokenAnswer(f *testing.F) {
	const secret = "a-refresh-token-that-was-sent-to-it"
	for _, seed := range []struct {
		status int
		retry  string
		body   string
	}{
		{200, "", `{"access_token":"a","refresh_token":"r","expires_in":"3600","scope":"User.Read","id_token":"a.b.c"}`},
		{400, "", `{"error":"invalid_grant","error_description":"AADSTS50173: gone\r\nTrace ID: 11111111-2222-3333-4444-555555555555","error_codes":[50173],"suberror":"bad_token","claims":"{}"}`},
		{429, "60", "slow down"},
		{400, "", `{"error":"x","error_description":"` + secret + `"}`},
		{200, "", `{"error":7,"access_token":null}`},
	} {
		f.Add(seed.status, seed.retry, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, status int, retry string, body []byte) {
		a := &answer{host: "login.example", sent: time.Now(), status: status,
			header: http.Header{"Retry-After": {retry}}, body: body}
		granted, err := a.tokens([]string{"User.Read"}, redactor{secret}, time.Now())
		if err != nil {
			checkError(t, err, secret)
			return
		}
		if granted.tokens.AccessToken == "" ||
			granted.tokens.Expiry.Before(granted.tokens.Obtained) ||
			granted.tokens.Expiry.Sub(granted.tokens.Obtained) > maxLifetime ||
			status != http.StatusOK {
			t.Errorf("granted %+v", granted)
		}
	})
}

func FuzzAuthorizeError(f *testing.F) {
	f.Add("access_denied", "AADSTS65004: declined", "cancel")
	f.Add("", "\x00\u202e<script>", "")
	f.Fuzz(func(t *testing.T, code, description, subcode string) {
		checkError(t, AuthorizeError(code, description, subcode))
	})
}

func FuzzDiscovery(f *testing.F) {
	f.Add(
		[]byte(
			`{"issuer":"https://a.example","authorization_endpoint":"https://a.example/a","token_endpoint":"https://a.example/t","jwks_uri":"https://a.example/k"}`,
		),
	)
	f.Add([]byte(`{"issuer":"http://a"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		doc, err := parseDiscovery(body, false)
		if err != nil {
			return
		}
		for _, endpoint := range []string{doc.AuthorizationURL, doc.TokenURL, doc.KeysURL} {
			if !strings.HasPrefix(strings.ToLower(endpoint), "https://") {
				t.Errorf("endpoint %q", endpoint)
			}
		}
		issuerFits("https://login.microsoftonline.com/common/v2.0", doc.Issuer)
	})
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"a"},{"kty":"EC"},7]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		set, err := parseKeys(body)
		if err == nil && len(set.keys) == 0 {
			t.Error("a key set without keys")
		}
		if set == nil {
			return
		}
		for _, key := range set.keys {
			if !key.canSign() {
				t.Errorf("a key that cannot sign: %v", key.KeyID)
			}
		}
	})
}

// FuzzIDToken checks that what verifies was signed by the issuer's key.
func FuzzIDToken(f *testing.F) {
	p := newProvider(f)
	c := p.client(nil)
	good := p.idToken(nil)
	nonce := Secret("the-nonce")
	alice, err := c.verifyIDToken(context.Background(), good, &nonce)
	if err != nil {
		f.Fatal(err)
	}
	parts := strings.Split(good, ".")
	f.Add(good)
	f.Add(sign(f, jose.HS256, []byte("0123456789abcdef0123456789abcdef"), "one", p.claims(nil)))
	f.Add("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.")
	f.Add(parts[0] + ".eyJzdWIiOiJ4In0." + parts[2])
	f.Add(parts[0] + "." + parts[1] + ".")
	p.Close() // no network from here on: the keys are held
	f.Fuzz(func(t *testing.T, raw string) {
		user, err := c.verifyIDToken(context.Background(), raw, &nonce)
		if err == nil &&
			// base64 can be written in more than one way, but this is all that was ever signed
			user != alice {
			t.Errorf("verified: %q as %+v", raw, user)
		}
		if err != nil && user != (Identity{}) {
			t.Errorf("a user without a verified token: %+v", user)
		}
	})
}

// FuzzScopes checks that what passes is of one resource, and any refusal can be shown to the
// operator.
func FuzzScopes(f *testing.F) {
	f.Add("User.Read https://management.azure.com//.default", "user.read")
	f.Add("openid api://x/.default", "")
	f.Fuzz(func(t *testing.T, asked, granted string) {
		scopes := strings.Fields(asked)
		if missing := Missing(scopes, append(strings.Fields(granted), scopes...)); len(
			missing) != 0 {
			t.Errorf("granted and missing: %q", missing)
		}
		if err := CheckScopes(scopes); err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("the error is not printable: %q", err)
			}
			return
		}
		if CheckScopes(append(scopes, "api://a.resource.of.its.own/scope")) == nil &&
			!strings.Contains(strings.ToLower(asked), "api://a.resource.of.its.own/") {
			t.Errorf("%q passes with another resource", scopes)
		}
	})
}
