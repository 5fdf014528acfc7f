// SPDX-License-Identifier: MPL-2.0

package entratest_test

import (
	"errors"
	"testing"

	"vault-plugin-secrets-entra/internal/entratest"
)

// pageError signs in where a page with an error is expected.
func (w *world) pageError(authURL string) *entratest.PageError {
	w.t.Helper()
	redirect, err := w.SignIn(w.t.Context(), authURL, "alice")
	var page *entratest.PageError
	if !errors.As(err, &page) {
		w.t.Fatalf("no error page: %v, %v", redirect, err)
	}
	return page
}

func TestRedirectURIRules(t *testing.T) {
	w := start(t, entratest.Options{RedirectURIs: []entratest.RedirectURI{
		{URI: "http://localhost/callback", Platform: entratest.Web},
		{URI: "http://127.0.0.1:9000/callback", Platform: entratest.Web},
		{URI: "https://vault.example.com/v1/entra/callback", Platform: entratest.Web},
		{URI: "https://vault.example.com/with?query=1", Platform: entratest.Web},
		{URI: "https://root.example.com", Platform: entratest.Web},
	}})
	for uri, good := range map[string]bool{
		"http://localhost/callback":       true,
		"http://localhost:1/callback":     true,
		"http://LOCALHOST:65535/callback": true,
		// Entra ignores the port of a loopback host
		"http://127.0.0.1:1/callback":                       true,
		"http://localhost:1/Callback":                       false,
		"http://localhost:1/callback/":                      false,
		"http://localhost:1/callback?x=1":                   false,
		"https://localhost:1/callback":                      false,
		"http://localhost.example.com/callback":             false,
		"http://[::1]/callback":                             false,
		"https://vault.example.com/v1/entra/callback":       true,
		"https://VAULT.example.com/v1/entra/callback":       true,
		"https://vault.example.com:8200/v1/entra/callback":  false,
		"http://vault.example.com/v1/entra/callback":        false,
		"https://vault.example.com/v1/entra/callback#f":     false,
		"https://u@vault.example.com/v1/entra/callback":     false,
		"https://vault.example.com/v1/entra/%63allback":     false,
		"https://vault.example.com/with?query=1":            true,
		"https://vault.example.com/with":                    false,
		"https://root.example.com/":                         true,
		"https://evil.example/?https://vault.example.com":   false,
		"https://vault.example.com.evil.example/v1/entra/c": false,
		"not a url": false,
	} {
		t.Run(uri, func(t *testing.T) {
			authURL := w.authURL("redirect_uri", uri)
			if !good {
				if page := w.pageError(authURL); page.AADSTS != 50011 || page.Status != 400 {
					t.Errorf("page %+v", page)
				}
				return
			}
			if redirect, err := w.SignIn(t.Context(), authURL, "alice"); err != nil ||
				redirect.Params.Get("code") == "" {
				t.Errorf("%v, %v", redirect, err)
			}
		})
	}
}

func TestAnUntrustedRequestIsNeverRedirected(t *testing.T) {
	w := start(t, entratest.Options{})
	for name, test := range map[string]struct {
		changes []string
		aadsts  int
	}{
		"unknown app":     {[]string{"client_id", "11111111-2222-4333-8444-555555555555"}, 700016},
		"no app":          {[]string{"client_id", ""}, 900144},
		"no redirect URI": {[]string{"redirect_uri", ""}, 900971},
		"other's URI":     {[]string{"redirect_uri", "https://evil.example/"}, 50011},
	} {
		t.Run(name, func(t *testing.T) {
			if page := w.pageError(w.authURL(test.changes...)); page.AADSTS != test.aadsts {
				t.Errorf("page %+v, want AADSTS%d", page, test.aadsts)
			}
		})
	}
	t.Run("a parameter twice", func(t *testing.T) {
		if page := w.pageError(w.authURL() + "&state=other"); page.AADSTS != 9000411 {
			t.Errorf("page %+v", page)
		}
	})
	t.Run("disabled app", func(t *testing.T) {
		if err := w.UpdateApp(w.App.ClientID,
			func(app *entratest.App) { app.Disabled = true }); err != nil {
			t.Fatal(err)
		}
		if page := w.pageError(w.authURL()); page.AADSTS != 7000112 {
			t.Errorf("page %+v", page)
		}
	})
}

func TestAddAppRefuses(t *testing.T) {
	w := start(t, entratest.Options{})
	for name, app := range map[string]entratest.App{
		"http": {RedirectURIs: []entratest.RedirectURI{{URI: "http://vault.example.com/",
			Platform: entratest.Web}}},
		"wildcard": {RedirectURIs: []entratest.RedirectURI{{URI: "https://*.example.com/",
			Platform: entratest.Web}}},
		"fragment": {RedirectURIs: []entratest.RedirectURI{{URI: "https://a.example.com/#f",
			Platform: entratest.Web}}},
		"no platform":     {RedirectURIs: []entratest.RedirectURI{{URI: "https://a.example.com/"}}},
		"unknown tenant":  {TenantID: "nowhere.example"},
		"bad certificate": {Certificates: []string{"-----BEGIN NOTHING-----"}},
	} {
		if _, err := w.AddApp(app); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := w.UpdateApp("nobody", func(*entratest.App) {}); err == nil {
		t.Error("an unknown app was updated")
	}
}

func TestSingleTenantApp(t *testing.T) {
	w := start(t, entratest.Options{})
	app, err := w.AddApp(entratest.App{
		Name: "Single", Secrets: []entratest.Secret{{Value: "s"}},
		RedirectURIs: []entratest.RedirectURI{{URI: redirectURI, Platform: entratest.Web}},
	})
	if err != nil {
		t.Fatal(err)
	}
	home := w.authURL("client_id", app.ClientID)
	if _, err := w.SignIn(t.Context(), home, "alice"); err != nil {
		t.Errorf("in its own tenant: %v", err)
	}
	for tenant, aadsts := range map[string]int{"common": 50194, "organizations": 50194,
		"fabrikam.example": 700016, "nowhere.example": 90002} {
		if page := w.pageError(atTenant(home, w.Tenant(), tenant)); page.AADSTS != aadsts {
			t.Errorf("at %s: %+v, want AADSTS%d", tenant, page, aadsts)
		}
	}
}
