// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// TestIDTokenClaims checks each claim that can be wrong, and how far.
func TestIDTokenClaims(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	at := func(d time.Duration) int64 { return p.now.Add(d).Unix() }
	for name, test := range map[string]struct {
		change  map[string]any
		refused string // "" = accepted
	}{
		"as it should be":  {nil, ""},
		"another audience": {map[string]any{"aud": "other"}, "audience"},
		"no audience":      {map[string]any{"aud": nil}, "audience"},
		"several audiences with azp": {map[string]any{"aud": []string{testClient, "other"},
			"azp": testClient}, ""},
		"several audiences sans azp": {map[string]any{"aud": []string{testClient, "other"}},
			"azp"},
		"azp is another":   {map[string]any{"azp": "other"}, "azp"},
		"azp is no string": {map[string]any{"azp": 1}, "azp"},
		"another issuer": {map[string]any{"iss": "https://evil.example/v2.0"},
			"issue"},
		"no issuer":      {map[string]any{"iss": nil}, "issue"},
		"another tenant": {map[string]any{"tid": otherTenant}, "is not the tenant"},
		"tid no GUID":    {map[string]any{"tid": "x/../y"}, "is not the tenant"},
		"no tid":         {map[string]any{"tid": nil}, "is not the tenant"},
		"iss a second time": {map[string]any{"iss": "https://evil.example/",
			"iſs": p.issuer(testTenant)}, "ambiguous"},
		"nbf is negative":          {map[string]any{"nbf": -1}, "nbf is not a date"},
		"exp is in the far future": {map[string]any{"exp": int64(1) << 41}, "exp"},
		"no sub":                   {map[string]any{"sub": nil}, "sub"},
		"empty sub":                {map[string]any{"sub": ""}, "sub"},
		"sub is a number":          {map[string]any{"sub": 7}, "claims"},
		"expired beyond the leeway": {map[string]any{"exp": at(-5*time.Minute - time.Second)},
			"expired"},
		"expired within the leeway": {map[string]any{"exp": at(-5 * time.Minute)}, ""},
		"no exp":                    {map[string]any{"exp": nil}, "exp"},
		"exp is a string":           {map[string]any{"exp": "tomorrow"}, "claims"},
		"not before, beyond": {map[string]any{"nbf": at(5*time.Minute + time.Second)},
			"not valid before"},
		"not before, within":           {map[string]any{"nbf": at(5 * time.Minute)}, ""},
		"no nbf":                       {map[string]any{"nbf": nil}, ""},
		"nbf is a string":              {map[string]any{"nbf": "now"}, "claims"},
		"no iat":                       {map[string]any{"iat": nil}, "iat"},
		"another nonce":                {map[string]any{"nonce": "other"}, "nonce"},
		"no nonce":                     {map[string]any{"nonce": nil}, "nonce"},
		"nonce of another type":        {map[string]any{"nonce": 7}, "nonce"},
		"no oid: the subject is there": {map[string]any{"oid": nil}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p.setAnswer(200, nil, p.tokens(map[string]any{"id_token": p.idToken(test.change)}))
			signIn, err := c.RedeemCode(context.Background(), goodCode)
			if test.refused == "" {
				if err != nil || signIn.User.Username != "alice@contoso.example" {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) || e.Class != ClassSignIn ||
				!strings.Contains(e.Description, "ID token refused: ") ||
				!strings.Contains(e.Description, test.refused) {
				t.Errorf("answered %v, %v", signIn, err)
			}
		})
	}
}

