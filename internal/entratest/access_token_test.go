// SPDX-License-Identifier: MPL-2.0

package entratest_test

import (
	"testing"
	"time"

	"vault-plugin-secrets-entra/internal/entratest"
)

const wantsCAE = `{"access_token":{"xms_cc":{"values":["CP1"]}}}`

func TestAccessTokenLifetimes(t *testing.T) {
	for name, test := range map[string]struct {
		lifetimes entratest.Lifetimes
		claims    string
		low, high time.Duration
	}{
		"Entra's":          {entratest.Lifetimes{}, "", time.Hour, 90 * time.Minute},
		"Entra's with CAE": {entratest.Lifetimes{}, wantsCAE, 20 * time.Hour, 28 * time.Hour},
		"set": {entratest.Lifetimes{AccessToken: 20 * time.Second}, "",
			20 * time.Second, 20 * time.Second},
		"set, with CAE": {entratest.Lifetimes{AccessToken: 20 * time.Second}, wantsCAE,
			20 * time.Second, 20 * time.Second},
		"set for CAE": {entratest.Lifetimes{AccessToken: 20 * time.Second,
			CAEToken: 3 * time.Hour}, wantsCAE, 3 * time.Hour, 3 * time.Hour},
		"other claims": {entratest.Lifetimes{}, `{"access_token":{"nbf":{"essential":true}}}`,
			time.Hour, 90 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, entratest.Options{Lifetimes: test.lifetimes})
			a := w.redeem(w.code("alice"), "claims", test.claims).good(t)
			seconds, _ := a.ExpiresIn.(float64)
			life := time.Duration(seconds) * time.Second
			if life < test.low || life > test.high {
				t.Errorf("expires_in %v", a.ExpiresIn)
			}
			if long := life >= 2*time.Hour; long != (a.RefreshIn > 0) {
				t.Errorf("refresh_in %v with expires_in %v", a.RefreshIn, a.ExpiresIn)
			}
			info, ok := w.Introspect(a.AccessToken)
			if !ok || info.Expires.Sub(info.Issued) != life ||
				info.CAE != (test.claims == wantsCAE) {
				t.Errorf("token is %+v", info)
			}
			w.clock.advance(life - time.Second)
			if info, _ := w.Introspect(a.AccessToken); !info.Active {
				t.Error("not active in its last second")
			}
			w.clock.advance(time.Second)
			if info, _ := w.Introspect(a.AccessToken); info.Active {
				t.Error("active after its end")
			}
		})
	}
}

// TestRevocationReachesCAETokens at once, and others not until they expire.
func TestRevocationReachesCAETokens(t *testing.T) {
	w := start(t, entratest.Options{})
	plain := w.signIn("alice").AccessToken
	cae := w.redeem(w.code("alice"), "claims", wantsCAE).good(t).AccessToken
	if err := w.Revoke("alice"); err != nil {
		t.Fatal(err)
	}
	for token, active := range map[string]bool{plain: true, cae: false} {
		if info, _ := w.Introspect(token); info.Active != active ||
			info.Username != "alice@contoso.example" {
			t.Errorf("token is %+v", info)
		}
	}
	if _, ok := w.Introspect("made-up"); ok {
		t.Error("a token that nobody issued is known")
	}
}
