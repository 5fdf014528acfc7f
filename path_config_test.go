// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/config"
	"vault-plugin-secrets-entra/internal/entratest"
)

// TestConfigBadInput: each bad value is an error that names its field, and
// nothing is stored.
func TestConfigBadInput(t *testing.T) {
	t.Parallel()
	m := newMount(t, entratest.Options{})
	none := func(field string) map[string]any { return map[string]any{field: ""} }
	for name, test := range map[string]struct {
		change map[string]any
		field  string
	}{
		"no client_id":                 {none("client_id"), "client_id: "},
		"no tenant_id or authority":    {map[string]any{"tenant_id": "", "authority_url": ""}, "tenant_id: "},
		"tenant_id is a path":          {map[string]any{"tenant_id": "a/../b"}, "tenant_id: "},
		"tenant_id is no GUID beside":  {map[string]any{"tenant_id": "contoso.example"}, "tenant_id: "},
		"unknown environment":          {map[string]any{"authority_url": "", "environment": "AzureGermanCloud"}, "environment: "},
		"http authority":               {map[string]any{"authority_url": "http://login.example.com/t/v2.0"}, "authority_url: "},
		"authority with a query":       {map[string]any{"authority_url": "https://login.example.com/t?x=1"}, "authority_url: "},
		"authority is no URL":          {map[string]any{"authority_url": "login.example.com"}, "authority_url: "},
		"issuer is no URL":             {map[string]any{"issuer": "nowhere"}, "issuer: "},
		"no redirect_uris":             {none("redirect_uris"), "redirect_uris: "},
		"http redirect":                {map[string]any{"redirect_uris": "http://vault.example.com/cb"}, "redirect_uris: "},
		"redirect with a fragment":     {map[string]any{"redirect_uris": "https://vault.example.com/cb#x"}, "redirect_uris: "},
		"relative redirect":            {map[string]any{"redirect_uris": "/v1/entra/callback"}, "redirect_uris: "},
		"scopes of two resources":      {map[string]any{"scopes": "User.Read https://vault.azure.net/user_impersonation"}, "scopes: "},
		"default beside a named scope": {map[string]any{"scopes": "https://graph.microsoft.com/.default,User.Read"}, "scopes: "},
		"offline_access alone":         {map[string]any{"authority_url": "", "scopes": "offline_access"}, "scopes: "},
		"reserved authorize parameter": {map[string]any{"authorize_params": "state=mine"}, "authorize_params: "},
		"login_ttl too short":          {map[string]any{"login_ttl": "59s"}, "login_ttl: "},
		"login_ttl too long":           {map[string]any{"login_ttl": "61m"}, "login_ttl: "},
		"refresh_margin zero":          {map[string]any{"refresh_margin": 0}, "refresh_margin: "},
		"request_timeout zero":         {map[string]any{"request_timeout": 0}, "request_timeout: "},
		"a cache of less than nothing": {map[string]any{"cache_size": -1}, "cache_size: "},
		"a cache of everything":        {map[string]any{"cache_size": 1_000_001}, "cache_size: "},
		"no concurrent refreshes":      {map[string]any{"max_concurrent_refreshes": 0}, "max_concurrent_refreshes: "},
		"unknown binding":              {map[string]any{"account_binding": "everybody"}, "account_binding: "},
		"username with an authority":   {map[string]any{"account_binding": "username"}, "account_binding: "},
		"ca_pem is no PEM":             {map[string]any{"ca_pem": "trust me"}, "ca_pem: "},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := m.write("config", m.config(map[string]any{"verify": false}, test.change))
			wantProblem(t, resp, err, 400, "invalid_request: "+test.field)
			if keys := m.storage.keys(t); len(keys) != 0 {
				t.Errorf("stored: %q", keys)
			}
		})
	}
}

// TestConfigWrongType: what the framework itself refuses is answered likewise.
func TestConfigWrongType(t *testing.T) {
	t.Parallel()
	m := newMount(t, entratest.Options{})
	for field, value := range map[string]any{
		"keepalive_interval": -1, "keepalive_max": -1, "login_max_age": -1,
		"login_ttl": "soon", "max_concurrent_refreshes": "many", "confirm_callback": "perhaps",
	} {
		resp, err := m.write("config", m.config(map[string]any{field: value}))
		wantProblem(t, resp, err, 400, "invalid_request: ", field)
	}
	if keys := m.storage.keys(t); len(keys) != 0 {
		t.Errorf("stored: %q", keys)
	}
}