// TestIDTokenSignature checks that nothing but the issuer's own keys and algorithms verifies.
func TestIDTokenSignature(t *testing.T) {
	p := newProvider(t)
	good := p.idToken(nil)
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"one"}`))
	public, err := x509.MarshalPKIXPublicKey(p.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"another key, the same id":   sign(t, jose.RS256, signingKeys()[1], "one", p.claims(nil)),
		"another key, an unknown id": sign(t, jose.RS256, signingKeys()[1], "two", p.claims(nil)),
		"another kind of key":        sign(t, jose.ES256, curve, "one", p.claims(nil)),
		"HS256 with the public key":  sign(t, jose.HS256, public, "one", p.claims(nil)),
		"alg none":                   none + "." + parts[1] + ".",
		"alg none, a signature":      none + "." + parts[1] + "." + parts[2],
		"RS512":                      sign(t, jose.RS512, p.key, "one", p.claims(nil)),
		"changed claims": parts[0] + "." +
			base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"x"}`)) + "." + parts[2],
		"no signature": parts[0] + "." + parts[1],
		"garbage":      "garbage",
		"empty":        "",
	} {
		t.Run(name, func(t *testing.T) {
			c := p.client(nil)
			p.setAnswer(200, nil, p.tokens(map[string]any{"id_token": token}))
			signIn, err := c.RedeemCode(context.Background(), goodCode)
			var e *Error
			if !errors.As(err, &e) || e.Class != ClassSignIn || signIn != nil {
				t.Errorf("answered %v, %v", signIn, err)
			}
		})
	}
	c := p.client(nil)
	p.setAnswer(200, nil,
		p.tokens(map[string]any{"id_token": sign(t, jose.PS256, p.key, "one", p.claims(nil))}))
	if _, err := c.RedeemCode(context.Background(), goodCode); err != nil {
		t.Errorf("PS256 is refused: %v", err)
	}
}

// TestIDTokenIssuers checks what counts as the issuer, at each kind of authority.
func TestIDTokenIssuers(t *testing.T) {
	const other = otherTenant
	for name, test := range map[string]struct {
		// tenant in the URL; tenant_id; tenant in discovery's issuer
		authority, tenantID, discovered string
		tid, iss                        string // of the token
		keyIssuer                       string // tenant in the key's issuer; "" = none
		works                           bool
	}{
		"common, its own tenant": {"common", "", tenantPlaceholder, other, other, "", true},
		"common, iss of another tenant": {"common", "", tenantPlaceholder, other, testTenant, "",
			false},
		"common, tid no GUID": {"common", "", tenantPlaceholder, "evil", "evil", "",
			false},
		"common, no tid": {"common", "", tenantPlaceholder, "", tenantPlaceholder,
			"", false},
		"common, key of all tenants": {"common", "", tenantPlaceholder, other, other,
			tenantPlaceholder, true},
		"common, key of that tenant": {"common", "", tenantPlaceholder, other, other, other,
			true},
		"common, key of another": {"common", "", tenantPlaceholder, other, other, testTenant,
			false},
		"a domain, GUID in discovery": {"contoso.example", "", testTenant, testTenant, testTenant,
			"", true},
		"a domain, token of another": {"contoso.example", "", testTenant, other, other, "",
			false},
		"a GUID beside the authority": {"contoso.example", testTenant, testTenant, testTenant,
			testTenant, "", true},
		"the GUID is another": {"contoso.example", other, testTenant, testTenant,
			testTenant, "", false},
		"common, a personal account": {"common", "", tenantPlaceholder, personalTenant,
			personalTenant, "", true},
		"organizations": {"organizations", "", tenantPlaceholder, other, other, "",
			true},
		"organizations, personal": {"organizations", "", tenantPlaceholder, personalTenant,
			personalTenant, "", false},
		"Organizations, personal": {"Organizations", "", tenantPlaceholder, personalTenant,
			personalTenant, "", false},
		"consumers, a personal account": {"consumers", "", personalTenant, personalTenant,
			personalTenant, "", true},
		"consumers, a work account": {"consumers", "", personalTenant, other, other, "", false},
		"one tenant, key of another": {testTenant, "", testTenant, testTenant, testTenant, other,
			false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			p.document["issuer"] = p.issuer(test.discovered)
			if test.keyIssuer != "" {
				p.publish(p.key, p.keyID, p.issuer(test.keyIssuer))
			}
			c := p.client(
				func(cfg *Config) {
					cfg.AuthorityURL, cfg.TenantID = p.issuer(test.authority),
						test.tenantID
				},
			)
			change := map[string]any{"iss": p.issuer(test.iss), "tid": test.tid}
			if test.tid == "" {
				change["tid"] = nil
			}
			p.setAnswer(200, nil, p.tokens(map[string]any{"id_token": p.idToken(change)}))
			_, err := c.RedeemCode(context.Background(), goodCode)
			if (err == nil) != test.works {
				t.Errorf("answered %v", err)
			}
		})
	}
}

