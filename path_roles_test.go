// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/entratest"
)

const armScope = "https://management.azure.com//.default"

// withRoles is a mount with two roles of different resources.
func withRoles(t *testing.T, opts entratest.Options) *mount {
	t.Helper()
	m := newConfiguredMount(t, opts)
	m.mustWrite("roles/mail", map[string]any{"scopes": "Mail.Read"})
	m.mustWrite("roles/arm", map[string]any{"scopes": armScope})
	return m
}

// consentToARM is what an administrator does in the portal: a .default stands for it.
func (m *mount) consentToARM() {
	m.t.Helper()
	if err := m.sim.AdminConsent(m.sim.App.ClientID, "https://management.azure.com"); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mount) loginWith(account, user string, login map[string]any) map[string]any {
	m.t.Helper()
	resp, err := m.complete(account, m.signIn(account, user, login))
	if err != nil || resp.IsError() {
		m.t.Fatalf("login of %s: %s", account, describe(resp, err))
	}
	return resp.Data
}

func TestRoleBadInput(t *testing.T) {
	t.Parallel()
	m := newEnvironmentMount(t)
	for name, scopes := range map[string]any{
		"none": nil, "empty": "", "two resources": "User.Read " + armScope, "default beside a named scope": "https://graph.microsoft.com/.default User.Read",
		"offline_access alone": "offline_access", "openid alone": "openid,profile", "a quote": `User."Read"`, "not ASCII": "Ünser.Read",
	} {
		t.Run(name, func(t *testing.T) {
			fields := map[string]any{}
			if scopes != nil {
				fields["scopes"] = scopes
			}
			resp, err := m.write("roles/bad", fields)
			wantProblem(t, resp, err, 400, "invalid_request: scopes: ")
		})
	}
	if resp, err := m.read("roles/bad"); resp != nil || err != nil {
		t.Errorf("a refused role is there: %v, %v", resp, err)
	}
}

func TestRoleCRUD(t *testing.T) {
	t.Parallel()
	m := withRoles(t, entratest.Options{})
	if scopes := m.mustRead("roles/mail")["scopes"].([]string); !slices.Equal(scopes, []string{"Mail.Read"}) {
		t.Errorf("scopes are %q", scopes)
	}
	m.mustWrite("roles/mail", map[string]any{"scopes": "Mail.Send,Mail.Read"})
	if scopes := m.mustRead("roles/mail")["scopes"].([]string); len(scopes) != 2 {
		t.Errorf("scopes are %q", scopes)
	}
	list := m.mustDo(logical.ListOperation, "roles/", nil)
	if keys := list["keys"].([]string); !slices.Equal(keys, []string{"arm", "mail"}) {
		t.Errorf("the list is %q", keys)
	}
	m.mustDo(logical.DeleteOperation, "roles/mail", nil)
	if resp, err := m.read("roles/mail"); resp != nil || err != nil {
		t.Errorf("a deleted role is there: %v, %v", resp, err)
	}
}

// TestRoleTokens: one sign-in, a token of its own for each resource.
func TestRoleTokens(t *testing.T) {
	t.Parallel()
	m := withRoles(t, entratest.Options{Rotation: entratest.RotateRevokeFamily})
	m.consentToARM()
	done := m.loginWith("alice", "alice", map[string]any{"roles": "mail,arm"})
	if roles := done["roles"].([]string); !slices.Equal(roles, []string{"mail", "arm"}) {
		t.Errorf("consented to %q", roles)
	}
	seen := map[any]bool{}
	for path, audience := range map[string]string{"token/alice": "graph", "token/alice/mail": "graph", "token/alice/arm": "management.azure.com"} {
		data := m.mustRead(path)
		token, ok := m.sim.Introspect(data["access_token"].(string))
		if !ok || !strings.Contains(token.Audience, audience) && audience != "graph" || seen[data["access_token"]] {
			t.Errorf("%s gives %+v", path, token)
		}
		seen[data["access_token"]] = true
		if again := m.mustRead(path); again["access_token"] != data["access_token"] {
			t.Errorf("%s is not cached", path)
		}
	}
	if n := m.refreshRequests(); n != 2 {
		t.Errorf("%d refreshes, want one for each role", n)
	}
	status := m.mustRead("account/alice")
	arm, _ := status["roles"].(map[string]any)["arm"].(map[string]any)
	if arm["expire_time"] == "" || arm["last_refresh_time"] == "" || arm["login_required"] != "" {
		t.Errorf("the role reads as %v", arm)
	}
}

