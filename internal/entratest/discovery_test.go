// SPDX-License-Identifier: MPL-2.0

package entratest_test

import (
	"net/http"
	"strings"
	"testing"

	"vault-plugin-secrets-entra/internal/entratest"
)

type metadata struct {
	Issuer    string `json:"issuer"`
	Authorize string `json:"authorization_endpoint"`
	Token     string `json:"token_endpoint"`
	Keys      string `json:"jwks_uri"`
	Device    string `json:"device_authorization_endpoint"`
}

func TestDiscovery(t *testing.T) {
	w := start(t, entratest.Options{})
	for tenant, test := range map[string]struct{ base, issuer string }{
		w.Tenant():        {w.Tenant(), w.Tenant()},
		"contoso.example": {w.Tenant(), w.Tenant()},
		"common":          {"common", "{tenantid}"},
		"organizations":   {"organizations", "{tenantid}"},
		"consumers":       {entratest.PersonalTenantID, entratest.PersonalTenantID},
	} {
		var doc metadata
		w.fetch(w.URL+"/"+tenant+"/v2.0/.well-known/openid-configuration", &doc)
		base := w.URL + "/" + test.base
		want := metadata{w.URL + "/" + test.issuer + "/v2.0", base + "/oauth2/v2.0/authorize",
			base + "/oauth2/v2.0/token", base + "/discovery/v2.0/keys",
			base + "/oauth2/v2.0/devicecode"}
		if doc != want {
			t.Errorf("%s: %+v, want %+v", tenant, doc, want)
		}
	}
	t.Run("unknown tenant", func(t *testing.T) {
		resp, err := w.Client().Get(
			w.URL + "/nowhere.example/v2.0/.well-known/openid-configuration")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 400 {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
	t.Run("it promises neither PKCE nor grant types", func(t *testing.T) {
		var doc map[string]any
		w.fetch(w.Authority()+"/.well-known/openid-configuration", &doc)
		for _, name := range []string{"code_challenge_methods_supported", "grant_types_supported",
			"authorization_response_iss_parameter_supported"} {
			if _, ok := doc[name]; ok {
				t.Errorf("%s is there", name)
			}
		}
	})
}

// TestOtherHosts checks that the same server stands for external tenants and B2C, where
// issuers look different.
func TestOtherHosts(t *testing.T) {
	w := start(t, entratest.Options{})
	get := func(host, path string) (doc metadata) {
		t.Helper()
		req := w.get(w.URL + path)
		req.Host = host
		resp, err := w.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("status %d", resp.StatusCode)
		}
		decode(t, resp.Body, &doc)
		return doc
	}
	id := w.Tenant()
	for name, test := range map[string]struct{ host, path, issuer, token string }{
		"public cloud": {"login.microsoftonline.com", "/contoso.example",
			"https://login.microsoftonline.com/" + id + "/v2.0",
			"https://login.microsoftonline.com/" + id + "/oauth2/v2.0/token"},
		"external ID": {"contoso.ciamlogin.com", "/contoso.onmicrosoft.com",
			"https://" + id + ".ciamlogin.com/" + id + "/v2.0",
			"https://contoso.ciamlogin.com/" + id + "/oauth2/v2.0/token"},
		"B2C": {"contoso.b2clogin.com", "/contoso.onmicrosoft.com/B2C_1_signin",
			"https://contoso.b2clogin.com/" + id + "/v2.0/",
			"https://contoso.b2clogin.com/contoso.onmicrosoft.com/B2C_1_signin/oauth2/v2.0/token"},
	} {
		doc := get(test.host, test.path+"/v2.0/.well-known/openid-configuration")
		if doc.Issuer != test.issuer || doc.Token != test.token {
			t.Errorf("%s: %+v", name, doc)
		}
	}
}

// TestB2CPolicy checks that expires_in is a string there, and a refresh token belongs to
// its policy.
func TestB2CPolicy(t *testing.T) {
	w := start(t, entratest.Options{})
	at := func(policy string) string { return "/contoso.onmicrosoft.com/" + policy }
	code := func(policy string) string {
		authURL := strings.Replace(w.authURL(), "/"+w.Tenant()+"/", at(policy)+"/", 1)
		redirect, err := w.SignIn(t.Context(), authURL, "alice")
		if err != nil {
			t.Fatal(err)
		}
		return redirect.Params.Get("code")
	}
	post := func(policy string, form map[string][]string) answer {
		a, err := w.send(t.Context(), at(policy)+"/oauth2/v2.0/token", form)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	tokens := post("B2C_1_signin", w.codeForm(code("B2C_1_signin"))).good(t)
	if _, ok := tokens.ExpiresIn.(string); !ok {
		t.Errorf("expires_in is %T", tokens.ExpiresIn)
	}
	post("B2C_1_signin", w.refreshForm(tokens.RefreshToken)).good(t)
	post("B2C_1_other", w.refreshForm(tokens.RefreshToken)).refused(t, 400, "invalid_grant", 0)
	post("B2C_1_other", w.codeForm(code("B2C_1_signin"))).refused(t, 400, "invalid_grant", 0)
}

func TestInstanceDiscovery(t *testing.T) {
	w := start(t, entratest.Options{})
	base := w.URL + "/common/discovery/instance?api-version=1.1&authorization_endpoint="
	for _, authority := range []string{w.URL, "https://login.microsoftonline.com",
		"https://login.windows.net"} {
		var doc struct {
			Endpoint string `json:"tenant_discovery_endpoint"`
			Metadata []any  `json:"metadata"`
		}
		w.fetch(base+authority+"/contoso.example/oauth2/v2.0/authorize", &doc)
		if doc.Endpoint != authority+"/contoso.example/v2.0/.well-known/openid-configuration" ||
			len(doc.Metadata) < 3 {
			t.Errorf("%s: %+v", authority, doc)
		}
	}
	for _, bad := range []string{"https://login.evil.example/common/oauth2/v2.0/authorize", ""} {
		resp, err := w.Client().Get(base + bad)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 400 {
			t.Errorf("%q: status %d", bad, resp.StatusCode)
		}
	}
}
