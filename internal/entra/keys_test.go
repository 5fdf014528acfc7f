// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// TestParseKeys checks that what can verify an ID token is kept, anything else is passed over.
func TestParseKeys(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := signingKeys()[0]
	for name, test := range map[string]struct {
		key  jose.JSONWebKey
		kept bool
		algs []jose.SignatureAlgorithm // that it signs with
	}{
		"RSA": {jose.JSONWebKey{Key: good.Public(), KeyID: "a", Use: "sig"}, true,
			[]jose.SignatureAlgorithm{jose.RS256, jose.PS256}},
		"RSA for RS256": {jose.JSONWebKey{Key: good.Public(), Algorithm: "RS256"}, true,
			[]jose.SignatureAlgorithm{jose.RS256}},
		"RSA for anything": {jose.JSONWebKey{Key: good.Public()}, true,
			[]jose.SignatureAlgorithm{jose.RS256, jose.PS256}},
		"P-256": {jose.JSONWebKey{Key: p256.Public(), Use: "sig"}, true,
			[]jose.SignatureAlgorithm{jose.ES256}},
		"for encryption": {jose.JSONWebKey{Key: good.Public(), Use: "enc"}, false, nil},
		"of 1024 bits":   {jose.JSONWebKey{Key: small.Public()}, false, nil},
		"P-384":          {jose.JSONWebKey{Key: p384.Public()}, false, nil},
		"a private key":  {jose.JSONWebKey{Key: good}, false, nil},
		"a password": {jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef")},
			false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := test.key.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			body, err := json.Marshal(
				map[string]any{
					"keys": []any{7, nil, map[string]any{"kty": "OKP"}, json.RawMessage(raw)}},
			)
			if err != nil {
				t.Fatal(err)
			}
			set, err := parseKeys(body)
			if !test.kept {
				if err == nil || set != nil {
					t.Errorf("kept: %v", set)
				}
				return
			}
			if err != nil || len(set.keys) != 1 {
				t.Fatalf("not kept: %v", err)
			}
			for _, algorithm := range []jose.SignatureAlgorithm{jose.RS256, jose.PS256,
				jose.ES256} {
				want := false
				for _, signs := range test.algs {
					want = want || signs == algorithm
				}
				if set.keys[0].signs(algorithm) != want {
					t.Errorf("for %s: %v", algorithm, !want)
				}
			}
		})
	}
	for _, body := range []string{``, `{}`, `[]`, `{"keys":{}}`, `{"keys":[]}`,
		`{"keys":[{"kty":"RSA","n":"MARK"}]}`} {
		if set, err := parseKeys([]byte(body)); err == nil || set != nil ||
			strings.Contains(err.Error(), "MARK") {
			t.Errorf("%s: %v, %v", body, set, err)
		}
	}
}

// TestKeyChoice checks that a key serves tokens of its own issuer, id and algorithm.
func TestKeyChoice(t *testing.T) {
	p := newProvider(t)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	publish := func(members ...map[string]any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.jwks = members
	}
	member := func(key any, id string, extra map[string]any) map[string]any {
		raw, err := (&jose.JSONWebKey{Key: key, KeyID: id, Use: "sig"}).MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var member map[string]any
		if err := json.Unmarshal(raw, &member); err != nil {
			t.Fatal(err)
		}
		for name, value := range extra {
			member[name] = value
		}
		return member
	}
	rsaKey, other := p.key, signingKeys()[1]
	byRSA := func(id string) string { return sign(t, jose.RS256, rsaKey, id, p.claims(nil)) }
	for name, test := range map[string]struct {
		published []map[string]any
		token     string
		works     bool
	}{
		"ES256": {[]map[string]any{member(curve.Public(), "c", nil)},
			sign(t, jose.ES256, curve, "c", p.claims(nil)), true},
		"the same id twice": {[]map[string]any{member(other.Public(), "one", nil),
			member(rsaKey.Public(), "one", nil)}, byRSA("one"), true},
		"the key has no id": {[]map[string]any{member(rsaKey.Public(), "", nil)},
			byRSA("one"), true},
		"the token has no id": {[]map[string]any{member(other.Public(), "a", nil),
			member(rsaKey.Public(), "b", nil)}, byRSA(""), true},
		"the right key, another id": {[]map[string]any{member(rsaKey.Public(), "two", nil)},
			byRSA("one"), false},
		"a key for PS256 only": {[]map[string]any{member(rsaKey.Public(), "one",
			map[string]any{"alg": "PS256"})}, byRSA("one"), false},
		"a key of the issuer": {[]map[string]any{member(rsaKey.Public(), "one",
			map[string]any{"issuer": p.issuer(testTenant)})}, byRSA("one"), true},
		"a key of a template": {[]map[string]any{member(rsaKey.Public(), "one",
			map[string]any{"issuer": p.issuer(tenantPlaceholder)})}, byRSA("one"), true},
		"a key of another issuer": {[]map[string]any{member(rsaKey.Public(), "one",
			map[string]any{"issuer": p.issuer(personalTenant)})}, byRSA("one"), false},
		"issuer that is no string": {[]map[string]any{member(rsaKey.Public(), "one",
			map[string]any{"issuer": 7})}, byRSA("one"), false},
		"the right one among the rest": {[]map[string]any{member(curve.Public(), "one", nil),
			member(rsaKey.Public(), "one", nil)}, byRSA("one"), true},
	} {
		t.Run(name, func(t *testing.T) {
			publish(test.published...)
			p.setAnswer(200, nil, p.tokens(map[string]any{"id_token": test.token}))
			_, err := p.client(nil).RedeemCode(t.Context(), goodCode)
			if (err == nil) != test.works {
				t.Errorf("answered %v", err)
			}
		})
	}
}
