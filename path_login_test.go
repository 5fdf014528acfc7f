// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entratest"
)

// authURL starts a login and takes its authorization URL apart.
func (m *mount) authURL(account string, login map[string]any) (*url.URL, url.Values) {
	m.t.Helper()
	u, err := url.Parse(m.mustWrite("login/"+account, login)["auth_url"].(string))
	if err != nil {
		m.t.Fatal(err)
	}
	return u, u.Query()
}

func TestLoginAuthorizationURL(t *testing.T) {
	t.Parallel()
	m := newEnvironmentMount(t)
	u, query := m.authURL("alice", nil)
	if want := "login.microsoftonline.com/" + m.sim.Tenant() + "/oauth2/v2.0/authorize"; u.Host+u.Path != want {
		t.Errorf("the URL leads to %s%s, want %s", u.Host, u.Path, want)
	}
	for name, want := range map[string]string{
		"client_id": m.sim.App.ClientID, "response_type": "code", "redirect_uri": vaultCallback,
		"response_mode": "form_post", "scope": "User.Read openid profile offline_access", "code_challenge_method": "S256",
	} {
		if query.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, query.Get(name), want)
		}
	}
	seen := map[string]bool{}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if value := query.Get(name); len(value) != 43 || seen[value] {
			t.Errorf("%s is %q, want 256 bits of its own", name, value)
		}
		seen[query.Get(name)] = true
	}
	if _, again := m.authURL("alice", nil); again.Get("state") == query.Get("state") || again.Get("nonce") == query.Get("nonce") {
		t.Error("two logins share a state or nonce")
	}
}

// TestLoginOffline: for the three environments Entra need not be reachable.
func TestLoginOffline(t *testing.T) {
	t.Parallel()
	for environment, host := range map[string]string{
		"AzurePublicCloud": "login.microsoftonline.com", "AzureUSGovernmentCloud": "login.microsoftonline.us", "AzureChinaCloud": "login.partner.microsoftonline.cn",
	} {
		m := newMount(t, entratest.Options{})
		m.mustWrite("config", map[string]any{
			"environment": environment, "tenant_id": "contoso.onmicrosoft.com", "client_id": "app",
			"redirect_uris": vaultCallback, "verify": false,
		})
		m.sim.Close()
		if u, _ := m.authURL("alice", nil); u.Host != host || u.Path != "/contoso.onmicrosoft.com/oauth2/v2.0/authorize" {
			t.Errorf("%s: the URL is %s%s", environment, u.Host, u.Path)
		}
	}
}

func TestLoginFields(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{
		"redirect_uris":    vaultCallback + ",http://localhost/callback,http://127.0.0.1:8250/callback,http://localhost:8200/v1/entra/callback",
		"authorize_params": "prompt=consent",
	})
	for name, test := range map[string]struct{ field, value, param, want string }{
		"first redirect URI by default":     {"", "", "redirect_uri", vaultCallback},
		"loopback without port: any port":   {"redirect_uri", "http://localhost:41234/callback", "redirect_uri", "http://localhost:41234/callback"},
		"query for a loopback listener":     {"redirect_uri", "http://localhost:41234/callback", "response_mode", "query"},
		"form_post for our own callback":    {"redirect_uri", "http://localhost:8200/v1/entra/callback", "response_mode", "form_post"},
		"scopes":                            {"scopes", "Mail.Read,User.Read", "scope", "Mail.Read User.Read openid profile offline_access"},
		"login_hint":                        {"login_hint", "alice@contoso.example", "login_hint", "alice@contoso.example"},
		"domain_hint":                       {"domain_hint", "contoso.example", "domain_hint", "contoso.example"},
		"prompt from config":                {"", "", "prompt", "consent"},
		"its own prompt wins over config's": {"prompt", "login", "prompt", "login"},
		"claims":                            {"claims", `{"id_token":{"acr":null}}`, "claims", `{"id_token":{"acr":null}}`},
	} {
		t.Run(name, func(t *testing.T) {
			fields := map[string]any{}
			if test.field != "" {
				fields[test.field] = test.value
			}
			if _, query := m.authURL("fields", fields); query.Get(test.param) != test.want {
				t.Errorf("%s is %q, want %q", test.param, query.Get(test.param), test.want)
			}
		})
	}
}

