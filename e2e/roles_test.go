// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"encoding/base64"
	"strings"
	"testing"
)

// withRoles is an engine with two roles of different resources.
func withRoles(t testing.TB, simulatorFlags ...string) *engine {
	t.Helper()
	e := newEngine(t, simulatorFlags...)
	e.put("entra/roles/mail", object{"scopes": "Mail.Read"}).want(204)
	e.put("entra/roles/arm", object{"scopes": "https://management.azure.com//.default"}).want(204)
	return e
}

// audience is the resource that a token is for.
func (sim *simulator) audience(accessToken string) string {
	sim.t.Helper()
	var token struct {
		Audience string `json:"audience"`
	}
	sim.control("introspect", object{"token": accessToken}, &token)
	return token.Audience
}

// signInFor is signIn for roles.
func (e *engine) signInFor(account, user, roles string) {
	e.t.Helper()
	b := newBrowser(e.sim)
	wantPage(e.t, b.confirm(b.follow(b.signIn(e.login(account, object{"roles": roles}), user))), 200, "You are signed in")
}

// One sign-in is good for several resources, each with a token of its own; a role
// that was not consented to says which command adds it.
func TestRoles(t *testing.T) {
	t.Parallel()
	e := withRoles(t, "-rotation", "revoke-family")
	e.signInFor("alice", "alice", "mail")
	if audience := e.sim.audience(e.get("entra/token/alice/mail").want(200).text("access_token")); !strings.Contains(audience, "graph.microsoft.com") {
		t.Errorf("the mail token is for %s", audience)
	}
	refused := e.get("entra/token/alice/arm").wantError(400, "login_required: ")
	if !strings.Contains(refused.Errors[0], "vault write entra/login/alice roles=mail,arm") {
		t.Errorf("the message is %q", refused.Errors[0])
	}
	e.signInFor("alice", "alice", "mail,arm")
	if audience := e.sim.audience(e.get("entra/token/alice/arm").want(200).text("access_token")); !strings.Contains(audience, "management.azure.com") {
		t.Errorf("the arm token is for %s", audience)
	}
	e.reloadPlugin()
	e.get("entra/token/alice/arm").want(200)

	e.put("entra/roles/bad", object{"scopes": "User.Read https://management.azure.com//.default"}).wantError(400, "invalid_request: scopes: ")
	e.get("entra/token/alice/nothing").wantError(400, "invalid_request: ")
	if keys := e.call("LIST", "entra/roles", nil).want(200).Data["keys"].([]any); len(keys) != 2 {
		t.Errorf("the roles are %v", keys)
	}
	e.call("DELETE", "entra/roles/arm", nil).want(204)
	e.get("entra/token/alice/arm").wantError(400, "invalid_request: ")
	e.get("entra/token/alice/mail").want(200)
}

// A claims challenge reaches Entra, as JSON and as base64, with the capabilities.
func TestClaimsChallenge(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	e.configure(object{"client_capabilities": "cp1"})
	e.signIn("alice", "alice")
	held := e.readToken("alice")
	challenge := `{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}`
	for _, claims := range []string{challenge, base64.StdEncoding.EncodeToString([]byte(challenge))} {
		forced := e.put("entra/refresh/alice", object{"claims": claims}).want(200).text("access_token")
		if forced == held.access {
			t.Error("the held token came back")
		}
	}
	var requests []struct {
		GrantType string            `json:"grant_type"`
		Params    map[string]string `json:"params"`
	}
	e.sim.control("requests", nil, &requests)
	seen := 0
	for _, r := range requests {
		if r.GrantType == "refresh_token" && strings.Contains(r.Params["claims"], "1700000000") && strings.Contains(r.Params["claims"], "cp1") {
			seen++
		}
	}
	if seen == 0 {
		t.Errorf("Entra has not seen the challenge: %+v", requests)
	}
	e.put("entra/refresh/alice", object{"claims": "not claims"}).wantError(400, "invalid_request: claims: ")

	// A revoked token of continuous access evaluation is replaced at once, or the
	// person is asked for.
	e.sim.control("revoke", object{"user": "alice"}, nil)
	e.put("entra/refresh/alice", nil).wantError(400, "login_required: ")
}

// An operator sees and does what accounts need, and no secret.
func TestAccountCare(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	e.put("entra/account/carol", object{"username": "carol@contoso.example", "metadata": object{"team": "ops"}}).want(204)
	b := newBrowser(e.sim)
	wantPage(t, b.confirm(b.follow(b.signIn(e.login("carol", object{"login_hint": "bob@contoso.example"}), "bob"))), 403, "carol@contoso.example")
	e.signIn("carol", "carol")
	e.signIn("alice", "alice")
	e.put("entra/account/alice", object{"disabled": true}).want(204)
	e.get("entra/token/alice").wantError(400, "account_disabled: ")
	e.put("entra/refresh/alice", nil).wantError(400, "account_disabled: ")
	e.put("entra/login/alice", nil).wantError(400, "account_disabled: ")

	list := e.call("LIST", "entra/account", nil).want(200)
	info, _ := list.Data["key_info"].(map[string]any)
	for name, want := range map[string][2]string{"alice": {"disabled", "alice@contoso.example"}, "carol": {"active", "carol@contoso.example"}} {
		got, _ := info[name].(map[string]any)
		if got["state"] != want[0] || got["username"] != want[1] || got["expire_time"] == "" {
			t.Errorf("%s is listed as %v", name, got)
		}
	}
	e.put("entra/account/alice", object{"disabled": false}).want(204)
	e.get("entra/token/alice").want(200)

	carol := e.get("entra/account/carol").want(200)
	if carol.text("state") != "active" || carol.Data["pinned"] != true || carol.text("idle_expire_time") == "" {
		t.Errorf("carol is %s", carol.body)
	}
	e.call("DELETE", "entra/account/carol", nil).want(204)
	e.get("entra/token/carol").want(404)
}

// A refresh token from elsewhere is redeemed and its user verified before anything
// is stored.
func TestImport(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "-rotation", "revoke-family")
	e.put("entra/import/alice", object{"refresh_token": "nonsense"}).wantError(400, "login_failed: ")
	e.get("entra/account/alice").want(404)
	if user := e.put("entra/import/alice", object{"refresh_token": e.sim.refreshToken("alice")}).want(200).text("username"); user != "alice@contoso.example" {
		t.Errorf("imported %s", user)
	}
	e.readToken("alice")
	e.put("entra/import/alice", object{"refresh_token": e.sim.refreshToken("bob")}).wantError(400, "login_failed: bob@contoso.example signed in")
	e.put("entra/refresh/alice", nil).want(200)
}
