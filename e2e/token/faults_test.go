// SPDX-License-Identifier: MPL-2.0

package token

import (
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// Each error code stands at the very start of errors[0], as an HTTP client gets it, with
// its status. Vault's own wrapping of a plugin's errors would show here.
func TestRequestFaults(t *testing.T) {
	t.Parallel()
	e := &harness.Engine{Server: harness.NewServer(t), Sim: harness.NewSimulator(t)}

	e.Get("entra/config").Want(404)
	e.Put("entra/login/alice", nil).WantError(400, "not_configured: ")
	e.Get("entra/token/alice").WantError(400, "not_configured: ")

	wrong := object{
		"tenant_id": e.Sim.TenantID, "client_id": e.Sim.ClientID, "redirect_uris": e.CallbackURL(),
		"ca_pem":        e.Sim.CA,
		"authority_url": "http://login.example.com/tenant/v2.0",
	}
	e.Put("entra/config", wrong).WantError(400, "invalid_request: ")
	wrong["authority_url"] = "https://127.0.0.1:1/" + e.Sim.TenantID + "/v2.0"
	e.Put("entra/config", wrong).WantError(502, "entra_unavailable: ")
	wrong["authority_url"] = strings.TrimSuffix(e.Sim.Authority, "/v2.0") + "/v3.0"
	e.Put("entra/config", wrong).Want(400, 502)
	e.Get("entra/config").Want(404) // nothing was stored

	e.Configure(nil)
	e.Put("entra/login/alice", object{
		"redirect_uri": "https://elsewhere.example.com/",
	}).WantError(400, "invalid_request: redirect_uri")
	e.Put("entra/login/alice", object{
		"response_mode": "fragment",
	}).WantError(400, "invalid_request: response_mode")
	e.Put("entra/callback/alice", object{"code": "x", "state": "y"}).Want(404)

	for _, unknown := range []*harness.Answer{
		e.Get("entra/token/nobody"),
		e.Put("entra/token/nobody", nil),
	} {
		unknown.Want(404)
		if len(unknown.Errors) == 0 || !strings.Contains(unknown.Errors[0], `"nobody"`) {
			t.Errorf("%s: errors %q do not name the account", unknown.What, unknown.Errors)
		}
	}

	e.Login("alice", nil)
	never := e.Get("entra/token/alice").WantError(400, "login_required: ")
	if !strings.Contains(never.Errors[0], "vault write -f entra/login/alice") {
		t.Errorf("message %q does not say the command", never.Errors[0])
	}
	e.Put("entra/callback/alice", object{
		"code": "x", "state": "y",
	}).WantError(400, "login_failed: ")

	// Without a token of Vault's, only the browser callback answers.
	stranger := &harness.Client{T: t, Addr: e.Addr}
	stranger.Get("entra/token/alice").Want(403)
	stranger.Put("entra/callback/alice", object{"code": "x", "state": "y"}).Want(403)
	page := stranger.Get("entra/callback?code=x&state=y").Want(400)
	if !strings.Contains(string(page.Body), "<html") {
		t.Errorf("the browser callback answers %s", page.Body)
	}
}

// What Entra says at a refresh, each class with its error code and status, once
// the cached token has expired.
func TestRefreshFaults(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t, "-token-lifetime", "4s")
	cases := []struct {
		user   string
		state  string // of the user, at Entra
		fault  object // at Entra's token endpoint, for this user
		status int
		code   string
		says   string
	}{
		{user: "alice", state: "revoked", status: 400, code: "login_required: ",
			says: "AADSTS50173"},
		{user: "bob", state: "blocked", status: 400, code: "access_denied: ", says: "AADSTS53003"},
		{user: "carol", fault: object{"status": 503}, status: 502, code: "entra_unavailable: "},
		{user: "admin", fault: object{"aadsts": 50196}, status: 502, code: "entra_unavailable: ",
			says: "AADSTS50196"},
	}
	for _, c := range cases {
		e.SignIn(c.user, c.user)
	}
	harness.Until(t, e.ReadToken(cases[len(cases)-1].user).Expires.Add(5*time.Second))
	for _, c := range cases {
		if c.state != "" {
			e.Sim.Control("users/state", object{"user": c.user, "state": c.state}, nil)
		}
		if c.fault != nil {
			c.fault["endpoint"], c.fault["user"] = "token", c.user
			e.Sim.Control("faults", c.fault, nil)
		}
		got := e.Get("entra/token/"+c.user).WantError(c.status, c.code)
		if !strings.Contains(got.Errors[0], c.says) {
			t.Errorf("%s: message %q does not say %q", c.user, got.Errors[0], c.says)
		}
		// It is remembered: nobody asks Entra again at once.
		before := e.Sim.TokenRequests()
		e.Get("entra/token/"+c.user).WantError(c.status, c.code)
		if n := e.Sim.TokenRequests() - before; n != 0 {
			t.Errorf("%s: %d token requests at the second read", c.user, n)
		}
	}
}

// A wrong secret is the client's fault: it shows in the config, touches no
// account, and a mended secret works at once.
func TestWrongClientSecret(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t, "-token-lifetime", "4s")
	e.SignIn("alice", "alice")
	harness.Until(t, e.ReadToken("alice").Expires.Add(time.Second))

	e.Put("entra/config", object{"client_secret": "not-the-secret"}).Want(204)
	e.Get("entra/token/alice").WantError(502, "client_rejected: ")
	clientError, ok := e.Get("entra/config").Want(200).Data["client_error"].(map[string]any)
	if !ok || clientError["code"] != "AADSTS7000215" || clientError["message"] == "" ||
		clientError["since"] == "" {
		t.Fatalf("client_error %v", clientError)
	}
	if state := e.Get("entra/account/alice").Want(200).Text("state"); state != "active" {
		t.Fatalf("the account is %s", state)
	}
	b := harness.NewBrowser(e.Sim)
	harness.WantPage(t, b.Complete(e.Login("bob", nil), "bob"), 502, "AADSTS7000215")

	e.Put("entra/config", object{"client_secret": e.Sim.ClientSecret}).Want(204)
	e.ReadToken("alice")
	clientError, ok = e.Get("entra/config").Want(200).Data["client_error"].(map[string]any)
	if !ok || len(clientError) != 0 {
		t.Fatalf("client_error %v after it was mended", clientError)
	}
}
