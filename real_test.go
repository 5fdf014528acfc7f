// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entratest"
)

// What the real Entra ID does and a simulator that only we wrote would not.

// TestChallengeGoesIntoTheNextLogin: a policy that looks at where a request comes from is
// satisfied only by a sign-in that carries the challenge; without it the person signs in
// for ever.
func TestChallengeGoesIntoTheNextLogin(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"client_capabilities": "cp1"})
	m.login("alice", "alice")
	if err := m.sim.SetUserState("alice", entratest.StateMFAByClaims); err != nil {
		t.Fatal(err)
	}
	resp, err := m.readDue("alice")
	wantProblem(t, resp, err, 400, "login_required: ", "AADSTS50076", "Run: vault write -f entra/login/alice")
	_, query := m.authURL("alice", nil)
	if claims := query.Get("claims"); !strings.Contains(claims, "capolids") || !strings.Contains(claims, "cp1") {
		t.Errorf("the next login asks for claims %s", claims)
	}
	_, query = m.authURL("alice", map[string]any{"claims": `{"id_token":{"acrs":{"value":"c1"}}}`})
	if claims := query.Get("claims"); !strings.Contains(claims, "acrs") || strings.Contains(claims, "capolids") {
		t.Errorf("a login's own claims do not go before: %s", claims)
	}
	m.login("alice", "alice")
	m.mustReadDue("alice")
	if _, query = m.authURL("alice", nil); strings.Contains(query.Get("claims"), "capolids") {
		t.Error("the challenge outlives the sign-in")
	}
}

// TestChallengeAtARedemption: the login's outcome keeps it for the next one.
func TestChallengeAtARedemption(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	code := entratest.Match{Endpoint: entratest.Token, GrantType: "authorization_code"}
	m.sim.Faults.Add(entratest.Fault{Match: code, AADSTS: 50076, Claims: `{"access_token":{"capolids":{"values":["p"]}}}`, Times: 1})
	resp, err := m.complete("alice", m.signIn("alice", "alice", nil))
	wantProblem(t, resp, err, 400, "login_failed: ", "AADSTS50076")
	if _, query := m.authURL("alice", nil); !strings.Contains(query.Get("claims"), "capolids") {
		t.Errorf("the next login asks for claims %q", query.Get("claims"))
	}
}

// TestRefusedChallengeHasACommand: a program's claims go into the command that it is told.
func TestRefusedChallengeHasACommand(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.refreshFault(entratest.Fault{AADSTS: 50076, Times: 1})
	resp, err := m.write("refresh/alice", map[string]any{"claims": `{"access_token":{"nbf":{"essential":true}}}`})
	wantProblem(t, resp, err, 400, "login_required: ",
		`Run: vault write entra/login/alice claims='{"access_token":{"nbf":{"essential":true}}}'`)
}

// TestOneRefusalDoesNotStopTheMount: error alone says unauthorized_client or invalid_client
// of things that are one user's, one grant's or the scopes'.
func TestOneRefusalDoesNotStopTheMount(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault entratest.Fault
		word  string
	}{
		"app protection policy": {entratest.Fault{AADSTS: 53005, Error: "unauthorized_client", Suberror: "protection_policy_required"}, "access_denied: "},
		"smart lockout":         {entratest.Fault{AADSTS: 50053, Error: "unauthorized_client"}, "access_denied: "},
		"scopes, 650052":        {entratest.Fault{AADSTS: 650052, Error: "invalid_client"}, "invalid_request: "},
		"scopes, 65005":         {entratest.Fault{AADSTS: 65005, Error: "invalid_client"}, "invalid_request: "},
		"credential refused":    {entratest.Fault{AADSTS: 700025, Error: "invalid_client"}, "login_required: "},
		"credential wanted":     {entratest.Fault{AADSTS: 7000218, Error: "invalid_client"}, "login_required: "},
	} {
		t.Run(name, func(t *testing.T) {
			m := newConfiguredMount(t, entratest.Options{})
			m.login("alice", "alice")
			m.login("bob", "bob")
			test.fault.Times = 1
			m.refreshFault(test.fault)
			resp, err := m.readDue("alice")
			wantProblem(t, resp, err, 400, test.word)
			if shown := m.mustRead("config")["client_error"].(map[string]any); len(shown) != 0 {
				t.Errorf("client_error is %v", shown)
			}
			m.mustReadDue("bob")
		})
	}
}

