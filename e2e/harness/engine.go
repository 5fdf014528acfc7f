// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"maps"
	"testing"
	"time"
)

// Engine is the secrets engine mounted at entra/ on one server, with a simulator
// as its Entra ID.
type Engine struct {
	*Server
	Sim *Simulator
}

// NewEngine starts a server and a simulator with these flags, and configures the
// engine for it as a confidential client.
func NewEngine(t testing.TB, simulatorFlags ...string) *Engine {
	t.Helper()
	e := &Engine{Server: NewServer(t), Sim: NewSimulator(t, simulatorFlags...)}
	e.Configure(nil)
	return e
}

// CallbackURL is the browser callback of this mount.
func (e *Engine) CallbackURL() string { return e.Addr + "/v1/entra/callback" }

// LoopbackURL is the redirect URI of a listener on a person's machine. Nothing
// listens there: the tests take what would have been sent.
const LoopbackURL = "http://localhost/callback"

// Configure writes the config for the simulator; fields win over it.
func (e *Engine) Configure(fields object) {
	e.T.Helper()
	config := object{
		"tenant_id":     e.Sim.TenantID,
		"client_id":     e.Sim.ClientID,
		"client_secret": e.Sim.ClientSecret,
		"redirect_uris": []string{e.CallbackURL(), LoopbackURL},
		"authority_url": e.Sim.Authority,
		"scopes":        "User.Read",
		"ca_pem":        e.Sim.CA,
		// A test says itself when a token is refreshed.
		"background_refresh": false,
	}
	maps.Copy(config, fields)
	e.Put("entra/config", config).Want(204)
}

// Token is what a read of token/ACCOUNT gives.
type Token struct {
	Access   string
	Expires  time.Time
	Obtained time.Time
	ttl      int
}

// ReadToken reads a token, which must come without a warning.
func (e *Engine) ReadToken(account string) Token {
	e.T.Helper()
	a := e.Get("entra/token/" + account).Want(200)
	if len(a.Warnings) > 0 {
		e.T.Fatalf("token/%s: %q", account, a.Warnings)
	}
	return Token{
		Access:   a.Text("access_token"),
		Expires:  a.Time("expire_time"),
		Obtained: a.Time("last_vault_rotation"),
		ttl:      a.Number("ttl"),
	}
}

// ExpireTime is when the token of an account expires. It reads no token.
func (e *Engine) ExpireTime(account string) time.Time {
	e.T.Helper()
	return e.Get("entra/account/" + account).Want(200).Time("expire_time")
}

// NewEngineWithRoles is an engine with two roles of different resources.
func NewEngineWithRoles(t testing.TB, simulatorFlags ...string) *Engine {
	t.Helper()
	e := NewEngine(t, simulatorFlags...)
	e.Put("entra/roles/mail", object{"scopes": "Mail.Read"}).Want(204)
	e.Put("entra/roles/arm", object{"scopes": "https://management.azure.com//user_impersonation"}).Want(204)
	return e
}
