// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entratest"
)

// agedErrors makes the account's errors half a minute older.
func (m *mount) agedErrors(name string) {
	m.t.Helper()
	_, err := m.b.accounts.Update(context.Background(), name, func(e *account.Entry) (*account.Entry, error) {
		for _, r := range e.TokenErrors {
			r.Time = r.Time.Add(-30 * time.Second)
		}
		return e, nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

// TestAccountRead: every field is there from the beginning, and none is secret.
func TestAccountRead(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	if resp, err := m.read("account/alice"); resp != nil || err != nil {
		t.Errorf("an unknown account reads as %v, %v", resp, err)
	}
	m.mustWrite("login/alice", nil)
	before := m.mustRead("account/alice")
	m.login("alice", "alice")
	m.mustReadDue("alice")
	after := m.mustRead("account/alice")
	if len(before) != len(after) {
		t.Errorf("%d fields before, %d after the login", len(before), len(after))
	}
	alice, _ := m.sim.User("alice")
	for field, want := range map[string]any{
		"state": account.StateActive, "username": "alice@contoso.example", "name": alice.Name, "object_id": alice.ObjectID,
		"tenant_id": m.sim.Tenant(), "client_id": m.sim.App.ClientID, "pinned": true, "disabled": false,
	} {
		if after[field] != want {
			t.Errorf("%s is %v, want %v", field, after[field], want)
		}
	}
	for _, field := range []string{"created_time", "login_time", "last_refresh_time", "idle_expire_time", "expire_time"} {
		if at, err := time.Parse(time.RFC3339, after[field].(string)); err != nil || at.IsZero() {
			t.Errorf("%s is %v", field, after[field])
		}
	}
	e := m.entry("alice")
	shown := fmt.Sprint(after, m.mustRead("config"), m.mustRead("login/alice"))
	for name, secret := range map[string]string{"refresh token": e.RefreshToken.Reveal(), "access token": e.Tokens[""].AccessToken.Reveal(), "client secret": m.sim.App.Secret()} {
		if strings.Contains(shown, secret) {
			t.Errorf("the %s is shown", name)
		}
	}
}

func TestAccountUpdateBadInput(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	many := map[string]any{}
	for i := range 65 {
		many[fmt.Sprint("k", i)] = "v"
	}
	for name, test := range map[string]struct {
		fields map[string]any
		text   string
	}{
		"too many pairs":    {map[string]any{"metadata": many}, "metadata: "},
		"a long value":      {map[string]any{"metadata": map[string]any{"k": strings.Repeat("v", 513)}}, "metadata: "},
		"a long key":        {map[string]any{"metadata": map[string]any{strings.Repeat("k", 129): "v"}}, "metadata: "},
		"a pin after login": {map[string]any{"username": "bob@contoso.example"}, "username: the account is pinned"},
		"the other pin":     {map[string]any{"object_id": "x"}, "object_id: the account is pinned"},
		"disabled: perhaps": {map[string]any{"disabled": "perhaps"}, "disabled"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := m.write("account/alice", test.fields)
			wantProblem(t, resp, err, 400, "invalid_request: ", test.text)
		})
	}
	m.mustWrite("account/alice", map[string]any{"metadata": map[string]any{"team": "ops"}})
	m.mustWrite("account/alice", map[string]any{"disabled": false})
	if meta := m.mustRead("account/alice")["metadata"].(map[string]string); meta["team"] != "ops" {
		t.Errorf("metadata is %v", meta)
	}
}

// TestAccountDelete removes every token, the pin and the pending logins.
func TestAccountDelete(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	redirect := m.signIn("alice", "alice", nil)
	m.mustDo(logical.DeleteOperation, "account/alice", nil)
	if keys := m.storage.keys(t); len(keys) != 1 {
		t.Errorf("left in storage: %q", keys)
	}
	resp, err := m.complete("alice", redirect)
	wantProblem(t, resp, err, 404)
	resp, err = m.read("token/alice")
	wantProblem(t, resp, err, 404)
	m.mustDo(logical.DeleteOperation, "account/nobody", nil)
}

// TestAccountDeleteStorageFailure: what could not be deleted is still there, whole.
func TestAccountDeleteStorageFailure(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	for _, prefix := range []string{"account/", "login/"} {
		m.mustWrite("login/alice", nil)
		m.storage.failOn(func(op, key string) error {
			if op == "delete" && strings.HasPrefix(key, prefix) {
				return errStorage
			}
			return nil
		})
		resp, err := m.do(context.Background(), logical.DeleteOperation, "account/alice", nil)
		if status, _ := statusOf(resp, err); status != 500 {
			t.Errorf("answered %s", describe(resp, err))
		}
		m.storage.failOn(nil)
		m.mustRead("token/alice")
	}
}

// TestLoginMaxAge: this long after its sign-in nothing is refreshed any more.
func TestLoginMaxAge(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"login_max_age": "1h"})
	m.login("alice", "alice")
	m.mustReadDue("alice")
	_, err := m.b.accounts.Update(context.Background(), "alice", func(e *account.Entry) (*account.Entry, error) {
		e.LoginTime = e.LoginTime.Add(-2 * time.Hour)
		return e, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := m.readDue("alice")
	wantProblem(t, resp, err, 400, "login_required: ", "login_max_age (1h0m0s)")
	if n := m.refreshRequests(); n != 1 {
		t.Errorf("%d requests", n)
	}
	m.mustWrite("config", map[string]any{"login_max_age": 0})
	m.mustRead("token/alice")
}

// TestOnlyAPinCreates: anything else on a name that is not there is a mistake.
func TestOnlyAPinCreates(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	for _, fields := range []map[string]any{
		{"disabled": true}, {"metadata": "a=b"}, {"username": ""}, {"object_id": " "}, nil,
	} {
		resp, err := m.write("account/alcie", fields)
		wantProblem(t, resp, err, 404, `no account "alcie" in this mount`)
	}
	if keys := m.storage.keys(t); len(keys) != 1 {
		t.Errorf("stored: %q", keys)
	}
	m.mustWrite("account/alice", map[string]any{"username": "alice@contoso.example", "metadata": "a=b"})
	m.mustWrite("account/alice", map[string]any{"disabled": true})
}

// TestNamesWithDots: storage refuses them, and so does the engine, by the field's name.
func TestNamesWithDots(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	for path, field := range map[string]string{
		"login/a..b": "account", "account/a..b": "account", "token/a..b": "account",
		"token/alice/a..b": "role", "roles/a..b": "role", "refresh/alice/a..b": "role",
		"callback/a..b": "account", "device/a..b": "account", "import/a..b": "account",
	} {
		resp, err := m.write(path, map[string]any{"scopes": "User.Read"})
		wantProblem(t, resp, err, 400, "invalid_request: "+field+": ", `".."`)
	}
}