// TestRoleRefreshesTakeTurns: strict rotators revoke on reuse.
func TestRoleRefreshesTakeTurns(t *testing.T) {
	t.Parallel()
	m := withRoles(t, entratest.Options{Rotation: entratest.RotateRevokeFamily})
	m.consentToARM()
	m.loginWith("alice", "alice", map[string]any{"roles": "mail,arm"})
	m.expire("alice")
	m.sim.ResetCounts()
	var reads sync.WaitGroup
	for i := range 60 {
		reads.Add(1)
		go func() {
			defer reads.Done()
			path := []string{"token/alice", "token/alice/mail", "token/alice/arm"}[i%3]
			if resp, err := m.read(path); err != nil || resp.IsError() {
				t.Errorf("%s: %s", path, describe(resp, err))
			}
		}()
	}
	reads.Wait()
	if counts := m.sim.Counts(); counts.MaxFamilyConcurrent != 1 || counts.Grants["refresh_token"] != 3 {
		t.Errorf("%d refreshes, %d at once", counts.Grants["refresh_token"], counts.MaxFamilyConcurrent)
	}
}

// TestRoleWithoutConsent: login_required with the command that adds the role, the roles
// already held included; the account's other tokens go on.
func TestRoleWithoutConsent(t *testing.T) {
	t.Parallel()
	m := withRoles(t, entratest.Options{})
	m.mustWrite("roles/files", map[string]any{"scopes": "Mail.Send"})
	m.loginWith("alice", "alice", map[string]any{"roles": "mail"})
	resp, err := m.read("token/alice/files")
	wantProblem(t, resp, err, 400, `login_required: account "alice", role "files" must sign in again (AADSTS65001`,
		"Run: vault write entra/login/alice roles=mail,files")
	m.loginWith("alice", "alice", map[string]any{"roles": "mail,files"})
	m.mustRead("token/alice/files")
	// A plain login asks for what the account has.
	if _, query := m.authURL("alice", nil); !strings.Contains(query.Get("scope"), "Mail.Read") ||
		!strings.Contains(query.Get("scope"), "Mail.Send") {
		t.Errorf("the next login asks for %q", query.Get("scope"))
	}
}

// TestDefaultRole: Entra takes a .default by itself only, so that no other sign-in asks for
// it, and every command that is named works.
func TestDefaultRole(t *testing.T) {
	t.Parallel()
	m := withRoles(t, entratest.Options{})
	started, err := m.write("login/alice", map[string]any{"roles": "mail,arm"})
	if err != nil || len(started.Warnings) != 1 || !strings.Contains(started.Warnings[0], `role "arm" is not in this sign-in`) {
		t.Fatalf("started %v, %v", started, err)
	}
	if scope := scopeOf(t, started); strings.Contains(scope, armScope) || !strings.Contains(scope, "Mail.Read") {
		t.Errorf("the URL asks for %q", scope)
	}
	m.loginWith("alice", "alice", map[string]any{"roles": "mail"})
	for range 3 {
		resp, err := m.read("token/alice/arm")
		wantProblem(t, resp, err, 400, `login_required: account "alice", role "arm" must sign in again (AADSTS65001`,
			"Run: vault write entra/login/alice scopes="+armScope)
	}
	if n := m.refreshRequests(); n != 1 {
		t.Errorf("%d requests", n)
	}
	m.mustRead("token/alice/mail")
	m.mustReadDue("alice")
	status := m.mustRead("account/alice")
	if arm := status["roles"].(map[string]any)["arm"].(map[string]any); arm["login_required"] == "" || status["state"] != account.StateActive {
		t.Errorf("the account reads as %v", status)
	}
	m.loginWith("alice", "alice", map[string]any{"scopes": armScope})
	m.mustRead("token/alice/arm")
	m.mustRead("token/alice/mail")
	m.loginWith("alice", "alice", map[string]any{"scopes": ""})
	// The role is the account's now, and a bare login, which every message names, works still.
	bare, err := m.write("login/alice", nil)
	if err != nil || len(bare.Warnings) != 0 || strings.Contains(scopeOf(t, bare), armScope) {
		t.Errorf("a bare login is %v, %v", bare, err)
	}
	m.loginWith("alice", "alice", nil)
	m.mustRead("token/alice/arm")
}

// TestManyResources: a fourth resource in one sign-in is left out with a warning.
func TestManyResources(t *testing.T) {
	t.Parallel()
	m := newEnvironmentMount(t)
	for i, scope := range []string{"https://a.example/x", "https://b.example/x", "https://c.example/x"} {
		m.mustWrite(fmt.Sprintf("roles/r%d", i), map[string]any{"scopes": scope})
	}
	started, err := m.write("login/alice", map[string]any{"roles": "r0,r1,r2"})
	if err != nil || len(started.Warnings) != 1 || !strings.Contains(started.Warnings[0], `role "r2"`) ||
		!strings.Contains(started.Warnings[0], "vault write entra/login/alice scopes=https://c.example/x") {
		t.Errorf("started %v, %v", started, err)
	}
}

// scopeOf is what the URL of a started login asks for.
func scopeOf(t *testing.T, started *logical.Response) string {
	t.Helper()
	u, err := url.Parse(started.Data["auth_url"].(string))
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("scope")
}