func TestLoginBadInput(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{
		"redirect_uris": vaultCallback + ",http://127.0.0.1:8250/callback,http://localhost/callback",
	})
	stored := m.storage.keys(t)
	for name, test := range map[string]struct{ field, value string }{
		"redirect not allowed":           {"redirect_uri", "https://evil.example/cb"},
		"redirect by prefix":             {"redirect_uri", vaultCallback + "/x"},
		"redirect with another port":     {"redirect_uri", "http://127.0.0.1:9999/callback"},
		"redirect with another path":     {"redirect_uri", "http://localhost:8250/Callback"},
		"redirect with another scheme":   {"redirect_uri", "https://localhost:8250/callback"},
		"redirect with a user":           {"redirect_uri", "http://me@localhost:8250/callback"},
		"scopes of two resources":        {"scopes", "User.Read https://vault.azure.net/user_impersonation"},
		"prompt":                         {"prompt", "always"},
		"response_mode":                  {"response_mode", "fragment"},
		"claims that are not JSON":       {"claims", "acr"},
		"claims that are not an object":  {"claims", "[1]"},
		"claims that are null":           {"claims", "null"},
		"a redirect URI that is no URL":  {"redirect_uri", "http://[::1"},
		"a fragment on the redirect URI": {"redirect_uri", "http://localhost/callback#x"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := m.write("login/alice", map[string]any{test.field: test.value})
			wantProblem(t, resp, err, 400, "invalid_request: "+test.field+": ")
		})
	}
	resp, err := m.write("login/alice", map[string]any{"prompt": "select_account", "login_hint": "alice"})
	wantProblem(t, resp, err, 400, "invalid_request: prompt: ")
	if now := m.storage.keys(t); !slices.Equal(now, stored) {
		t.Errorf("bad logins left %q", now)
	}
}

func TestLoginWithoutConfig(t *testing.T) {
	t.Parallel()
	m := newMount(t, entratest.Options{})
	resp, err := m.write("login/alice", nil)
	wantProblem(t, resp, err, 400, "not_configured: ", "vault write entra/config")
}

// TestLoginStorage: the state is hashed in storage, because storage keys are not
// encrypted, and nothing of the login is shown.
func TestLoginStorage(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	data := m.mustWrite("login/alice", nil)
	u, err := url.Parse(data["auth_url"].(string))
	if err != nil {
		t.Fatal(err)
	}
	state := u.Query().Get("state")
	sum := sha256.Sum256([]byte(state))
	hash := hex.EncodeToString(sum[:])
	keys := m.storage.keys(t)
	if !slices.Contains(keys, "login/"+hash) {
		t.Fatalf("no entry under the state's hash in %q", keys)
	}
	login, err := m.b.accounts.Logins.Get(context.Background(), hash)
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprint(data, m.mustRead("login/alice"), m.mustRead("account/alice"), keys, m.log)
	for name, secret := range map[string]string{"verifier": login.Verifier.Reveal(), "state's hash": ""} {
		if secret != "" && strings.Contains(shown, secret) {
			t.Errorf("the %s is shown", name)
		}
	}
	withoutURL := fmt.Sprint(m.mustRead("login/alice"), m.mustRead("account/alice"), keys, m.log)
	if strings.Contains(withoutURL, state) || strings.Contains(withoutURL, login.Nonce.Reveal()) {
		t.Error("state or nonce stands elsewhere than in auth_url")
	}
	if strings.Contains(fmt.Sprint(m.mustRead("login/alice"), m.mustRead("account/alice")), hash) {
		t.Error("the state's hash is shown")
	}
}

