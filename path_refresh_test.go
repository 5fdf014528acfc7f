// SPDX-License-Identifier: MPL-2.0

package main

import (
	"encoding/base64"
	"strings"
	"sync"
	"testing"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entratest"
)

// TestForcedRefresh gets another token, fresh as the cached one may be, and serves
// it from then on.
func TestForcedRefresh(t *testing.T) {
	t.Parallel()
	m := withRoles(t, entratest.Options{})
	m.consentToARM()
	m.loginWith("alice", "alice", map[string]any{"roles": "arm"})
	for _, of := range []string{"alice", "alice/arm"} {
		cached := m.mustRead("token/" + of)
		forced := m.mustWrite("refresh/"+of, nil)
		if forced["access_token"] == cached["access_token"] {
			t.Errorf("%s: the cached token came back", of)
		}
		if now := m.mustRead("token/" + of); now["access_token"] != forced["access_token"] {
			t.Errorf("%s: the forced token is not served", of)
		}
	}
	resp, err := m.write("refresh/nobody", nil)
	wantProblem(t, resp, err, 404)
	m.mustWrite("login/carol", nil)
	resp, err = m.write("refresh/carol", nil)
	wantProblem(t, resp, err, 400, "login_required: ")
}

// TestForcedRefreshIsShared: calls that overlap or follow within a second are one.
func TestForcedRefreshIsShared(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{Rotation: entratest.RotateRevokeFamily})
	m.login("alice", "alice")
	tokens := make([]any, 50)
	var calls sync.WaitGroup
	for i := range tokens {
		calls.Add(1)
		go func() {
			defer calls.Done()
			resp, err := m.write("refresh/alice", nil)
			if err != nil || resp.IsError() {
				t.Error(describe(resp, err))
				return
			}
			tokens[i] = resp.Data["access_token"]
		}()
	}
	calls.Wait()
	for _, token := range tokens {
		if token != tokens[0] {
			t.Fatal("the callers got different tokens")
		}
	}
	if n := m.refreshRequests(); n != 1 {
		t.Errorf("%d requests", n)
	}
	// Other claims are another refresh.
	m.mustWrite("refresh/alice", map[string]any{"claims": `{"access_token":{"acrs":null}}`})
	if n := m.refreshRequests(); n != 2 {
		t.Errorf("%d requests with other claims, want 2", n)
	}
}

// TestForcedRefreshClaims: a challenge reaches Entra as it came, merged with the
// client's capabilities.
func TestForcedRefreshClaims(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"client_capabilities": "cp1"})
	m.login("alice", "alice")
	challenge := `{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}`
	for name, claims := range map[string]string{
		"JSON": challenge, "base64": base64.StdEncoding.EncodeToString([]byte(challenge)),
		"URL-safe, unpadded": base64.RawURLEncoding.EncodeToString([]byte(challenge)),
	} {
		m.login("alice", "alice") // a new generation shares nothing
		m.mustWrite("refresh/alice", map[string]any{"claims": claims})
		requests := m.sim.Requests()
		sent := requests[len(requests)-1].Params["claims"]
		if !strings.Contains(sent, `"nbf":{"essential":true,"value":"1700000000"}`) || !strings.Contains(sent, `"xms_cc":{"values":["cp1"]}`) {
			t.Errorf("%s: sent claims %s", name, sent)
		}
	}
	for _, bad := range []string{"not JSON", "[1]", "{", base64.StdEncoding.EncodeToString([]byte("[1]")), "null"} {
		resp, err := m.write("refresh/alice", map[string]any{"claims": bad})
		wantProblem(t, resp, err, 400, "invalid_request: claims: ")
	}
}

// TestCAE: with cp1 tokens live a day, and a revoked one is replaced by force.
func TestCAE(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"client_capabilities": "cp1"})
	m.login("alice", "alice")
	token, _ := m.sim.Introspect(m.mustRead("token/alice")["access_token"].(string))
	if !token.CAE || token.Expires.Sub(token.Issued).Hours() < 20 {
		t.Errorf("the token is %+v", token)
	}
}

// TestForcedRefreshFailure: an error, never the cached token, which stays as it is.
func TestForcedRefreshFailure(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	cached := m.mustRead("token/alice")["access_token"]
	for name, test := range map[string]struct {
		fault  entratest.Fault
		claims string
		status int
		word   string
	}{
		"challenge refused": {entratest.Fault{AADSTS: 50076, Times: 1}, `{"a":1}`, 400, "login_required: "},
		"challenge blocked": {entratest.Fault{AADSTS: 53003, Times: 1}, `{"a":2}`, 400, "access_denied: "},
	} {
		id := m.refreshFault(test.fault)
		for range 5 { // at most once in ten seconds
			resp, err := m.write("refresh/alice", map[string]any{"claims": test.claims})
			wantProblem(t, resp, err, test.status, test.word)
		}
		if n := m.sim.Faults.Fired(id); n != 1 {
			t.Errorf("%s: asked %d times", name, n)
		}
		if now := m.mustRead("token/alice")["access_token"]; now != cached {
			t.Errorf("%s: the cached token is gone", name)
		}
		if state := m.mustRead("account/alice")["state"]; state != account.StateActive {
			t.Errorf("%s: a refused challenge made the account %v", name, state)
		}
	}
	m.refreshFault(entratest.Fault{Status: 429, RetryAfter: "60"})
	before := m.refreshRequests()
	for range 5 { // Retry-After is respected
		resp, err := m.write("refresh/alice", nil)
		wantProblem(t, resp, err, 502, "entra_unavailable: ")
	}
	if n := m.refreshRequests() - before; n != 1 {
		t.Errorf("throttled: asked %d times", n)
	}
	if now := m.mustRead("token/alice")["access_token"]; now != cached {
		t.Error("throttled: the cached token is gone")
	}
}

// TestForcedRefreshHeals: what a refresh was refused for is tried again by force,
// and reads work again when it has worked.
func TestForcedRefreshHeals(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	id := m.refreshFault(entratest.Fault{AADSTS: 53003})
	resp, err := m.readDue("alice")
	wantProblem(t, resp, err, 400, "access_denied: ")
	resp, err = m.write("refresh/alice", nil)
	wantProblem(t, resp, err, 400, "access_denied: ") // refused a moment ago
	if n := m.sim.Faults.Fired(id); n != 1 {
		t.Errorf("asked %d times within ten seconds", n)
	}
	m.agedErrors("alice")
	m.sim.Faults.Clear()
	m.mustWrite("refresh/alice", nil)
	m.mustRead("token/alice")
	if state := m.mustRead("account/alice")["state"]; state != account.StateActive {
		t.Errorf("the account is %v", state)
	}
}
