// SPDX-License-Identifier: MPL-2.0

package main

import (
	"strings"
	"testing"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entratest"
)

func (m *mount) foreignToken(user string) string {
	m.t.Helper()
	token, err := m.sim.IssueRefreshToken(user, m.sim.App.ClientID, entratest.Web, "User.Read", "Mail.Read", "openid", "profile", "offline_access")
	if err != nil {
		m.t.Fatal(err)
	}
	return token
}

func TestImport(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{Rotation: entratest.RotateRevokeFamily})
	data := m.mustWrite("import/alice", map[string]any{"refresh_token": m.foreignToken("alice"), "scopes": "Mail.Read"})
	if data["username"] != "alice@contoso.example" {
		t.Errorf("imported %v", data)
	}
	status := m.mustRead("account/alice")
	if status["pinned"] != true || status["state"] != account.StateActive || !strings.Contains(status["login_requested_by"].(string), "token-test") {
		t.Errorf("the account is %v", status)
	}
	if scope := m.mustRead("token/alice")["scope"].(string); !strings.Contains(scope, "Mail.Read") {
		t.Errorf("granted %q", scope)
	}
	m.mustReadDue("alice")
}

// TestImportRefused: only a working token of the right user is stored.
func TestImportRefused(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	resp, err := m.write("import/alice", nil)
	wantProblem(t, resp, err, 400, "invalid_request: refresh_token: ")
	resp, err = m.write("import/alice", map[string]any{"refresh_token": "nonsense"})
	wantProblem(t, resp, err, 400, "login_failed: ")
	if strings.Contains(describe(resp, err), "nonsense") {
		t.Error("the token is repeated")
	}
	if resp, err := m.read("account/alice"); resp != nil || err != nil {
		t.Errorf("an account was begun: %v, %v", resp, err)
	}

	m.login("alice", "alice")
	before := m.entry("alice")
	resp, err = m.write("import/alice", map[string]any{"refresh_token": m.foreignToken("bob")})
	wantProblem(t, resp, err, 400, "login_failed: bob@contoso.example signed in, but account \"alice\" belongs to alice@contoso.example")

	token := m.foreignToken("alice")
	for name, test := range map[string]struct {
		fault  entratest.Fault
		status int
		word   string
	}{
		"wrong secret":  {entratest.Fault{AADSTS: 7000215}, 502, "client_rejected: "},
		"down":          {entratest.Fault{Status: 503}, 502, "entra_unavailable: "},
		"revoked":       {entratest.Fault{AADSTS: 50173}, 400, "login_failed: "},
		"blocked":       {entratest.Fault{AADSTS: 53003}, 400, "login_failed: "},
		"bad signature": {entratest.Fault{IDToken: &entratest.IDTokenFault{Kind: entratest.IDUnknownKey}}, 400, "login_failed: "},
		"no ID token":   {entratest.Fault{Omit: []string{"id_token"}}, 400, "login_failed: "},
	} {
		id := m.refreshFault(test.fault)
		resp, err := m.write("import/alice", map[string]any{"refresh_token": token})
		m.sim.Faults.Remove(id)
		t.Log(name)
		wantProblem(t, resp, err, test.status, test.word)
	}
	if after := m.entry("alice"); after.RefreshToken != before.RefreshToken || after.Generation != before.Generation {
		t.Error("the credential was touched")
	}
	m.mustWrite("account/alice", map[string]any{"disabled": true})
	resp, err = m.write("import/alice", map[string]any{"refresh_token": token})
	wantProblem(t, resp, err, 400, "account_disabled: ")
}
