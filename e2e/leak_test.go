// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// leakHunt drives the engine and searches all that it says and writes. What is
// secret is noted as it comes into being.
type leakHunt struct {
	*engine
	secrets secretSet
	answers []*answer // all but those that are there to give a token
}

func newLeakHunt(t *testing.T, simulatorFlags ...string) *leakHunt {
	t.Helper()
	h := &leakHunt{engine: newEngine(t, simulatorFlags...), secrets: secretSet{}}
	h.secrets.add(t, "client secret", h.sim.ClientSecret)
	h.client.heard = func(a *answer) {
		raw := strings.Contains(a.what, " sys/raw/")                                                               // the test's own look into storage
		token := a.status == 200 && (strings.Contains(a.what, "/token/") || strings.Contains(a.what, "/refresh/")) // served, as it should be
		if !raw && !token {
			h.answers = append(h.answers, a)
		}
	}
	return h
}

// noteAccount notes what an account holds in storage.
func (h *leakHunt) noteAccount(when, account string) {
	h.t.Helper()
	entry := h.stored("account/" + account)
	h.secrets.add(h.t, "refresh token "+when, entry["refresh_token"].(string))
	for role, held := range entry["tokens"].(map[string]any) {
		h.secrets.add(h.t, "access token of role "+role+" "+when, held.(map[string]any)["access_token"].(string))
	}
}

// noteLogin notes what the only pending login holds in storage.
func (h *leakHunt) noteLogin(when string) {
	h.t.Helper()
	login := h.stored("login/" + h.only("login/"))
	for _, field := range []string{"verifier", "nonce", "device_code"} {
		if value, ok := login[field].(string); ok && value != "" {
			h.secrets.add(h.t, field+" "+when, value)
		}
	}
}

// handOver signs a user in at a loopback listener, notes code and state, and hands
// them over with these changes.
func (h *leakHunt) handOver(when, account, user string, login, changes object) *answer {
	h.t.Helper()
	fields := object{"redirect_uri": "http://localhost:8400/callback"}
	for name, value := range login {
		fields[name] = value
	}
	authURL := h.login(account, fields)
	h.noteLogin(when)
	values := redirectValues(h.t, newBrowser(h.sim).signIn(authURL, user).location)
	h.secrets.add(h.t, "code "+when, values.Get("code"))
	h.secrets.add(h.t, "state "+when, values.Get("state"))
	handover := object{"code": values.Get("code"), "state": values.Get("state")}
	for name, value := range changes {
		handover[name] = value
	}
	return h.put("entra/callback/"+account, handover)
}

// Every path and every failure, and then the search: logs, storage, help, and all
// that was answered.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	h := newLeakHunt(t, "-token-lifetime", "4s")
	h.put("entra/roles/mail", object{"scopes": "Mail.Read"}).want(204)

	h.handOver("at the sign-in", "alice", "alice", object{"roles": "mail"}, nil).want(200)
	h.get("entra/token/alice/mail").want(200)
	h.noteAccount("after the sign-in", "alice")
	until(t, h.readToken("alice").expires.Add(time.Second))
	h.readToken("alice")
	h.put("entra/refresh/alice", object{"claims": `{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}`}).want(200)
	h.noteAccount("after two refreshes", "alice")
	h.hearAll("alice")

	h.failAtLogin()
	h.failAtRefresh()
	h.failAtImport()
	h.deviceCodes()
	h.credentials()
	h.hearAll("alice")

	h.wantNoSecrets(h.secrets)
	if len(h.answers) < 60 || len(h.secrets) < 30 {
		t.Errorf("only %d answers were searched for %d secrets", len(h.answers), len(h.secrets))
	}
	inURLs := 0
	for _, a := range h.answers {
		var found []string
		for _, name := range h.secrets.foundIn(a.body) {
			// The authorization URL carries state and nonce to the browser.
			if strings.HasPrefix(a.what, "PUT entra/login/") && (strings.HasPrefix(name, "state ") || strings.HasPrefix(name, "nonce ")) {
				inURLs++
				continue
			}
			found = append(found, name)
		}
		if len(found) > 0 {
			t.Errorf("%s tells: %s", a.what, strings.Join(found, ", "))
		}
	}
	if inURLs == 0 {
		t.Error("the search has not even found the state in an authorization URL")
	}
}

// hearAll asks everything that only tells.
func (h *leakHunt) hearAll(account string) {
	h.t.Helper()
	h.get("entra/config").want(200)
	for _, path := range []string{"config", "roles/mail", "login/" + account, "callback", "callback/" + account, "token/" + account, "token/" + account + "/mail",
		"refresh/" + account, "import/" + account, "device/" + account, "account/" + account, ""} {
		h.get("entra/" + path + "?help=1").want(200)
	}
	h.get("entra/roles/mail").want(200)
	h.call("LIST", "entra/roles", nil).want(200)
	h.call("LIST", "entra/account", nil).want(200)
	h.get("entra/account/" + account).want(200)
	h.get("entra/login/" + account).want(200)
	h.get("sys/internal/specs/openapi").want(200)
}