// TestDeviceCodeBesideASecret: Entra refuses a credential with a device code and with every
// refresh token that comes of one.
func TestDeviceCodeBesideASecret(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testDeviceCodeBesideASecret)
}

func testDeviceCodeBesideASecret(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"allow_device_code": true})
	if err := m.sim.UpdateApp(m.sim.App.ClientID, func(app *entratest.App) { app.AllowPublicFlows = true }); err != nil {
		t.Fatal(err)
	}
	started := m.mustWrite("device/alice", nil)
	if err := m.sim.ApproveDevice(context.Background(), started["user_code"].(string), "alice"); err != nil {
		t.Fatal(err)
	}
	m.awaitLogin("alice", account.LoginSucceeded)
	m.login("bob", "bob") // by the browser, with the secret
	m.mustReadDue("alice")
	m.mustReadDue("bob")
}

// TestCredentialKindChanges: a refresh token of a sign-in with a credential is of no use to a
// mount without one, and works again with it.
func TestCredentialKindChanges(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.mustWrite("config", map[string]any{"client_secret": ""})
	resp, err := m.readDue("alice")
	wantProblem(t, resp, err, 400, "login_required: ", "was made with this mount's credential")
	if state := m.mustRead("account/alice")["state"]; state != account.StateLoginRequired {
		t.Errorf("the account is %v", state)
	}
	m.mustWrite("config", map[string]any{"client_secret": m.sim.App.Secret()})
	m.mustReadDue("alice")
}

// TestDeclinedConsent is the person's own no, in each form that Entra gives it.
func TestDeclinedConsent(t *testing.T) {
	t.Parallel()
	for name, params := range map[string]map[string]any{
		"cancel":           {"error": "access_denied", "error_subcode": "cancel"},
		"65004":            {"error": "access_denied", "error_description": "AADSTS65004: User declined to consent."},
		"consent_required": {"error": "consent_required", "error_description": "AADSTS65004: User declined to consent."},
	} {
		m := newConfiguredMount(t, entratest.Options{})
		state := m.signIn("alice", "alice", nil).Params.Get("state")
		params["state"] = state
		page := m.post(params)
		page.want(t, 400, "You did not sign in")
		if strings.Contains(page.body, "administrator must act") {
			t.Errorf("%s: the page blames an administrator", name)
		}
	}
}

// TestChosenTextIsNotShown: an error redirect passed through a browser, so that anybody may
// have written its words, beside a state of their own.
func TestChosenTextIsNotShown(t *testing.T) {
	t.Parallel()
	for description, shown := range map[string]bool{
		"Call +1 555 0100 to unlock your account":                            false,
		"AADSTS9999999: Call +1 555 0100 to unlock your account":             false,
		"AADSTS50105: The signed in user is not assigned to a role for this": true,
	} {
		m := newConfiguredMount(t, entratest.Options{})
		state := m.signIn("alice", "alice", nil).Params.Get("state")
		page := m.post(map[string]any{"state": state, "error": "access_denied", "error_description": description})
		text := strings.TrimPrefix(description, "AADSTS50105: ")
		if got := strings.Contains(page.body, text); got != shown {
			t.Errorf("%q is shown: %v", description, got)
		}
		if shown && !strings.Contains(page.body, "“"+text) {
			t.Errorf("%q is not shown as a quotation", description)
		}
	}
}

// TestGuestsName: a guest's preferred_username is another directory's, and may be the name of
// an account.
func TestGuestsName(t *testing.T) {
	t.Parallel()
	m := newEnvironmentMount(t, map[string]any{"account_binding": "username"})
	guest := entratest.User{
		Username: "carol@fabrikam.example", TenantID: entratest.ContosoTenantID, HomeTenantID: entratest.FabrikamTenantID,
	}
	if _, err := m.sim.AddUser(guest); err != nil {
		t.Fatal(err)
	}
	resp, err := m.complete(guest.Username, m.signIn(guest.Username, guest.Username, nil))
	wantProblem(t, resp, err, 400, "login_failed: ", "object_id")
}

// TestRefreshIn: a token of 28 hours is refreshed ahead when Entra wants it, and served on if
// that fails.
func TestRefreshIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testRefreshIn)
}

