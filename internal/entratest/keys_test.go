// SPDX-License-Identifier: MPL-2.0

package entratest_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"vault-plugin-secrets-entra/internal/entratest"
)

// fetch reads a JSON document.
func (w *world) fetch(address string, into any) {
	w.t.Helper()
	resp, err := w.Client().Get(address)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		w.t.Fatalf("%s: status %d", address, resp.StatusCode)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		w.t.Fatalf("%s: %v", address, err)
	}
}

func (w *world) keySet() jose.JSONWebKeySet {
	w.t.Helper()
	var set jose.JSONWebKeySet
	w.fetch(w.URL+"/"+w.Tenant()+"/discovery/v2.0/keys", &set)
	return set
}

// verified checks an ID token's signature by the published keys.
func (w *world) verified(token string) (map[string]any, error) {
	w.t.Helper()
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil, err
	}
	claims := map[string]any{}
	return claims, parsed.Claims(w.keySet(), &claims)
}

func TestIDToken(t *testing.T) {
	w := start(t, entratest.Options{})
	claims, err := w.verified(w.signIn("alice").IDToken)
	if err != nil {
		t.Fatal(err)
	}
	alice, _ := w.User("alice")
	now := w.clock.Now()
	for name, want := range map[string]any{
		"iss": w.Authority(), "aud": w.App.ClientID, "nonce": "nonce-1", "tid": w.Tenant(),
		"oid": alice.ObjectID, "ver": "2.0",
		"name": "Alice Ahlgren", "preferred_username": "alice@contoso.example",
		"nbf": float64(now.Add(-5 * time.Minute).Unix()), "exp": float64(now.Add(time.Hour).Unix()),
	} {
		if claims[name] != want {
			t.Errorf("%s is %v, want %v", name, claims[name], want)
		}
	}
	if _, ok := claims["email"]; ok {
		t.Error("email without its scope")
	}
	t.Run("by scope", func(t *testing.T) {
		claims, err := w.verified(
			w.redeem(w.code("alice", "scope", "openid email User.Read"), "scope",
				"openid email User.Read").good(
				t,
			).IDToken,
		)
		if err != nil || claims["email"] != "alice@contoso.example" || claims["oid"] != nil {
			t.Errorf("%v, %v", claims, err)
		}
	})
	t.Run("of a refresh", func(t *testing.T) {
		refreshed, err := w.verified(w.refresh(w.signIn("alice").RefreshToken).good(t).IDToken)
		if err != nil || refreshed["nonce"] != nil || refreshed["sub"] != claims["sub"] {
			t.Errorf("%v, %v", refreshed, err)
		}
	})
}

func TestKeyRollover(t *testing.T) {
	w := start(t, entratest.Options{})
	kids := func() (list []string) {
		for _, key := range w.keySet().Keys {
			list = append(list, key.KeyID)
		}
		return list
	}
	first := w.signIn("alice").IDToken
	before := kids()
	w.RotateKeys()
	second := w.signIn("alice").IDToken
	after := kids()
	if len(before) != 1 || len(after) != 2 || after[1] != before[0] || after[0] == before[0] {
		t.Errorf("keys %v, then %v", before, after)
	}
	for name, token := range map[string]string{"old": first, "new": second} {
		if _, err := w.verified(token); err != nil {
			t.Errorf("%s key: %v", name, err)
		}
	}
	w.ReplaceKeys()
	if list := kids(); len(list) != 1 || slices.Contains(after, list[0]) {
		t.Errorf("keys %v after a replacement", list)
	}
	if _, err := w.verified(second); err == nil {
		t.Error("a key that is gone still verifies")
	}
	for range 5 {
		w.RotateKeys()
	}
	if n := len(kids()); n != 3 {
		t.Errorf("%d keys are listed", n)
	}
}

func TestPublishedKey(t *testing.T) {
	w := start(t, entratest.Options{})
	var set struct {
		Keys []struct {
			Kid, X5t, Use, Issuer string
			X5c                   []string
		}
	}
	w.fetch(w.URL+"/common/discovery/v2.0/keys", &set)
	if len(set.Keys) != 1 {
		t.Fatalf("%d keys", len(set.Keys))
	}
	key := set.Keys[0]
	if key.Kid != key.X5t || key.Use != "sig" || key.Issuer != w.URL+"/{tenantid}/v2.0" {
		t.Errorf("key %+v", key)
	}
	der, err := base64.StdEncoding.DecodeString(key.X5c[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x509.ParseCertificate(der); err != nil {
		t.Error(err)
	}
}

// TestSpoiltIDTokens checks that each fault spoils what its name says, and nothing else.
func TestSpoiltIDTokens(t *testing.T) {
	w := start(t, entratest.Options{})
	alice, _ := w.User("alice")
	spoilt := func(fault entratest.IDTokenFault) (string, map[string]any, error) {
		w.Faults.Clear()
		w.Faults.Add(
			entratest.Fault{Match: entratest.Match{Endpoint: entratest.Token}, IDToken: &fault})
		token := w.signIn("alice").IDToken
		claims, err := w.verified(token)
		return token, claims, err
	}
	for _, kind := range []entratest.IDTokenKind{entratest.IDWrongSignature, entratest.IDUnknownKey,
		entratest.IDAlgNone, entratest.IDAlgHS256, entratest.IDGarbage} {
		if token, _, err := spoilt(entratest.IDTokenFault{Kind: kind}); err == nil {
			t.Errorf("%s: verified: %s", kind, token)
		}
	}
	for kind, test := range map[entratest.IDTokenKind]struct {
		claim string
		right func(any) bool // what an unspoilt claim looks like
	}{
		entratest.IDWrongAudience: {"aud", func(v any) bool { return v == w.App.ClientID }},
		entratest.IDWrongNonce: {"nonce",
			func(v any) bool { return v == "nonce-1" || v == nil }},
		entratest.IDNoNonce:      {"nonce", func(v any) bool { return v != nil }},
		entratest.IDWrongIssuer:  {"iss", func(v any) bool { return v == w.Authority() }},
		entratest.IDWrongTenant:  {"tid", func(v any) bool { return v == w.Tenant() }},
		entratest.IDTenantNoGUID: {"tid", func(v any) bool { return len(v.(string)) == 36 }},
		entratest.IDExpired: {"exp",
			func(v any) bool { return int64(v.(float64)) > w.clock.Now().Unix() }},
		entratest.IDNotYetValid: {"nbf",
			func(v any) bool { return int64(v.(float64)) <= w.clock.Now().Unix() }},
		entratest.IDOtherUser: {"oid", func(v any) bool { return v == alice.ObjectID }},
	} {
		_, claims, err := spoilt(entratest.IDTokenFault{Kind: kind})
		if err != nil || test.right(claims[test.claim]) {
			t.Errorf("%s: %v, %v", kind, claims, err)
		}
	}
	_, claims, err := spoilt(
		entratest.IDTokenFault{Claims: map[string]any{"preferred_username": "Eve", "oid": nil}})
	if _, ok := claims["oid"]; err != nil || ok || claims["preferred_username"] != "Eve" {
		t.Errorf("set claims: %v, %v", claims, err)
	}
	if token, _, _ := spoilt(entratest.IDTokenFault{Kind: entratest.IDAlgNone}); !strings.HasSuffix(
		token, ".") {
		t.Errorf("an unsigned token with a signature: %s", token)
	}
}
