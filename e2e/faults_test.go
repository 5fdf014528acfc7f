// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"strings"
	"testing"
	"time"
)

// Each word that a message can start with stands at the very start of errors[0],
// as an HTTP client gets it, with its status. Vault's own wrapping of a plugin's
// errors would show here.
func TestRequestFaults(t *testing.T) {
	t.Parallel()
	e := &engine{server: newServer(t), sim: newSimulator(t)}

	e.get("entra/config").want(404)
	e.put("entra/login/alice", nil).wantError(400, "not_configured: ")
	e.get("entra/token/alice").wantError(400, "not_configured: ")

	wrong := object{
		"tenant_id": e.sim.TenantID, "client_id": e.sim.ClientID, "redirect_uris": e.callbackURL(), "ca_pem": e.sim.ca,
		"authority_url": "http://login.example.com/tenant/v2.0",
	}
	e.put("entra/config", wrong).wantError(400, "invalid_request: ")
	wrong["authority_url"] = "https://127.0.0.1:1/" + e.sim.TenantID + "/v2.0"
	e.put("entra/config", wrong).wantError(502, "entra_unavailable: ")
	wrong["authority_url"] = strings.TrimSuffix(e.sim.Authority, "/v2.0") + "/v3.0"
	e.put("entra/config", wrong).want(400, 502)
	e.get("entra/config").want(404) // nothing was stored

	e.configure(nil)
	e.put("entra/login/alice", object{"redirect_uri": "https://elsewhere.example.com/"}).wantError(400, "invalid_request: redirect_uri")
	e.put("entra/login/alice", object{"response_mode": "fragment"}).wantError(400, "invalid_request: response_mode")
	e.put("entra/callback/alice", object{"code": "x", "state": "y"}).want(404)

	for _, unknown := range []*answer{e.get("entra/token/nobody"), e.put("entra/token/nobody", nil)} {
		unknown.want(404)
		if len(unknown.Errors) == 0 || !strings.Contains(unknown.Errors[0], `"nobody"`) {
			t.Errorf("%s: errors %q do not name the account", unknown.what, unknown.Errors)
		}
	}

	e.login("alice", nil)
	never := e.get("entra/token/alice").wantError(400, "login_required: ")
	if !strings.Contains(never.Errors[0], "vault write -f entra/login/alice") {
		t.Errorf("message %q does not say the command", never.Errors[0])
	}
	e.put("entra/callback/alice", object{"code": "x", "state": "y"}).wantError(400, "login_failed: ")

	// Without a token of Vault's, only the browser callback answers.
	stranger := &client{t: t, addr: e.addr}
	stranger.get("entra/token/alice").want(403)
	stranger.put("entra/callback/alice", object{"code": "x", "state": "y"}).want(403)
	if page := stranger.get("entra/callback?code=x&state=y").want(400); !strings.Contains(string(page.body), "<html") {
		t.Errorf("the browser callback answers %s", page.body)
	}
}

// What Entra says at a refresh, each class with its word and status, once no good
// token is held any more.
func TestRefreshFaults(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "-token-lifetime", "4s")
	cases := []struct {
		user   string
		state  string // of the user, at Entra
		fault  object // at Entra's token endpoint, for this user
		status int
		word   string
		says   string
	}{
		{user: "alice", state: "revoked", status: 400, word: "login_required: ", says: "AADSTS50173"},
		{user: "bob", state: "blocked", status: 400, word: "access_denied: ", says: "AADSTS53003"},
		{user: "carol", fault: object{"status": 503}, status: 502, word: "entra_unavailable: "},
		{user: "admin", fault: object{"aadsts": 50196}, status: 502, word: "entra_unavailable: ", says: "AADSTS50196"},
	}
	for _, c := range cases {
		e.signIn(c.user, c.user)
	}
	until(t, e.readToken(cases[len(cases)-1].user).expires.Add(5*time.Second))
	for _, c := range cases {
		if c.state != "" {
			e.sim.control("users/state", object{"user": c.user, "state": c.state}, nil)
		}
		if c.fault != nil {
			c.fault["endpoint"], c.fault["user"] = "token", c.user
			e.sim.control("faults", c.fault, nil)
		}
		got := e.get("entra/token/"+c.user).wantError(c.status, c.word)
		if !strings.Contains(got.Errors[0], c.says) {
			t.Errorf("%s: message %q does not say %q", c.user, got.Errors[0], c.says)
		}
		// It is remembered: nobody asks Entra again at once.
		before := e.sim.tokenRequests()
		e.get("entra/token/"+c.user).wantError(c.status, c.word)
		if n := e.sim.tokenRequests() - before; n != 0 {
			t.Errorf("%s: %d token requests at the second read", c.user, n)
		}
	}
}

// A wrong secret is the client's fault: it shows in the config, touches no
// account, and a mended secret works at once.
func TestWrongClientSecret(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "-token-lifetime", "4s")
	e.signIn("alice", "alice")
	until(t, e.readToken("alice").expires.Add(time.Second))

	e.put("entra/config", object{"client_secret": "not-the-secret"}).want(204)
	e.get("entra/token/alice").wantError(502, "client_rejected: ")
	clientError, ok := e.get("entra/config").want(200).Data["client_error"].(map[string]any)
	if !ok || clientError["code"] != "AADSTS7000215" || clientError["message"] == "" || clientError["since"] == "" {
		t.Fatalf("client_error %v", clientError)
	}
	if state := e.get("entra/account/alice").want(200).text("state"); state != "active" {
		t.Fatalf("the account is %s", state)
	}
	b := newBrowser(e.sim)
	wantPage(t, b.confirm(b.follow(b.signIn(e.login("bob", nil), "bob"))), 502, "AADSTS7000215")

	e.put("entra/config", object{"client_secret": e.sim.ClientSecret}).want(204)
	e.readToken("alice")
	clientError, ok = e.get("entra/config").want(200).Data["client_error"].(map[string]any)
	if !ok || len(clientError) != 0 {
		t.Fatalf("client_error %v after it was mended", clientError)
	}
}