func testRefreshIn(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{Lifetimes: entratest.Lifetimes{AccessToken: 28 * time.Hour}},
		map[string]any{"keepalive_interval": "0"})
	m.sim.Faults.Add(entratest.Fault{Match: entratest.Match{GrantType: "authorization_code"}, Set: map[string]any{"refresh_in": 12 * 3600}})
	m.login("alice", "alice")
	first := m.mustRead("token/alice")
	time.Sleep(10 * time.Hour)
	if n := m.refreshRequests(); n != 0 {
		t.Fatalf("%d refreshes in ten hours", n)
	}
	failing := m.refreshFault(entratest.Fault{Status: 503})
	time.Sleep(3 * time.Hour)
	if n := m.refreshRequests(); n == 0 {
		t.Error("nothing was refreshed after refresh_in")
	}
	if again := m.mustRead("token/alice"); again["access_token"] != first["access_token"] {
		t.Error("another token is served")
	}
	m.sim.Faults.Remove(failing)
	time.Sleep(time.Hour)
	if again := m.mustRead("token/alice"); again["access_token"] == first["access_token"] {
		t.Error("it was not refreshed ahead")
	}
}

// TestOwnAPIWarns: some tenants refuse api://<client_id>/… at a refresh.
func TestOwnAPIWarns(t *testing.T) {
	t.Parallel()
	m := newEnvironmentMount(t)
	own := "api://" + m.sim.App.ClientID + "/read"
	resp, err := m.write("config", map[string]any{"scopes": own})
	if err != nil || resp == nil || len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], m.sim.App.ClientID+"/read") {
		t.Errorf("config: %v, %v", resp, err)
	}
	resp, err = m.write("roles/own", map[string]any{"scopes": own})
	if err != nil || resp == nil || len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], "90009") {
		t.Errorf("role: %v, %v", resp, err)
	}
	m.mustWrite("config", map[string]any{"scopes": "User.Read"})
	m.login("alice", "alice")
	m.refreshFault(entratest.Fault{AADSTS: 90009})
	resp, err = m.readDue("alice")
	wantProblem(t, resp, err, 400, "invalid_request: ", "<client_id>/<name>")
}

// TestSovereignClouds: the URL of a login goes to the cloud's own host.
func TestSovereignClouds(t *testing.T) {
	t.Parallel()
	for environment, host := range map[string]string{
		"BleuCloud": "login.sovcloud-identity.fr", "DelosCloud": "login.sovcloud-identity.de", "GovSGCloud": "login.sovcloud-identity.sg",
	} {
		m := newEnvironmentMount(t, map[string]any{"environment": environment, "account_binding": "username"})
		u, err := url.Parse(m.mustWrite("login/alice", nil)["auth_url"].(string))
		if err != nil || u.Host != host {
			t.Errorf("%s: %v, %v", environment, u, err)
		}
		m.login("alice@contoso.example", "alice")
	}
}

// TestProviderThatGrantsOtherwise: where none of the scopes was granted, another provider is
// asked for none and gives what the grant gives.
func TestProviderThatGrantsOtherwise(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.sim.Faults.Add(entratest.Fault{Match: entratest.Match{Endpoint: entratest.Token}, Set: map[string]any{"scope": "something else"}})
	m.login("alice", "alice")
	m.expire("alice")
	_, _ = m.read("token/alice")
	requests := m.sim.Requests()
	if scope := requests[len(requests)-1].Params["scope"]; strings.Contains(scope, "User.Read") {
		t.Errorf("the refresh asks for %q", scope)
	}
}

// TestScopesOfAnotherProvider: User.Read is Graph's; the OpenID scopes and email are ordinary
// ones elsewhere.
func TestScopesOfAnotherProvider(t *testing.T) {
	t.Parallel()
	m := newMount(t, entratest.Options{})
	config := m.config()
	delete(config, "scopes")
	m.mustWrite("config", config)
	if scopes := m.mustRead("config")["scopes"].([]string); len(scopes) != 0 {
		t.Errorf("the default is %q", scopes)
	}
	m.mustWrite("config", map[string]any{"scopes": "email,openid"})
	m.mustWrite("config", map[string]any{"login_ttl": "20m"})
	if scopes := m.mustRead("config")["scopes"].([]string); len(scopes) != 2 {
		t.Errorf("the scopes are %q", scopes)
	}
	m.mustWrite("roles/who", map[string]any{"scopes": "email"})
}
