// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// as is the engine's server for somebody with these policies.
func (e *engine) as(policies ...string) *client {
	e.t.Helper()
	var made struct {
		Auth struct {
			Token string `json:"client_token"`
		} `json:"auth"`
	}
	e.put("auth/token/create-orphan", object{"policies": policies, "no_default_policy": true}).want(200).into(&made)
	return &client{t: e.t, addr: e.addr, token: made.Auth.Token}
}

// person is somebody who has logged in to Vault as a user of userpass, whose
// identity entity has the user's name.
func (e *engine) person(name, policy string) *client {
	e.t.Helper()
	e.put("auth/userpass/users/"+name, object{"password": "pw-of-" + name, "token_policies": policy}).want(204)
	var auth struct {
		Auth struct {
			Token    string `json:"client_token"`
			EntityID string `json:"entity_id"`
		} `json:"auth"`
	}
	e.put("auth/userpass/login/"+name, object{"password": "pw-of-" + name}).want(200).into(&auth)
	e.put("identity/entity/id/"+auth.Auth.EntityID, object{"name": name}).want(200, 204)
	return &client{t: e.t, addr: e.addr, token: auth.Auth.Token}
}

// TestPolicies loads the documented policies and holds each to what it says it
// allows. What a policy refuses is 403; anything else reached the engine.
func TestPolicies(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	e.put("entra/roles/arm", object{"scopes": "https://management.azure.com//.default"}).want(204)
	for _, name := range []string{"pipeline", "person", "operator", "administrator"} {
		hcl, err := os.ReadFile(filepath.Join("..", "docs", "policies", name+".hcl"))
		if err != nil {
			t.Fatal(err)
		}
		document, err := os.ReadFile(filepath.Join("..", "docs", "policies.md"))
		if err != nil || !strings.Contains(string(document), string(hcl)) {
			t.Errorf("docs/policies.md does not show %s.hcl as it is (%v)", name, err)
		}
		e.put("sys/policies/acl/"+name, object{"policy": string(hcl)}).want(204)
	}
	e.put("sys/auth/userpass", object{"type": "userpass"}).want(204)
	b := newBrowser(e.sim)
	wantPage(t, b.confirm(b.follow(b.signIn(e.login("alice", object{"roles": "arm"}), "alice"))), 200, "You are signed in")
	e.signIn("bob", "bob")
	people := map[string]*client{
		"pipeline": e.as("pipeline"), "operator": e.as("operator"), "administrator": e.as("administrator"), "alice": e.person("alice", "person"),
	}
	for _, test := range []struct {
		who, method, path string
		body              object
		allowed           bool
	}{
		{"pipeline", "GET", "entra/token/alice/arm", nil, true},
		{"pipeline", "GET", "entra/token/alice", nil, false},
		{"pipeline", "GET", "entra/token/bob/arm", nil, false},
		{"pipeline", "PUT", "entra/refresh/alice/arm", nil, false},
		{"pipeline", "PUT", "entra/login/alice", nil, false},
		{"pipeline", "GET", "entra/account/alice", nil, false},
		{"pipeline", "GET", "entra/config", nil, false},

		{"alice", "PUT", "entra/login/alice", nil, true},
		{"alice", "PUT", "entra/login/alice", object{"roles": "arm"}, true},
		{"alice", "PUT", "entra/login/alice", object{"scopes": "Mail.Read"}, false},
		{"alice", "PUT", "entra/login/alice", object{"redirect_uri": loopbackURL}, false},
		{"alice", "PUT", "entra/login/alice", object{"claims": "{}"}, false},
		{"alice", "GET", "entra/login/alice", nil, true},
		{"alice", "PUT", "entra/callback/alice", object{"code": "c", "state": "s"}, true},
		{"alice", "GET", "entra/token/alice", nil, true},
		{"alice", "GET", "entra/token/alice/arm", nil, true},
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
		{"administrator", "GET", "entra/token/bob", nil, false},
		{"administrator", "PUT", "entra/refresh/bob", nil, false},
		{"administrator", "DELETE", "entra/account/bob", nil, true},
	} {
		var body any
		if test.body != nil {
			body = test.body
		}
		a, err := people[test.who].try(test.method, test.path, body)
		if err != nil {
			t.Fatal(err)
		}
		if allowed := a.status != 403; allowed != test.allowed {
			t.Errorf("%s %s %s %v: status %d %s", test.who, test.method, test.path, test.body, a.status, a.body)
		}
	}
}
