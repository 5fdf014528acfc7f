// SPDX-License-Identifier: MPL-2.0

package entratest_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/internal/entratest"
)

func TestCodeIsRedeemedOnce(t *testing.T) {
	w := start(t, entratest.Options{})
	code := w.code("alice")
	first := w.redeem(code).good(t)
	if first.RefreshToken == "" || first.IDToken == "" {
		t.Errorf("no refresh or ID token: %+v", first)
	}
	w.redeem(code).refused(t, 400, "invalid_grant", 54005)
	w.refresh(first.RefreshToken).good(t) // a reused code costs the first sign-in nothing
}

func TestPKCE(t *testing.T) {
	w := start(t, entratest.Options{})
	long := strings.Repeat("v", 129)
	for name, test := range map[string]struct {
		authorize []string
		verifier  string
		code      string // error
		aadsts    int
	}{
		"wrong verifier": {verifier: strings.Repeat("w", 43), code: "invalid_grant",
			aadsts: 501481},
		"no verifier":    {verifier: "", code: "invalid_grant", aadsts: 50148},
		"short verifier": {verifier: "short", code: "invalid_grant", aadsts: 501491},
		"long verifier":  {verifier: long, code: "invalid_grant", aadsts: 501491},
		"verifier without a challenge": {authorize: []string{"code_challenge", "",
			"code_challenge_method", ""}, verifier: verifier, code: "invalid_grant", aadsts: 50148},
		"plain challenge, S256 method": {authorize: []string{"code_challenge", verifier},
			verifier: verifier, code: "invalid_grant", aadsts: 501481},
		"S256 challenge, method absent": {authorize: []string{"code_challenge_method", ""},
			verifier: verifier, code: "invalid_grant", aadsts: 501481},
		"plain": {authorize: []string{"code_challenge", verifier,
			"code_challenge_method", ""}, verifier: verifier},
		"none at a confidential app": {authorize: []string{"code_challenge", "",
			"code_challenge_method", ""}},
		"good": {verifier: verifier},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.redeem(w.code("alice", test.authorize...), "code_verifier", test.verifier)
			if test.code == "" {
				a.good(t)
				return
			}
			a.refused(t, 400, test.code, test.aadsts)
		})
	}
}

func TestARefusedRedemptionLeavesTheCode(t *testing.T) {
	w := start(t, entratest.Options{})
	code := w.code("alice")
	w.redeem(code, "code_verifier", strings.Repeat("w", 43)).refused(t, 400, "invalid_grant",
		501481)
	w.redeem(code, "client_secret", "wrong").refused(t, 401, "invalid_client", 7000215)
	w.redeem(code).good(t)
}

func TestCodeRefusals(t *testing.T) {
	w := start(t, entratest.Options{})
	other, err := w.AddApp(entratest.App{
		Name: "Other", Secrets: []entratest.Secret{{Value: "other-secret"}},
		RedirectURIs: []entratest.RedirectURI{{URI: redirectURI, Platform: entratest.Web}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		changes []string
		code    string
		aadsts  int
	}{
		"other port": {[]string{"redirect_uri", "http://localhost:8401/callback"},
			"invalid_grant", 500112},
		"no redirect URI": {[]string{"redirect_uri", ""}, "invalid_request", 900144},
		"no code":         {[]string{"code", ""}, "invalid_request", 900144},
		"unknown code":    {[]string{"code", "made-up"}, "invalid_grant", 9002313},
		"another app's code": {[]string{"client_id", other.ClientID, "client_secret",
			"other-secret"}, "invalid_grant", 70000},
		"no client": {[]string{"client_id", ""}, "invalid_request", 900144},
		"no such client": {[]string{"client_id", "11111111-2222-4333-8444-555555555555"},
			"unauthorized_client", 700016},
		"no grant type": {[]string{"grant_type", ""}, "invalid_request", 900144},
		"unknown grant type": {[]string{"grant_type", "password"}, "unsupported_grant_type",
			70003},
		"two resources": {[]string{"scope", "User.Read " + arm + "//user_impersonation"},
			"invalid_scope", 28000},
		"OpenID scopes only": {[]string{"scope", "openid offline_access"}, "invalid_request",
			28003},
		"claims are no JSON":   {[]string{"claims", "{"}, "invalid_request", 9002313},
		"permission not asked": {[]string{"scope", "Mail.Send"}, "invalid_grant", 65001},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.redeem(w.code("alice"), test.changes...).refused(t, 400, test.code, test.aadsts)
			if a.Correlation == "" || a.Trace == "" ||
				!strings.Contains(a.Description, fmt.Sprintf("AADSTS%d: ", test.aadsts)) {
				t.Errorf("not worded as Entra's: %s", a.Body)
			}
		})
	}
}

