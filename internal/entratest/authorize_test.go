// SPDX-License-Identifier: MPL-2.0

package entratest_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"vault-plugin-secrets-entra/internal/entratest"
)

func TestResponseModes(t *testing.T) {
	w := start(t, entratest.Options{})
	signIn := func(mode string) entratest.Redirect {
		t.Helper()
		redirect, err := w.SignIn(t.Context(), w.authURL("response_mode", mode), "alice")
		if err != nil {
			t.Fatal(err)
		}
		if redirect.URI != redirectURI || redirect.Params.Get("state") != "state-1" ||
			redirect.Params.Get("code") == "" {
			t.Errorf("redirect %+v", redirect)
		}
		return redirect
	}
	for _, mode := range []string{"", "query"} {
		redirect := signIn(mode)
		if redirect.Method != http.MethodGet || !strings.HasPrefix(redirect.URL, redirectURI+"?") ||
			!strings.HasSuffix(redirect.URL, "#") {
			t.Errorf("mode %q: %+v", mode, redirect)
		}
	}
	if redirect := signIn("form_post"); redirect.Method != http.MethodPost ||
		redirect.URL != redirectURI {
		t.Errorf("form_post: %+v", redirect)
	}
	t.Run("fragment is not for web", func(t *testing.T) {
		redirect, err := w.SignIn(t.Context(), w.authURL("response_mode", "fragment"), "alice")
		if err != nil || redirect.Params.Get("error") != "unsupported_response_mode" {
			t.Errorf("%+v, %v", redirect, err)
		}
	})
	t.Run("fragment for a public client", func(t *testing.T) {
		redirect, err := w.SignIn(t.Context(),
			w.authURL("response_mode", "fragment", "client_id", w.PublicApp.ClientID), "alice")
		if err != nil || redirect.Params.Get("code") == "" ||
			!strings.HasPrefix(redirect.URL, redirectURI+"#") {
			t.Errorf("%+v, %v", redirect, err)
		}
	})
	t.Run("a registered query stays", func(t *testing.T) {
		const uri = "https://vault.example.com/cb?mount=entra"
		err := w.UpdateApp(w.App.ClientID, func(app *entratest.App) {
			app.RedirectURIs = append(app.RedirectURIs,
				entratest.RedirectURI{URI: uri, Platform: entratest.Web})
		})
		if err != nil {
			t.Fatal(err)
		}
		redirect, err := w.SignIn(t.Context(), w.authURL("redirect_uri", uri), "alice")
		if err != nil || redirect.Params.Get("mount") != "entra" ||
			redirect.Params.Get("code") == "" {
			t.Errorf("%+v, %v", redirect, err)
		}
	})
}

func TestRedirectedErrors(t *testing.T) {
	w := start(t, entratest.Options{})
	for name, test := range map[string]struct {
		changes []string
		code    string
	}{
		"no scope":         {[]string{"scope", ""}, "invalid_request"},
		"no response type": {[]string{"response_type", ""}, "invalid_request"},
		"implicit flow":    {[]string{"response_type", "token"}, "unsupported_response_type"},
		"unknown mode": {[]string{"response_mode", "web_message"},
			"unsupported_response_mode"},
		"unknown prompt":     {[]string{"prompt", "maybe"}, "invalid_request"},
		"claims are no JSON": {[]string{"claims", "{"}, "invalid_request"},
		"unknown method":     {[]string{"code_challenge_method", "S512"}, "invalid_request"},
		"method alone":       {[]string{"code_challenge", ""}, "invalid_request"},
		"short challenge":    {[]string{"code_challenge", "short"}, "invalid_request"},
		"unknown resource": {[]string{"scope", "https://nothing.example/Read"},
			"invalid_resource"},
		"unknown permission":  {[]string{"scope", "No.Such"}, "invalid_client"},
		"admin's permission":  {[]string{"scope", "openid User.Read.All"}, "access_denied"},
		"nobody, prompt=none": {[]string{"prompt", "none"}, "login_required"},
	} {
		for _, mode := range []string{"query", "form_post"} {
			t.Run(name+" by "+mode, func(t *testing.T) {
				changes := append([]string{"response_mode", mode}, test.changes...)
				redirect, err := w.SignIn(t.Context(), w.authURL(changes...), "alice")
				if err != nil {
					t.Fatal(err)
				}
				p := redirect.Params
				if p.Get("error") != test.code || p.Get("state") != "state-1" || p.Has("code") ||
					!strings.HasPrefix(p.Get("error_description"), "AADSTS") {
					t.Errorf("answer %v, want %s", p, test.code)
				}
			})
		}
	}
	t.Run("cancel", func(t *testing.T) {
		redirect, err := w.Cancel(t.Context(), w.authURL())
		if err != nil || redirect.Params.Get("error") != "access_denied" ||
			redirect.Params.Get("error_subcode") != "cancel" ||
			redirect.Params.Get("state") != "state-1" {
			t.Errorf("%+v, %v", redirect, err)
		}
	})
}