// TestLoginRequester: Vault's identity counts before the token's display name,
// which its owner has chosen.
func TestLoginRequester(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.mustWrite("login/alice", nil)
	if by := m.mustRead("login/alice")["requested_by"].(string); !strings.Contains(by, `"token-test" (a name chosen by the requester)`) || !strings.Contains(by, "192.0.2.7") {
		t.Errorf("requested by %s", by)
	}
	m.system.setEntity(&logical.Entity{ID: "e1", Name: "bob", Aliases: []*logical.Alias{{Name: "bob@contoso.example"}}})
	m.mustWrite("login/alice", nil)
	if by := m.mustRead("login/alice")["requested_by"].(string); by != "bob (bob@contoso.example) from 192.0.2.7" {
		t.Errorf("requested by %s", by)
	}
}

// TestLoginStatus follows a login to each of its ends.
func TestLoginStatus(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	if resp, err := m.read("login/alice"); resp != nil || err != nil {
		t.Fatalf("before any login: %v, %v", resp, err)
	}
	redirect := m.signIn("alice", "alice", nil)
	pending := m.mustRead("login/alice")
	if pending["status"] != account.LoginPending || m.mustRead("account/alice")["state"] != account.StateLoginPending {
		t.Errorf("a login that waits reads as %v", pending)
	}
	if _, err := m.complete("alice", redirect); err != nil {
		t.Fatal(err)
	}
	done := m.mustRead("login/alice")
	if done["status"] != account.LoginSucceeded || done["username"] != "alice@contoso.example" || done["login_id"] != pending["login_id"] {
		t.Errorf("a completed login reads as %v", done)
	}
	redirect = m.signIn("alice", "bob", nil)
	if resp, err := m.complete("alice", redirect); err != nil || !resp.IsError() {
		t.Fatal("bob could sign in to alice")
	}
	failed := m.mustRead("login/alice")
	if failed["status"] != account.LoginFailed || !strings.HasPrefix(failed["error"].(string), "login_failed: bob@contoso.example signed in") {
		t.Errorf("a refused login reads as %v", failed)
	}
	m.mustWrite("login/alice", nil)
	m.endPending("alice")
	if expired := m.mustRead("login/alice"); expired["status"] != account.LoginExpired {
		t.Errorf("an expired login reads as %v", expired)
	}
}

// endPending lets the account's pending logins expire.
func (m *mount) endPending(name string) {
	m.t.Helper()
	ctx := context.Background()
	past := time.Now().Add(-time.Second)
	_, err := m.b.accounts.Update(ctx, name, func(e *account.Entry) (*account.Entry, error) {
		for i, p := range e.PendingLogins {
			login, err := m.b.accounts.Logins.Get(ctx, p.StateHash)
			if err != nil {
				return nil, err
			}
			if login != nil {
				login.Expiry = past
				if err := m.b.accounts.Logins.Write(ctx, login); err != nil {
					return nil, err
				}
			}
			e.PendingLogins[i].Expiry = past
		}
		e.LatestLogin.Expiry = past
		return e, nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

// pendingLimit is how many logins of one account wait at most.
const pendingLimit = 20

// TestLoginLimit: a 21st pending login evicts the oldest.
func TestLoginLimit(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	var urls []string
	for range pendingLimit + 1 {
		urls = append(urls, m.mustWrite("login/alice", nil)["auth_url"].(string))
	}
	stored := 0
	for _, key := range m.storage.keys(t) {
		if strings.HasPrefix(key, account.LoginStoragePrefix) {
			stored++
		}
	}
	if stored != pendingLimit {
		t.Errorf("%d logins are stored, want %d", stored, pendingLimit)
	}
	resp, err := m.complete("alice", m.open(urls[0], "alice"))
	wantProblem(t, resp, err, 400, "login_failed: unknown state", "vault write -f entra/login/alice")
	if resp, err := m.complete("alice", m.open(urls[1], "alice")); err != nil || resp.IsError() {
		t.Errorf("the second oldest: %s", describe(resp, err))
	}
}

// TestLoginSweep: expired logins leave storage, by the worker, and no other does.
func TestLoginSweep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testLoginSweep)
}

func testLoginSweep(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{})
	ctx := context.Background()
	m.mustWrite("login/alice", nil)
	m.endPending("alice")
	m.mustWrite("login/bob", nil)
	hashes, err := m.storage.List(ctx, account.LoginStoragePrefix)
	if err != nil || len(hashes) != 2 {
		t.Fatalf("stored logins: %q, %v", hashes, err)
	}
	m.restart()
	time.Sleep(2 * time.Minute)
	eventually(t, "alice's login is swept", func() bool {
		left, err := m.storage.List(ctx, account.LoginStoragePrefix)
		return err == nil && len(left) == 1
	})
	login, err := m.b.accounts.Logins.Get(ctx, m.entry("bob").PendingLogins[0].StateHash)
	if err != nil || login == nil {
		t.Errorf("bob's login: %v, %v", login, err)
	}
}