func TestCodeExpires(t *testing.T) {
	for name, test := range map[string]struct {
		lifetimes entratest.Lifetimes
		age       time.Duration
	}{
		"after ten minutes": {entratest.Lifetimes{}, 10 * time.Minute},
		"after a set time":  {entratest.Lifetimes{Code: time.Minute}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, entratest.Options{Lifetimes: test.lifetimes})
			early, late := w.code("alice"), w.code("alice")
			w.clock.advance(test.age - time.Second)
			w.redeem(early).good(t)
			w.clock.advance(time.Second)
			w.redeem(late).refused(t, 400, "invalid_grant", 70008)
		})
	}
}

func TestCodeScopes(t *testing.T) {
	w := start(t, entratest.Options{})
	both := allScopes + " " + arm + "//user_impersonation"
	for name, test := range map[string]struct {
		authorize, redeem string
		audience          string
		refresh, id       bool
	}{
		"one of two resources": {both,
			"openid offline_access " + arm + "//user_impersonation", arm + "/", true, true},
		"none: the first resource": {both, "", graph, true, true},
		"no offline_access":        {allScopes, "openid User.Read", graph, false, true},
		"no openid": {allScopes, "offline_access User.Read", graph, true,
			false},
		"both at the token endpoint only": {"User.Read", allScopes, graph, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.redeem(w.code("alice", "scope", test.authorize), "scope", test.redeem).good(t)
			info, ok := w.Introspect(a.AccessToken)
			if !ok || info.Audience != test.audience {
				t.Errorf("audience %q, want %q", info.Audience, test.audience)
			}
			if (a.RefreshToken != "") != test.refresh || (a.IDToken != "") != test.id {
				t.Errorf("refresh token %q, ID token %q", a.RefreshToken, a.IDToken)
			}
		})
	}
}

func TestTokenEndpointForm(t *testing.T) {
	w := start(t, entratest.Options{})
	t.Run("a parameter twice", func(t *testing.T) {
		form := w.codeForm(w.code("alice"))
		form.Add("scope", "Mail.Read")
		w.token(form).refused(t, 400, "invalid_request", 9000411)
	})
	t.Run("parameters in the query", func(t *testing.T) {
		a, err := w.send(t.Context(), w.tokenPath()+"?"+w.codeForm(w.code("alice")).Encode(),
			url.Values{})
		if err != nil {
			t.Fatal(err)
		}
		a.refused(t, 400, "invalid_request", 900144)
	})
	t.Run("GET", func(t *testing.T) {
		resp, err := w.Client().Get(w.URL + "/" + w.Tenant() + "/oauth2/v2.0/token")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 400 {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
	t.Run("client_info", func(t *testing.T) {
		if a := w.redeem(w.code("alice"), "client_info", "1").good(t); a.ClientInfo == "" {
			t.Error("no client_info")
		}
		if a := w.redeem(w.code("alice")).good(t); a.ClientInfo != "" {
			t.Error("client_info that nobody asked for")
		}
	})
	t.Run("the client's request id comes back", func(t *testing.T) {
		const id = "7b6f1a53-3a8e-4c6e-9a53-0a6f3f3a2c11"
		a := w.token(w.codeForm("made-up"), "client-request-id", id, "return-client-request-id",
			"true")
		if a.Correlation != id || a.Header.Get("client-request-id") != id {
			t.Errorf("correlation id %q, header %q", a.Correlation,
				a.Header.Get("client-request-id"))
		}
	})
}
