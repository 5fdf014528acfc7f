// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"testing"
)

// TestAuthorizeURL checks which value goes into the URL where several are given.
func TestAuthorizeURL(t *testing.T) {
	const own, configured = `{"id_token":{"auth_time":null}}`, `{"userinfo":{"name":null}}`
	for name, test := range map[string]struct {
		params       map[string]string
		capabilities []string
		request      AuthorizeRequest
		want         map[string]string // "" = must be absent
	}{
		"nothing asked for": {nil, nil, AuthorizeRequest{}, map[string]string{
			"prompt": "", "login_hint": "", "domain_hint": "", "claims": "", "response_mode": "",
			"response_type": "code", "client_id": testClient,
		}},
		"all asked for": {nil, nil,
			AuthorizeRequest{Prompt: "login", LoginHint: "alice", DomainHint: "contoso.example",
				Claims: own, ResponseMode: "query"}, map[string]string{
				"prompt": "login", "login_hint": "alice", "domain_hint": "contoso.example",
				"claims": own, "response_mode": "query",
			}},
		"the configured": {map[string]string{"prompt": "consent", "claims": configured,
			"audience": "api"}, nil, AuthorizeRequest{}, map[string]string{
			"prompt": "consent", "claims": configured, "audience": "api",
		}},
		"the login's own wins": {map[string]string{"prompt": "consent", "claims": configured}, nil,
			AuthorizeRequest{Prompt: "login", Claims: own}, map[string]string{
				"prompt": "login", "claims": own,
			}},
		"capabilities": {nil, []string{"cp1"}, AuthorizeRequest{}, map[string]string{
			"claims": `{"access_token":{"xms_cc":{"values":["cp1"]}}}`,
		}},
		"capabilities and claims": {map[string]string{"claims": configured}, []string{"cp1"},
			AuthorizeRequest{}, map[string]string{
				"claims": `{"access_token":{"xms_cc":{"values":["cp1"]}},"userinfo":{"name":null}}`,
			}},
		"select_account is without a hint": {map[string]string{"login_hint": "bob"}, nil,
			AuthorizeRequest{Prompt: "select_account", LoginHint: "alice"}, map[string]string{
				"prompt": "select_account", "login_hint": "",
			}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := New(
				Config{TenantID: testTenant, ClientID: testClient, AuthorizeParams: test.params,
					Capabilities: test.capabilities},
			)
			if err != nil {
				t.Fatal(err)
			}
			r := &test.request
			r.RedirectURI, r.State = "https://vault.example.com/cb?x=1", "state"
			r.Nonce, r.Verifier = "nonce", "v"
			raw, err := c.AuthorizeURL(t.Context(), test.request)
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			test.want["state"], test.want["nonce"], test.want["redirect_uri"],
				test.want["scope"] = "state", "nonce", "https://vault.example.com/cb?x=1",
				"openid profile offline_access"
			for parameter, want := range test.want {
				if values := u.Query()[parameter]; want == "" && len(values) != 0 ||
					want != "" && (len(values) != 1 || values[0] != want) {
					t.Errorf("%s is %q, want %q", parameter, values, want)
				}
			}
		})
	}
	c, err := New(Config{TenantID: testTenant, ClientID: testClient})
	if err != nil {
		t.Fatal(err)
	}
	var e *Error
	if _, err := c.AuthorizeURL(t.Context(), AuthorizeRequest{Claims: "[]"}); !errors.As(err, &e) ||
		e.Class != ClassRequest {
		t.Errorf("claims that are no object: %v", err)
	}
}

// TestAuthorizeURLOfAnAuthority comes from discovery, fetched once, and keeps a query that is there
// (B2C's ?p=policy).
func TestAuthorizeURLOfAnAuthority(t *testing.T) {
	p := newProvider(t)
	p.document["authorization_endpoint"] = p.URL + "/authorize?p=policy"
	c := p.client(nil)
	for range 3 {
		raw, err := c.AuthorizeURL(t.Context(), AuthorizeRequest{State: "s", Verifier: "v"})
		if err != nil {
			t.Fatal(err)
		}
		if u, err := url.Parse(raw); err != nil || u.Query().Get("p") != "policy" ||
			u.Query().Get("state") != "s" ||
			u.Path != "/authorize" {
			t.Errorf("%s, %v", raw, err)
		}
	}
	if n := p.count("/" + testTenant + "/v2.0/.well-known/openid-configuration"); n != 1 {
		t.Errorf("%d fetches", n)
	}
	down := newProvider(t)
	down.down["/"+testTenant+"/v2.0/.well-known/openid-configuration"] = true
	var e *Error
	if _, err := down.client(nil).AuthorizeURL(t.Context(), AuthorizeRequest{}); !errors.As(err,
		&e) ||
		e.Class != ClassTransient ||
		e.Status != http.StatusServiceUnavailable {
		t.Errorf("while discovery is down: %v", err)
	}
}

// TestNewRandom is 256 bits, new each time, fit for a code_verifier (RFC 7636 section 4.1).
func TestNewRandom(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		random := NewRandom()
		if bits, err := base64.RawURLEncoding.DecodeString(random); err != nil || len(bits) != 32 ||
			len(random) != 43 ||
			seen[random] {
			t.Fatalf("%q", random)
		}
		seen[random] = true
	}
}
