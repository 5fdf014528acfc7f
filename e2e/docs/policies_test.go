// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"os"
	"strings"
	"testing"

	"vault-plugin-secrets-entra/e2e/harness"
)

// as is the engine's server for somebody with these policies.
func as(e *harness.Engine, policies ...string) *harness.Client {
	e.T.Helper()
	var made struct {
		Auth struct {
			Token string `json:"client_token"`
		} `json:"auth"`
	}
	e.Put("auth/token/create-orphan", object{
		"policies": policies, "no_default_policy": true,
	}).Want(200).Into(&made)
	return &harness.Client{T: e.T, Addr: e.Addr, Token: made.Auth.Token}
}

// person is somebody who has logged in to Vault as a user of userpass, whose
// identity entity has the user's name.
func person(e *harness.Engine, name, policy string) *harness.Client {
	e.T.Helper()
	e.Put("auth/userpass/users/"+name, object{
		"password": "pw-of-" + name, "token_policies": policy,
	}).Want(204)
	var auth struct {
		Auth struct {
			Token    string `json:"client_token"`
			EntityID string `json:"entity_id"`
		} `json:"auth"`
	}
	e.Put("auth/userpass/login/"+name, object{"password": "pw-of-" + name}).Want(200).Into(&auth)
	e.Put("identity/entity/id/"+auth.Auth.EntityID, object{"name": name}).Want(200, 204)
	return &harness.Client{T: e.T, Addr: e.Addr, Token: auth.Auth.Token}
}

// TestPolicies loads the documented policies and holds each to what it says it
// allows. What a policy refuses is 403; anything else reached the engine.
func TestPolicies(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)
	e.Put("entra/roles/arm", object{"scopes": "https://management.azure.com//user_impersonation"}).Want(204)
	for _, name := range []string{"pipeline", "program", "person", "operator", "administrator"} {
		hcl, err := os.ReadFile(harness.Path("docs", "policies", name+".hcl"))
		if err != nil {
			t.Fatal(err)
		}
		document, err := os.ReadFile(harness.Path("docs", "policies.md"))
		if err != nil || !strings.Contains(string(document), string(hcl)) {
			t.Errorf("docs/policies.md does not show %s.hcl as it is (%v)", name, err)
		}
		e.Put("sys/policies/acl/"+name, object{"policy": string(hcl)}).Want(204)
	}
	e.Put("sys/auth/userpass", object{"type": "userpass"}).Want(204)
	b := harness.NewBrowser(e.Sim)
	harness.WantPage(t, b.Complete(e.Login("alice", object{"roles": "arm"}), "alice"), 200,
		"You are signed in")
	e.SignIn("bob", "bob")
	people := map[string]*harness.Client{
		"pipeline": as(e, "pipeline"), "program": as(e, "program"),
		"operator": as(e, "operator"), "administrator": as(e, "administrator"), "alice": person(e, "alice", "person"),
	}
	for _, test := range []struct {
		who, method, path string
		body              object
		allowed           bool
	}{
		{"pipeline", "GET", "entra/token/alice/arm", nil, true},
		{"pipeline", "GET", "entra/token/alice", nil, false},
		{"pipeline", "GET", "entra/token/bob/arm", nil, false},
		{"pipeline", "GET", "entra/check/alice/arm", nil, true},
		{"pipeline", "GET", "entra/check/alice", nil, false},
		{"pipeline", "PUT", "entra/refresh/alice/arm", nil, false},
		{"pipeline", "PUT", "entra/login/alice", nil, false},
		{"pipeline", "GET", "entra/account/alice", nil, false},
		{"pipeline", "GET", "entra/config", nil, false},

		{"program", "GET", "entra/token/ci", nil, true},
		{"program", "GET", "entra/token/ci/arm", nil, true},
		{"program", "LIST", "entra/roles", nil, true},
		{"program", "GET", "entra/roles/arm", nil, true},
		{"program", "GET", "entra/check/ci", nil, true},
		{"program", "GET", "entra/check/ci/arm", nil, true},
		{"program", "GET", "entra/token/alice", nil, false},
		{"program", "PUT", "entra/roles/arm", object{"scopes": "Mail.Read"}, false},
		{"program", "PUT", "entra/refresh/ci", nil, false},
		{"program", "LIST", "entra/account", nil, false},

		{"alice", "PUT", "entra/login/alice", nil, true},
		{"alice", "PUT", "entra/login/alice", object{"roles": "arm"}, true},
		{"alice", "PUT", "entra/login/alice", object{"scopes": "Mail.Read"}, false},
		{"alice", "PUT", "entra/login/alice", object{"redirect_uri": harness.LoopbackURL}, false},
		{"alice", "PUT", "entra/login/alice", object{"claims": "{}"}, false},
		{"alice", "GET", "entra/login/alice", nil, true},
		{"alice", "PUT", "entra/callback/alice", object{"code": "c", "state": "s"}, true},
		{"alice", "GET", "entra/token/alice", nil, true},
		{"alice", "GET", "entra/token/alice/arm", nil, true},
		{"alice", "GET", "entra/check/alice", nil, true},
		{"alice", "GET", "entra/check/alice/arm", nil, true},
		{"alice", "GET", "entra/check/bob", nil, false},
		{"alice", "GET", "entra/account/alice", nil, true},
		{"alice", "PUT", "entra/account/alice", object{"disabled": true}, false},
		{"alice", "DELETE", "entra/account/alice", nil, false},
		{"alice", "PUT", "entra/login/bob", nil, false},
		{"alice", "GET", "entra/token/bob", nil, false},
		{"alice", "GET", "entra/token/Alice", nil, false},
		{"alice", "PUT", "entra/import/alice", object{"refresh_token": "x"}, false},

		{"operator", "LIST", "entra/account", nil, true},
		{"operator", "GET", "entra/account/bob", nil, true},
		{"operator", "PUT", "entra/account/bob", object{"metadata": object{"a": "b"}}, true},
		{"operator", "DELETE", "entra/account/bob", nil, false},
		{"operator", "GET", "entra/check/bob", nil, true},
		{"operator", "GET", "entra/check/alice/arm", nil, true},
		{"operator", "GET", "entra/token/bob", nil, false},
		{"operator", "PUT", "entra/refresh/bob", nil, false},
		{"operator", "PUT", "entra/login/bob", nil, false},
		{"operator", "GET", "entra/config", nil, true},
		{"operator", "PUT", "entra/config", object{"login_ttl": "20m"}, false},
		{"operator", "LIST", "entra/roles", nil, true},

		{"administrator", "PUT", "entra/config", object{"login_ttl": "20m"}, true},
		{"administrator", "PUT", "entra/roles/mail", object{"scopes": "Mail.Read"}, true},
		{"administrator", "DELETE", "entra/roles/mail", nil, true},
		{"administrator", "PUT", "entra/import/carol", object{"refresh_token": "nonsense"}, true},
		{"administrator", "PUT", "entra/login/carol", nil, true},
		{"administrator", "GET", "entra/check/bob", nil, false},
		{"administrator", "GET", "entra/token/bob", nil, false},
		{"administrator", "PUT", "entra/refresh/bob", nil, false},
		{"administrator", "DELETE", "entra/account/bob", nil, true},
	} {
		var body any
		if test.body != nil {
			body = test.body
		}
		a, err := people[test.who].Try(test.method, test.path, body)
		if err != nil {
			t.Fatal(err)
		}
		if allowed := a.Status != 403; allowed != test.allowed {
			t.Errorf("%s %s %s %v: status %d %s", test.who, test.method, test.path, test.body,
				a.Status, a.Body)
		}
	}
}