func TestSingleSignOnAndPrompts(t *testing.T) {
	w := start(t, entratest.Options{})
	browser := w.NewBrowser()
	open := func(changes ...string) (entratest.Redirect, error) {
		return browser.Open(t.Context(), w.authURL(changes...))
	}
	if _, err := open(); err == nil {
		t.Fatal("no page was shown to a new browser")
	}
	if _, err := browser.SignIn(t.Context(), w.authURL(), "alice"); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		changes []string
		silent  bool
		code    string // error
	}{
		"no prompt": {nil, true, ""},
		"none":      {[]string{"prompt", "none"}, true, ""},
		"none, hint of the same user": {[]string{"prompt", "none", "login_hint",
			"alice@contoso.example"}, true, ""},
		"none, hint of another": {[]string{"prompt", "none", "login_hint", "bob"}, true,
			"login_required"},
		"none, more than was agreed": {[]string{"prompt", "none", "scope", "openid Mail.Send"},
			true, "consent_required"},
		"login":                {[]string{"prompt", "login"}, false, ""},
		"select_account":       {[]string{"prompt", "select_account"}, false, ""},
		"consent":              {[]string{"prompt", "consent"}, false, ""},
		"more than was agreed": {[]string{"scope", "openid Mail.Send"}, false, ""},
		"another tenant": {[]string{"login_hint", "mallory@fabrikam.example"}, false,
			""},
		"what needs an admin, by none": {[]string{"prompt", "none", "scope", "User.Read.All"}, true,
			"consent_required"},
	} {
		t.Run(name, func(t *testing.T) {
			redirect, err := open(test.changes...)
			if !test.silent {
				if err == nil {
					t.Errorf("no page was shown: %+v", redirect)
				}
				return
			}
			if err != nil || redirect.Params.Get("error") != test.code ||
				redirect.Params.Has("code") != (test.code == "") {
				t.Errorf("%+v, %v", redirect, err)
			}
		})
	}
	t.Run("a revoked session asks again", func(t *testing.T) {
		if err := w.Revoke("alice"); err != nil {
			t.Fatal(err)
		}
		if redirect, err := open("prompt", "none"); err != nil ||
			redirect.Params.Get("error") != "login_required" {
			t.Errorf("%+v, %v", redirect, err)
		}
	})
}

func TestPromptConsentShowsASecondPage(t *testing.T) {
	w := start(t, entratest.Options{})
	browser := w.NewBrowser()
	for range 2 { // the second time the session spares the first page
		redirect, err := browser.SignIn(t.Context(), w.authURL("prompt", "consent"), "alice")
		if err != nil || redirect.Params.Get("code") == "" {
			t.Fatalf("%+v, %v", redirect, err)
		}
	}
	if redirect, err := browser.Cancel(t.Context(), w.authURL("prompt", "consent")); err != nil ||
		redirect.Params.Get("error") != "access_denied" {
		t.Errorf("%+v, %v", redirect, err)
	}
}

func TestWhoMaySignInWhere(t *testing.T) {
	w := start(t, entratest.Options{})
	for name, test := range map[string]struct {
		tenant, user string
		aadsts       int
	}{
		"home":                        {"contoso.example", "alice", 0},
		"other tenant":                {"contoso.example", "mallory@fabrikam.example", 50020},
		"common":                      {"common", "mallory@fabrikam.example", 0},
		"organizations":               {"organizations", "mallory@fabrikam.example", 0},
		"a person at organizations":   {"organizations", "pat@outlook.example", 50020},
		"a person at consumers":       {"consumers", "pat@outlook.example", 0},
		"an organisation's consumers": {"consumers", "alice", 50020},
		"nobody":                      {"common", "nobody@contoso.example", 50034},
	} {
		t.Run(name, func(t *testing.T) {
			redirect, err := w.SignIn(t.Context(), atTenant(w.authURL(), w.Tenant(), test.tenant),
				test.user)
			if test.aadsts != 0 {
				page, ok := err.(*entratest.PageError)
				if !ok || page.AADSTS != test.aadsts {
					t.Errorf("%v, want AADSTS%d", err, test.aadsts)
				}
				return
			}
			if err != nil || !redirect.Params.Has("code") {
				t.Errorf("%+v, %v", redirect, err)
			}
		})
	}
}

func TestSignOut(t *testing.T) {
	w := start(t, entratest.Options{})
	for target, followed := range map[string]bool{redirectURI: true,
		"https://evil.example/": false} {
		resp, err := w.Client().Get(
			w.URL + "/" + w.Tenant() + "/oauth2/v2.0/logout?" + url.Values{
				"post_logout_redirect_uri": {target}}.Encode(),
		)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Location"); (got == target) != followed {
			t.Errorf("%s leads to %q", target, got)
		}
		ended := func(c *http.Cookie) bool { return c.MaxAge < 0 }
		if !slices.ContainsFunc(resp.Cookies(), ended) {
			t.Error("the session cookie stays")
		}
	}
}