// TestConfigBindingWantsOneTenant: at a shared tenant anybody can call a user
// account by any name.
func TestConfigBindingWantsOneTenant(t *testing.T) {
	t.Parallel()
	m := newMount(t, entratest.Options{})
	for _, tenant := range []string{"common", "organizations", "consumers"} {
		resp, err := m.write("config", m.config(map[string]any{"authority_url": "", "tenant_id": tenant, "account_binding": "username", "verify": false}))
		wantProblem(t, resp, err, 400, "invalid_request: account_binding: ")
	}
}

// TestConfigVerify: an unreachable or wrong authority stores nothing, and
// verify=false stores without asking.
func TestConfigVerify(t *testing.T) {
	t.Parallel()
	srv := entratest.Start(t, entratest.Options{})
	m := newServerMount(t, srv)
	notEntra := httptest.NewTLSServer(http.NotFoundHandler())
	defer notEntra.Close()
	gone := httptest.NewTLSServer(nil)
	gone.Close()

	otherIssuer := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"issuer":"https://evil.example/","authorization_endpoint":"https://evil.example/a","token_endpoint":"https://evil.example/t","jwks_uri":"https://evil.example/k"}`))
	}))
	defer otherIssuer.Close()

	for name, test := range map[string]struct {
		change map[string]any
		word   string
		status int
	}{
		"nobody there":       {map[string]any{"authority_url": gone.URL}, "entra_unavailable: authority_url: ", 502},
		"untrusted":          {map[string]any{"ca_pem": ""}, "entra_unavailable: authority_url: ", 502},
		"not a provider":     {map[string]any{"authority_url": notEntra.URL, "ca_pem": serverCA(notEntra), "tenant_id": ""}, "", 0},
		"another's metadata": {map[string]any{"authority_url": otherIssuer.URL, "ca_pem": serverCA(otherIssuer), "tenant_id": ""}, "invalid_request: authority_url: ", 400},
		"no such tenant":     {map[string]any{"authority_url": srv.URL + "/11111111-2222-3333-4444-555555555555/v2.0", "tenant_id": ""}, "invalid_request: authority_url: ", 400},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := m.write("config", m.config(overSockets(srv), test.change))
			status, message := statusOf(resp, err)
			if status < 400 || test.status != 0 && status != test.status || !strings.HasPrefix(message, test.word) {
				t.Errorf("answered %d %q, want %d %q", status, message, test.status, test.word)
			}
			if keys := m.storage.keys(t); len(keys) != 0 {
				t.Errorf("stored: %q", keys)
			}
			m.mustWrite("config", m.config(overSockets(srv), test.change, map[string]any{"verify": false}))
			m.mustDo(logical.DeleteOperation, "config", nil)
		})
	}
	if resp, err := m.read("config"); resp != nil || err != nil {
		t.Errorf("a deleted config reads as %v, %v", resp, err)
	}
}

// TestConfigPartialUpdate: an omitted field keeps its value, and a read shows
// every field but secrets.
func TestConfigPartialUpdate(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"refresh_margin": "5m", "client_capabilities": "cp1"})
	before := m.mustRead("config")
	m.mustWrite("config", map[string]any{"login_ttl": "20m"})
	after := m.mustRead("config")
	if after["login_ttl"] != int64(1200) {
		t.Errorf("login_ttl is %v", after["login_ttl"])
	}
	before["login_ttl"] = after["login_ttl"]
	if !reflect.DeepEqual(before, after) {
		t.Errorf("more than login_ttl changed:\n%v\n%v", before, after)
	}
	if after["client_auth"] != "client_secret" || after["credential_time"] == "" {
		t.Errorf("the credential reads as %v, set at %q", after["client_auth"], after["credential_time"])
	}
	for name, value := range after {
		if text, ok := value.(string); ok && strings.Contains(text, m.sim.App.Secret()) {
			t.Errorf("%s shows the client secret", name)
		}
	}
	m.mustWrite("config", map[string]any{"client_secret": ""})
	if public := m.mustRead("config"); public["client_auth"] != "none" {
		t.Errorf("without a secret client_auth is %v", public["client_auth"])
	}
}

// TestConfigDefaults are those of the interface.
func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	config := m.mustRead("config")
	for field, want := range map[string]any{
		"environment": "AzurePublicCloud", "login_ttl": int64(600), "refresh_margin": int64(600),
		"keepalive_interval": int64(86400), "keepalive_max": int64(180 * 86400), "login_max_age": int64(0),
		"account_binding": "first_login", "background_refresh": true, "max_concurrent_refreshes": 8, "cache_size": 0,
		"confirm_callback": true, "request_timeout": int64(10), "issuer": "",
	} {
		if config[field] != want {
			t.Errorf("%s is %v, want %v", field, config[field], want)
		}
	}
	if scopes := config["scopes"].([]string); len(scopes) != 1 || scopes[0] != "User.Read" {
		t.Errorf("scopes are %q", scopes)
	}
}

// TestConfigChangeKeepsAccounts: without config nothing is served, with another
// client the account must sign in, and writing the old one back restores it.
func TestConfigChangeKeepsAccounts(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.expire("alice")

	m.mustDo(logical.DeleteOperation, "config", nil)
	resp, err := m.read("token/alice")
	wantProblem(t, resp, err, 400, "not_configured: ", "vault write entra/config")
	if state := m.mustRead("account/alice")["state"]; state != account.StateActive {
		t.Errorf("without config the account is %v", state)
	}

	m.mustWrite("config", m.config(map[string]any{"client_id": m.sim.PublicApp.ClientID, "client_secret": ""}))
	resp, err = m.read("token/alice")
	wantProblem(t, resp, err, 400, "login_required: ", m.sim.App.ClientID, "vault write -f entra/login/alice")
	if state := m.mustRead("account/alice")["state"]; state != account.StateLoginRequired {
		t.Errorf("with another client the account is %v", state)
	}

	m.mustWrite("config", m.config())
	m.mustRead("token/alice")
	if n := m.refreshRequests(); n != 1 {
		t.Errorf("%d refreshes, want the one at the end", n)
	}
}

// TestConfigStorageFailures: what storage refuses is an error and changes nothing.
func TestConfigStorageFailures(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	before := m.mustRead("config")
	for _, op := range []string{"get", "put", "delete"} {
		m.storage.failOn(func(o, key string) error {
			if o == op && key == config.StorageKey {
				return errStorage
			}
			return nil
		})
		do := logical.Operation(logical.UpdateOperation)
		if op == "delete" {
			do = logical.DeleteOperation
		}
		resp, err := m.do(context.Background(), do, "config", map[string]any{"login_ttl": "30m"})
		if status, message := statusOf(resp, err); status != 500 || !strings.Contains(message, errStorage.Error()) {
			t.Errorf("%s fails: answered %d %q", op, status, message)
		}
		m.storage.failOn(nil)
		if after := m.mustRead("config"); !reflect.DeepEqual(before, after) {
			t.Errorf("%s fails: config became %v", op, after)
		}
	}
}

// TestCacheSize: it counts at once, and 0 is the default again.
func TestCacheSize(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testCacheSize)
}

func testCacheSize(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"background_refresh": false})
	names := []string{"alice", "bob", "carol"}
	for _, name := range names {
		m.login(name, name)
	}
	for _, test := range []struct{ size, reads int }{{0, 0}, {2, 3}, {3, 0}, {0, 0}} {
		m.mustWrite("config", map[string]any{"cache_size": test.size})
		synctest.Wait() // the index is made anew, and reads every account
		for range 2 {   // the first round fills the cache
			m.storage.count("account/")
			for _, name := range names {
				m.mustRead("token/" + name)
			}
		}
		if reads := m.storage.count("account/"); reads != test.reads {
			t.Errorf("with cache_size %d three reads cost %d of storage, want %d", test.size, reads,
				test.reads)
		}
		if got := m.mustRead("config")["cache_size"]; got != test.size {
			t.Errorf("cache_size %d is read as %v", test.size, got)
		}
	}
}