// failAtLogin lets a sign-in go wrong in each way.
func (h *leakHunt) failAtLogin() {
	h.t.Helper()
	h.handOver("for another user", "alice", "bob", nil, nil).wantError(400, "login_failed: ")
	h.handOver("with a wrong code", "carol", "carol", nil, object{"code": "0123456789abcdef-no-code"}).wantError(400, "login_failed: ")
	h.handOver("declined", "carol", "carol", nil, object{"code": "", "error": "access_denied", "error_description": "AADSTS65004: declined"}).wantError(400, "login_failed: ")
	for name, fault := range map[string]object{
		"the ID token is forged":    {"id_token": object{"kind": "wrong_signature"}},
		"the nonce is wrong":        {"id_token": object{"kind": "wrong_nonce"}},
		"there is no refresh token": {"omit": []string{"refresh_token"}},
		"the answer is no JSON":     {"status": 200, "body": "no JSON"},
		"the code has expired":      {"aadsts": 70008},
	} {
		fault["endpoint"], fault["times"] = "token", 1
		h.sim.control("faults", fault, nil)
		h.handOver(name, "carol", "carol", nil, nil).want(400, 502)
	}
	used := redirectValues(h.t, loopbackLogin(h.engine, "carol", "carol"))
	h.secrets.add(h.t, "code used twice", used.Get("code"))
	h.secrets.add(h.t, "state used twice", used.Get("state"))
	pasted := object{"url": "http://localhost:8400/callback?" + used.Encode()}
	h.put("entra/callback/bob", pasted).want(400, 404)
	h.put("entra/callback/carol", pasted).want(200)
	h.put("entra/callback/carol", pasted).wantError(400, "login_failed: ")
}

// failAtRefresh lets a refresh go wrong in each way.
func (h *leakHunt) failAtRefresh() {
	h.t.Helper()
	for i, fault := range []object{{"status": 503}, {"aadsts": 50196}, {"status": 200, "body": "{"}, {"drop": true}, {"id_token": object{"kind": "other_user"}}, {"aadsts": 7000222}, {"aadsts": 53003}, {"aadsts": 70011}, {"aadsts": 50173}} {
		fault["endpoint"], fault["times"] = "token", 2
		h.put("entra/config", object{"request_timeout": "10s"}).want(204) // forgets what is remembered of failures
		h.sim.clearFaults()
		h.sim.control("faults", fault, nil)
		if a := h.put("entra/refresh/carol", nil); a.status == 200 && i != 4 {
			h.t.Errorf("a refresh with %v succeeds", fault)
		}
		h.get("entra/account/carol").want(200)
		h.get("entra/config").want(200)
	}
	h.sim.clearFaults()
	h.put("entra/refresh/alice", object{"claims": "not claims, 0123456789abcdef"}).want(400)
	h.get("entra/token/alice/unknown").want(400)
}

func (h *leakHunt) failAtImport() {
	h.t.Helper()
	for _, user := range []string{"bob", "carol"} {
		token := h.sim.refreshToken(user)
		h.secrets.add(h.t, "imported refresh token of "+user, token)
		h.put("entra/import/alice", object{"refresh_token": token}).wantError(400, "login_failed: ")
	}
	bad := "0123456789abcdef-no-refresh-token"
	h.secrets.add(h.t, "refresh token that is none", bad)
	h.put("entra/import/dave", object{"refresh_token": bad}).wantError(400, "login_failed: ")
	h.put("entra/import/dave", object{"refresh_token": bad, "scopes": "two resources/.default"}).want(400)
}

func (h *leakHunt) deviceCodes() {
	h.t.Helper()
	h.put("entra/config", object{"allow_device_code": true}).want(204)
	for _, action := range []string{"cancel", "signin"} {
		code := h.put("entra/device/erin", nil).want(200).text("user_code")
		h.noteLogin("of a device, " + action)
		h.sim.control("device", object{"user_code": code, "user": "carol", "action": action}, nil)
		eventually(h.t, upTime, "the login ends", func() error {
			if h.get("entra/login/erin").want(200).text("status") == "pending" {
				return errors.New("it is pending")
			}
			return nil
		})
	}
	h.readToken("erin")
	h.noteAccount("of a device", "erin")
}

// credentials replaces the client's credential, and gives wrong ones.
func (h *leakHunt) credentials() {
	h.t.Helper()
	h.secrets.add(h.t, "second client secret", "second-secret-0123456789")
	h.put("entra/config", object{"client_secret": "second-secret-0123456789"}).want(204)
	h.put("entra/refresh/alice", nil).wantError(502, "client_rejected: ")
	h.put("entra/config", object{"client_secret": "second-secret-0123456789", "scopes": "two resources/.default"}).want(400)
	cert, key := certificateUntil(h.t, time.Now().Add(time.Hour))
	_, other := certificateUntil(h.t, time.Now().Add(time.Hour))
	h.secrets.add(h.t, "private key", strings.Split(key, "\n")[3])
	h.secrets.add(h.t, "private key of another", strings.Split(other, "\n")[3])
	h.put("entra/config", object{"client_certificate": cert, "client_private_key": other}).want(400)
	h.put("entra/config", object{"client_certificate": cert, "client_private_key": key[:200]}).want(400)
	h.put("entra/config", object{"client_certificate": cert, "client_private_key": key}).want(204)
	h.get("entra/config").want(200)
}