func TestLoginDisabledAccount(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.mustWrite("account/alice", map[string]any{"username": "alice@contoso.example"})
	m.mustWrite("account/alice", map[string]any{"disabled": true})
	resp, err := m.write("login/alice", nil)
	wantProblem(t, resp, err, 400, "account_disabled: ", "disabled=false")
}

// TestLoginHint: a pinned account's user is filled in.
func TestLoginHint(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	if _, query := m.authURL("alice", nil); query.Get("login_hint") != "alice@contoso.example" {
		t.Errorf("login_hint is %q", query.Get("login_hint"))
	}
	if _, query := m.authURL("alice", map[string]any{"prompt": "select_account"}); query.Get("login_hint") != "" {
		t.Error("login_hint goes with select_account")
	}
	m.mustWrite("account/carol", map[string]any{"username": "carol@contoso.example"})
	if _, query := m.authURL("carol", nil); query.Get("login_hint") != "carol@contoso.example" {
		t.Errorf("an operator's pin gives login_hint %q", query.Get("login_hint"))
	}
}

// TestLoginScopesAreKept: a login's scopes replace config's for its account.
func TestLoginScopesAreKept(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	redirect := m.signIn("alice", "alice", map[string]any{"scopes": "Mail.Read"})
	if _, err := m.complete("alice", redirect); err != nil {
		t.Fatal(err)
	}
	if scope := m.mustRead("token/alice")["scope"].(string); !strings.Contains(scope, "Mail.Read") {
		t.Errorf("granted %q", scope)
	}
	if _, query := m.authURL("alice", nil); !strings.HasPrefix(query.Get("scope"), "Mail.Read ") {
		t.Errorf("the next login asks for %q", query.Get("scope"))
	}
	if _, query := m.authURL("alice", map[string]any{"scopes": ""}); !strings.HasPrefix(query.Get("scope"), "User.Read ") {
		t.Errorf(`with scopes="" a login asks for %q`, query.Get("scope"))
	}
}

// TestLoginStorageFailures: a login that could not be stored leaves nothing, and
// what there was stays.
func TestLoginStorageFailures(t *testing.T) {
	t.Parallel()
	for _, failing := range []string{"get account/alice", "put login/", "put account/alice"} {
		t.Run(failing, func(t *testing.T) {
			m := newConfiguredMount(t, entratest.Options{})
			m.login("alice", "alice")
			before := m.entry("alice")
			m.restart() // nothing is cached
			m.storage.failOn(func(op, key string) error {
				if strings.HasPrefix(op+" "+key, failing) {
					return errStorage
				}
				return nil
			})
			resp, err := m.write("login/alice", nil)
			if status, _ := statusOf(resp, err); status != 500 {
				t.Errorf("answered %d %s", status, describe(resp, err))
			}
			m.storage.failOn(nil)
			if left, _ := m.storage.List(context.Background(), account.LoginStoragePrefix); len(left) != 0 {
				t.Errorf("left in storage: %q", left)
			}
			if after := m.entry("alice"); after.RefreshToken != before.RefreshToken || len(after.PendingLogins) != 0 {
				t.Errorf("the account became %v", after)
			}
			m.mustRead("token/alice")
		})
	}
}