// TestIDTokenConfiguredIssuer checks that what the operator says counts more than discovery.
func TestIDTokenConfiguredIssuer(t *testing.T) {
	p := newProvider(t)
	c := p.client(func(cfg *Config) { cfg.Issuer = "https://b2c.example/tid/v2.0/" })
	for iss, works := range map[string]bool{"https://b2c.example/tid/v2.0/": true,
		"https://b2c.example/tid/v2.0": false, p.issuer(testTenant): false} {
		p.setAnswer(200, nil,
			p.tokens(map[string]any{"id_token": p.idToken(map[string]any{"iss": iss})}))
		if _, err := c.RedeemCode(context.Background(), goodCode); (err == nil) != works {
			t.Errorf("iss %s: %v", iss, err)
		}
	}
}

// TestKeysUnreachable is nobody's bad signature, and the code is not spent.
func TestKeysUnreachable(t *testing.T) {
	p := newProvider(t)
	p.down["/keys"] = true
	_, err := p.client(nil).RedeemCode(context.Background(), goodCode)
	var e *Error
	if !errors.As(err, &e) || e.Class != ClassTransient {
		t.Errorf("answered %v", err)
	}
	if p.count("/token") != 0 {
		t.Error("the code was spent")
	}
}

// TestKeyRollover checks that an unknown key costs one fetch, and forged ones not many.
func TestKeyRollover(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	redeem := func() error {
		_, err := c.RedeemCode(context.Background(), goodCode)
		return err
	}
	if err := redeem(); err != nil || p.count("/keys") != 1 {
		t.Fatalf("at first: %v, %d fetches", err, p.count("/keys"))
	}
	p.key, p.keyID = signingKeys()[1], "two"
	p.publish(p.key, p.keyID, "")
	if err := redeem(); err != nil || p.count("/keys") != 2 {
		t.Fatalf("after the rollover: %v, %d fetches", err, p.count("/keys"))
	}
	forged := sign(t, jose.RS256, signingKeys()[0], "three", p.claims(nil))
	p.setAnswer(200, nil, p.tokens(map[string]any{"id_token": forged}))
	for range 50 {
		if redeem() == nil {
			t.Fatal("a forged token was accepted")
		}
	}
	if n := p.count("/keys"); n > 2+maxRenewals {
		t.Errorf("fifty forged tokens caused %d fetches", n-2)
	}
}

// TestWaiterLeaves checks that a caller who leaves gets away, and the fetch goes on.
func TestWaiterLeaves(t *testing.T) {
	release := make(chan struct{})
	fetches := 0
	f := &fetched[*keySet]{now: time.Now, fetch: func(context.Context) (*keySet, error) {
		fetches++
		<-release
		return &keySet{}, nil
	}}
	ctx, leave := context.WithCancel(context.Background())
	leave()
	if _, err := f.get(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the caller who left got %v", err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := f.get(context.Background())
		done <- err
	}()
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if fetches != 1 {
		t.Errorf("%d fetches", fetches)
	}
}

// TestIdentityIs checks who counts as the same user, whatever the names.
func TestIdentityIs(t *testing.T) {
	a := Identity{Issuer: "i", Subject: "s", TenantID: "t", ObjectID: "o", Username: "alice"}
	for name, test := range map[string]struct {
		other Identity
		same  bool
	}{
		"renamed": {Identity{Issuer: "i", Subject: "s", TenantID: "t",
			ObjectID: "o", Username: "alicia"}, true},
		"another object": {Identity{Issuer: "i", Subject: "s", TenantID: "t",
			ObjectID: "p"}, false},
		"another tenant": {Identity{Issuer: "i", Subject: "s", TenantID: "u",
			ObjectID: "o"}, false},
		"no oid, same subject":    {Identity{Issuer: "i", Subject: "s"}, true},
		"no oid, another subject": {Identity{Issuer: "i", Subject: "r"}, false},
		"no oid, another issuer":  {Identity{Issuer: "j", Subject: "s"}, false},
		"nobody":                  {Identity{}, false},
	} {
		if a.Is(test.other) != test.same || test.other.Is(a) != test.same {
			t.Errorf("%s: %v", name, a.Is(test.other))
		}
	}
	if (Identity{}).Is(Identity{}) {
		t.Error("nobody is somebody")
	}
}
