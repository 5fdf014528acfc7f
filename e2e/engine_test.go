// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"maps"
	"testing"
	"time"
)

// engine is the secrets engine mounted at entra/ on one server, with a simulator
// as its Entra ID.
type engine struct {
	*server
	sim *simulator
}

// newEngine starts a server and a simulator with these flags, and configures the
// engine for it as a confidential client.
func newEngine(t testing.TB, simulatorFlags ...string) *engine {
	t.Helper()
	e := &engine{server: newServer(t), sim: newSimulator(t, simulatorFlags...)}
	e.configure(nil)
	return e
}

// callbackURL is the browser callback of this mount.
func (e *engine) callbackURL() string { return e.addr + "/v1/entra/callback" }

// loopbackURL is the redirect URI of a listener on a person's machine. Nothing
// listens there: the tests take what would have been sent.
const loopbackURL = "http://localhost/callback"

// configure writes the config for the simulator; fields win over it.
func (e *engine) configure(fields object) {
	e.t.Helper()
	config := object{
		"tenant_id":     e.sim.TenantID,
		"client_id":     e.sim.ClientID,
		"client_secret": e.sim.ClientSecret,
		"redirect_uris": []string{e.callbackURL(), loopbackURL},
		"authority_url": e.sim.Authority,
		"ca_pem":        e.sim.ca,
		// A test says itself when a token is refreshed.
		"background_refresh": false,
	}
	maps.Copy(config, fields)
	e.put("entra/config", config).want(204)
}

// login starts a login and returns its authorization URL.
func (e *engine) login(account string, fields object) string {
	e.t.Helper()
	return e.put("entra/login/"+account, fields).want(200).text("auth_url")
}

// signIn signs a user of the simulator in to an account, through the browser and
// its confirm page.
func (e *engine) signIn(account, user string) {
	e.t.Helper()
	b := newBrowser(e.sim)
	wantPage(e.t, b.confirm(b.follow(b.signIn(e.login(account, nil), user))), 200, "You are signed in")
}

// token is what a read of token/ACCOUNT gives.
type token struct {
	access   string
	expires  time.Time
	obtained time.Time
	ttl      int
}

// readToken reads a token, which must come without a warning.
func (e *engine) readToken(account string) token {
	e.t.Helper()
	a := e.get("entra/token/" + account).want(200)
	if len(a.Warnings) > 0 {
		e.t.Fatalf("token/%s: %q", account, a.Warnings)
	}
	return token{
		access:   a.text("access_token"),
		expires:  a.time("expire_time"),
		obtained: a.time("last_vault_rotation"),
		ttl:      a.number("ttl"),
	}
}

// until waits for a moment that lies ahead, at most a minute.
func until(t testing.TB, moment time.Time) {
	t.Helper()
	wait := time.Until(moment)
	if wait > time.Minute {
		t.Fatalf("%s is too long to wait", wait)
	}
	time.Sleep(wait)
}