// TestRoleOnlyRefused: a policy for one resource leaves the others alone.
func TestRoleOnlyRefused(t *testing.T) {
	t.Parallel()
	m := withRoles(t, entratest.Options{})
	m.consentToARM()
	m.loginWith("alice", "alice", map[string]any{"roles": "mail,arm"})
	if err := m.sim.SetUserStateFor("alice", "https://management.azure.com", entratest.StateMFARequired); err != nil {
		t.Fatal(err)
	}
	resp, err := m.read("token/alice/arm")
	wantProblem(t, resp, err, 400, "login_required: ", "AADSTS50076", "Run: vault write -f entra/login/alice")
	m.mustRead("token/alice/mail")
	m.mustReadDue("alice")
}

func TestRoleUnknown(t *testing.T) {
	t.Parallel()
	m := withRoles(t, entratest.Options{})
	m.login("alice", "alice")
	resp, err := m.read("token/alice/nothing")
	wantProblem(t, resp, err, 400, "invalid_request: ", `"nothing"`)
	resp, err = m.write("login/alice", map[string]any{"roles": "mail,nothing"})
	wantProblem(t, resp, err, 400, "invalid_request: roles: ", `"nothing"`)
	resp, err = m.read("token/nobody/mail")
	wantProblem(t, resp, err, 404)
}

// TestRoleNamedLikeAnAccount and the reverse are two things.
func TestRoleNamedLikeAnAccount(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.consentToARM()
	m.mustWrite("roles/alice", map[string]any{"scopes": armScope})
	m.loginWith("alice", "alice", map[string]any{"roles": "alice"})
	token, _ := m.sim.Introspect(m.mustRead("token/alice/alice")["access_token"].(string))
	if !strings.Contains(token.Audience, "management.azure.com") {
		t.Errorf("the role's token is for %s", token.Audience)
	}
	m.mustDo(logical.DeleteOperation, "roles/alice", nil)
	m.mustRead("token/alice")
}

// TestRoleDeletedInUse: its tokens are dropped when the account is next written.
func TestRoleDeletedInUse(t *testing.T) {
	t.Parallel()
	m := withRoles(t, entratest.Options{})
	m.consentToARM()
	m.loginWith("alice", "alice", map[string]any{"roles": "mail,arm"})
	m.mustRead("token/alice/arm")
	m.mustDo(logical.DeleteOperation, "roles/arm", nil)
	resp, err := m.read("token/alice/arm")
	wantProblem(t, resp, err, 400, "invalid_request: ")
	m.mustWrite("account/alice", map[string]any{"metadata": "a=b"})
	if e := m.entry("alice"); e.Tokens["arm"] != nil || !slices.Equal(e.Roles, []string{"mail"}) {
		t.Errorf("the account holds %v, %q", e.Tokens, e.Roles)
	}
	m.mustRead("token/alice/mail")
}

// TestRoleScopesChanged: a token that was obtained for other scopes is not served.
func TestRoleScopesChanged(t *testing.T) {
	t.Parallel()
	m := withRoles(t, entratest.Options{})
	m.loginWith("alice", "alice", map[string]any{"roles": "mail"})
	first := m.mustRead("token/alice/mail")["access_token"]
	m.mustWrite("roles/mail", map[string]any{"scopes": "User.Read"})
	if second := m.mustRead("token/alice/mail")["access_token"]; second == first {
		t.Error("the old scopes' token is served")
	}
}

// TestRoleInvalidate: another node's change is seen.
func TestRoleInvalidate(t *testing.T) {
	t.Parallel()
	m := withRoles(t, entratest.Options{})
	other := *m
	other.start()
	other.mustRead("roles/mail")
	m.mustDo(logical.DeleteOperation, "roles/mail", nil)
	other.b.Backend.InvalidateKey(context.Background(), "role/mail")
	if resp, err := other.read("roles/mail"); resp != nil || err != nil {
		t.Errorf("another node still has it: %v, %v", resp, err)
	}
}

// TestRolesWithLargeTokens: a role's token is served however much the account's other tokens take,
// and however much longer they live.
func TestRolesWithLargeTokens(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"background_refresh": false})
	m.mustWrite("roles/new", map[string]any{"scopes": "Mail.Read"})
	m.loginWith("alice", "alice", map[string]any{"roles": "new"})
	for i := range 60 {
		m.mustWrite(fmt.Sprint("roles/r", i), map[string]any{"scopes": "Mail.Read"})
	}
	_, err := m.b.accounts.Update(context.Background(), "alice", func(e *account.Entry) (*account.Entry, error) {
		before := time.Now().Add(-time.Minute)
		for i := range 60 {
			role := fmt.Sprint("r", i)
			e.Roles = append(e.Roles, role)
			e.Tokens[role] = &account.CachedToken{
				AccessToken: entra.Secret(strings.Repeat("x", 8<<10)), Scopes: []string{"Mail.Read"},
				ObtainedAt: before, Expiry: before.Add(24 * time.Hour),
			}
		}
		return e, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	before := m.refreshRequests()
	for range 3 {
		m.mustRead("token/alice/new")
	}
	if n := m.refreshRequests() - before; n != 1 {
		t.Errorf("%d refreshes for three reads", n)
	}
}
