// SPDX-License-Identifier: MPL-2.0

package token

import (
	"encoding/base64"
	"strings"
	"testing"

	"vault-plugin-secrets-entra/e2e/harness"
)

// One sign-in is good for several resources, each with a token of its own; a role
// that was not consented to says which command adds it.
func TestRoles(t *testing.T) {
	t.Parallel()
	e := harness.NewEngineWithRoles(t, "-rotation", "revoke-family")
	e.SignInFor("alice", "alice", "mail")
	mail := e.Get("entra/token/alice/mail").Want(200).Text("access_token")
	if audience := e.Sim.Audience(mail); !strings.Contains(audience, "graph.microsoft.com") {
		t.Errorf("the mail token is for %s", audience)
	}
	refused := e.Get("entra/token/alice/arm").WantError(400, "login_required: ")
	if !strings.Contains(refused.Errors[0], "vault write entra/login/alice roles=mail,arm") {
		t.Errorf("the message is %q", refused.Errors[0])
	}
	e.SignInFor("alice", "alice", "mail,arm")
	arm := e.Get("entra/token/alice/arm").Want(200).Text("access_token")
	if audience := e.Sim.Audience(arm); !strings.Contains(audience, "management.azure.com") {
		t.Errorf("the arm token is for %s", audience)
	}
	e.ReloadPlugin()
	e.Get("entra/token/alice/arm").Want(200)

	e.Put("entra/roles/bad", object{
		"scopes": "User.Read https://management.azure.com//.default",
	}).WantError(400, "invalid_request: scopes: ")
	e.Get("entra/token/alice/nothing").WantError(400, "invalid_request: ")
	if keys := e.Call("LIST", "entra/roles", nil).Want(200).Data["keys"].([]any); len(keys) != 2 {
		t.Errorf("the roles are %v", keys)
	}
	e.Call("DELETE", "entra/roles/arm", nil).Want(204)
	e.Get("entra/token/alice/arm").WantError(400, "invalid_request: ")
	e.Get("entra/token/alice/mail").Want(200)
}

// A claims challenge reaches Entra, as JSON and as base64, with the capabilities.
func TestClaimsChallenge(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)
	e.Configure(object{"client_capabilities": "cp1"})
	e.SignIn("alice", "alice")
	before := e.ReadToken("alice")
	challenge := `{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}`
	encoded := base64.StdEncoding.EncodeToString([]byte(challenge))
	for _, claims := range []string{challenge, encoded} {
		forced := e.Put("entra/refresh/alice", object{"claims": claims}).Want(200)
		if forced.Text("access_token") == before.Access {
			t.Error("the token of before came back")
		}
	}
	var requests []struct {
		GrantType string            `json:"grant_type"`
		Params    map[string]string `json:"params"`
	}
	e.Sim.Control("requests", nil, &requests)
	seen := 0
	for _, r := range requests {
		if r.GrantType == "refresh_token" && strings.Contains(r.Params["claims"], "1700000000") &&
			strings.Contains(r.Params["claims"], "cp1") {
			seen++
		}
	}
	if seen == 0 {
		t.Errorf("Entra has not seen the challenge: %+v", requests)
	}
	e.Put("entra/refresh/alice", object{"claims": "not claims"}).WantError(400,
		"invalid_request: claims: ")

	// A revoked token of continuous access evaluation is replaced at once, or the
	// person is asked for.
	e.Sim.Control("revoke", object{"user": "alice"}, nil)
	e.Put("entra/refresh/alice", nil).WantError(400, "login_required: ")
}

// An operator sees and does what accounts need, and no secret.
func TestAccountCare(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)
	e.Put("entra/account/carol", object{
		"username": "carol@contoso.example", "metadata": object{"team": "ops"},
	}).Want(204)
	b := harness.NewBrowser(e.Sim)
	authURL := e.Login("carol", object{"login_hint": "bob@contoso.example"})
	harness.WantPage(t, b.Complete(authURL, "bob"), 403, "carol@contoso.example")
	e.SignIn("carol", "carol")
	e.SignIn("alice", "alice")
	e.Put("entra/account/alice", object{"disabled": true}).Want(204)
	e.Get("entra/token/alice").WantError(400, "account_disabled: ")
	e.Put("entra/refresh/alice", nil).WantError(400, "account_disabled: ")
	e.Put("entra/login/alice", nil).WantError(400, "account_disabled: ")

	list := e.Call("LIST", "entra/account", nil).Want(200)
	info, _ := list.Data["key_info"].(map[string]any)
	for name, want := range map[string][2]string{
		"alice": {"disabled", "alice@contoso.example"},
		"carol": {"active", "carol@contoso.example"},
	} {
		got, _ := info[name].(map[string]any)
		if got["state"] != want[0] || got["username"] != want[1] || got["expire_time"] == "" {
			t.Errorf("%s is listed as %v", name, got)
		}
	}
	e.Put("entra/account/alice", object{"disabled": false}).Want(204)
	e.Get("entra/token/alice").Want(200)

	carol := e.Get("entra/account/carol").Want(200)
	if carol.Text("state") != "active" || carol.Data["pinned"] != true ||
		carol.Text("idle_expire_time") == "" {
		t.Errorf("carol is %s", carol.Body)
	}
	e.Call("DELETE", "entra/account/carol", nil).Want(204)
	e.Get("entra/token/carol").Want(404)
}
