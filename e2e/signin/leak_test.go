// SPDX-License-Identifier: MPL-2.0

package signin

import (
	"errors"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// leakHunt drives the engine and searches all that it says and writes. What is
// secret is noted as it comes into being.
type leakHunt struct {
	*harness.Engine
	secrets secretSet
	answers []*harness.Answer // all but those that are there to give a token
}

func newLeakHunt(t *testing.T, simulatorFlags ...string) *leakHunt {
	t.Helper()
	h := &leakHunt{Engine: harness.NewEngine(t, simulatorFlags...), secrets: secretSet{}}
	h.secrets.add(t, "client secret", h.Sim.ClientSecret)
	h.Client.Heard = func(a *harness.Answer) {
		// the test's own look into storage
		raw := strings.Contains(a.What, " sys/raw/")
		// served, as it should be
		token := a.Status == 200 &&
			(strings.Contains(a.What, "/token/") || strings.Contains(a.What, "/refresh/"))
		if !raw && !token {
			h.answers = append(h.answers, a)
		}
	}
	return h
}

// noteAccount notes what an account holds in storage.
func (h *leakHunt) noteAccount(when, account string) {
	h.T.Helper()
	entry := h.Stored("account/" + account)
	h.secrets.add(h.T, "refresh token "+when, entry["refresh_token"].(string))
	for role, cached := range entry["tokens"].(map[string]any) {
		h.secrets.add(h.T, "access token of role "+role+" "+when,
			cached.(map[string]any)["access_token"].(string))
	}
}

// noteLogin notes what the only pending login holds in storage.
func (h *leakHunt) noteLogin(when string) {
	h.T.Helper()
	login := h.Stored("login/" + h.OnlyKey("login/"))
	for _, field := range []string{"verifier", "nonce", "device_code"} {
		if value, ok := login[field].(string); ok && value != "" {
			h.secrets.add(h.T, field+" "+when, value)
		}
	}
}

// handOver signs a user in at a loopback listener, notes code and state, and hands
// them over with these changes.
func (h *leakHunt) handOver(when, account, user string, login, changes object) *harness.Answer {
	h.T.Helper()
	fields := object{"redirect_uri": "http://localhost:8400/callback"}
	for name, value := range login {
		fields[name] = value
	}
	authURL := h.Login(account, fields)
	h.noteLogin(when)
	values := harness.RedirectValues(h.T, harness.NewBrowser(h.Sim).SignIn(authURL, user).Location)
	h.secrets.add(h.T, "code "+when, values.Get("code"))
	h.secrets.add(h.T, "state "+when, values.Get("state"))
	handover := object{"code": values.Get("code"), "state": values.Get("state")}
	for name, value := range changes {
		handover[name] = value
	}
	return h.Put("entra/callback/"+account, handover)
}

// Every path and every failure, and then the search: logs, storage, help, and all
// that was answered.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	h := newLeakHunt(t, "-token-lifetime", "4s")
	h.Put("entra/roles/mail", object{"scopes": "Mail.Read"}).Want(204)

	h.handOver("at the sign-in", "alice", "alice", object{"roles": "mail"}, nil).Want(200)
	h.Get("entra/token/alice/mail").Want(200)
	h.noteAccount("after the sign-in", "alice")
	harness.Until(t, h.ReadToken("alice").Expires.Add(time.Second))
	h.ReadToken("alice")
	h.Put("entra/refresh/alice", object{
		"claims": `{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}`,
	}).Want(200)
	h.noteAccount("after two refreshes", "alice")
	h.hearAll("alice")

	h.failAtLogin()
	h.failAtRefresh()
	h.failAtImport()
	h.deviceCodes()
	h.credentials()
	h.hearAll("alice")

	wantNoSecrets(h.Engine, h.secrets)
	if len(h.answers) < 60 || len(h.secrets) < 30 {
		t.Errorf("only %d answers were searched for %d secrets", len(h.answers), len(h.secrets))
	}
	inURLs := 0
	for _, a := range h.answers {
		var found []string
		for _, name := range h.secrets.foundIn(a.Body) {
			// The authorization URL carries state and nonce to the browser.
			if strings.HasPrefix(a.What, "PUT entra/login/") &&
				(strings.HasPrefix(name, "state ") || strings.HasPrefix(name, "nonce ")) {
				inURLs++
				continue
			}
			found = append(found, name)
		}
		if len(found) > 0 {
			t.Errorf("%s tells: %s", a.What, strings.Join(found, ", "))
		}
	}
	if inURLs == 0 {
		t.Error("the search has not even found the state in an authorization URL")
	}
}

// hearAll asks everything that only tells.
func (h *leakHunt) hearAll(account string) {
	h.T.Helper()
	h.Get("entra/config").Want(200)
	for _, path := range []string{"config", "roles/mail", "login/" + account, "callback",
		"callback/" + account, "token/" + account, "token/" + account + "/mail",
		"check/" + account, "refresh/" + account, "import/" + account, "device/" + account, "account/" + account, ""} {
		h.Get("entra/" + path + "?help=1").Want(200)
	}
	h.Get("entra/roles/mail").Want(200)
	h.Call("LIST", "entra/roles", nil).Want(200)
	h.Call("LIST", "entra/account", nil).Want(200)
	h.Get("entra/account/" + account).Want(200)
	h.Get("entra/login/" + account).Want(200)
	for _, name := range []string{account, account + "/mail", "carol", "nobody"} {
		h.Get("entra/check/" + name).Want(200)
	}
	h.Get("sys/internal/specs/openapi").Want(200)
}

// failAtLogin lets a sign-in go wrong in each way.
func (h *leakHunt) failAtLogin() {
	h.T.Helper()
	h.handOver("for another user", "alice", "bob", nil, nil).WantError(400, "login_failed: ")
	h.handOver("with a wrong code", "carol", "carol", nil, object{
		"code": "0123456789abcdef-no-code",
	}).WantError(400, "login_failed: ")
	h.handOver("declined", "carol", "carol", nil, object{
		"code": "", "error": "access_denied", "error_description": "AADSTS65004: declined",
	}).WantError(400, "login_failed: ")
	for name, fault := range map[string]object{
		"the ID token is forged":    {"id_token": object{"kind": "wrong_signature"}},
		"the nonce is wrong":        {"id_token": object{"kind": "wrong_nonce"}},
		"there is no refresh token": {"omit": []string{"refresh_token"}},
		"the answer is no JSON":     {"status": 200, "body": "no JSON"},
		"the code has expired":      {"aadsts": 70008},
	} {
		fault["endpoint"], fault["times"] = "token", 1
		h.Sim.Control("faults", fault, nil)
		h.handOver(name, "carol", "carol", nil, nil).Want(400, 502)
	}
	used := harness.RedirectValues(h.T, h.Engine.LoopbackLogin("carol", "carol"))
	h.secrets.add(h.T, "code used twice", used.Get("code"))
	h.secrets.add(h.T, "state used twice", used.Get("state"))
	pasted := object{"url": "http://localhost:8400/callback?" + used.Encode()}
	h.Put("entra/callback/bob", pasted).Want(400, 404)
	h.Put("entra/callback/carol", pasted).Want(200)
	h.Put("entra/callback/carol", pasted).WantError(400, "login_failed: ")
}

// failAtRefresh lets a refresh go wrong in each way.
func (h *leakHunt) failAtRefresh() {
	h.T.Helper()
	for i, fault := range []object{
		{"status": 503}, {"aadsts": 50196}, {"status": 200, "body": "{"}, {"drop": true},
		{"id_token": object{"kind": "other_user"}}, {"aadsts": 7000222}, {"aadsts": 53003},
		{"aadsts": 70011}, {"aadsts": 50173},
	} {
		fault["endpoint"], fault["times"] = "token", 2
		// forgets what is remembered of failures
		h.Put("entra/config", object{"request_timeout": "10s"}).Want(204)
		h.Sim.ClearFaults()
		h.Sim.Control("faults", fault, nil)
		if a := h.Put("entra/refresh/carol", nil); a.Status == 200 && i != 4 {
			h.T.Errorf("a refresh with %v succeeds", fault)
		}
		h.Get("entra/account/carol").Want(200)
		h.Get("entra/check/carol").Want(200)
		h.Get("entra/config").Want(200)
	}
	h.Sim.ClearFaults()
	h.Put("entra/refresh/alice", object{"claims": "not claims, 0123456789abcdef"}).Want(400)
	h.Get("entra/token/alice/unknown").Want(400)
}

func (h *leakHunt) failAtImport() {
	h.T.Helper()
	for _, user := range []string{"bob", "carol"} {
		token := h.Sim.RefreshToken(user)
		h.secrets.add(h.T, "imported refresh token of "+user, token)
		h.Put("entra/import/alice", object{"refresh_token": token}).WantError(400, "login_failed: ")
	}
	bad := "0123456789abcdef-no-refresh-token"
	h.secrets.add(h.T, "refresh token that is none", bad)
	h.Put("entra/import/dave", object{"refresh_token": bad}).WantError(400, "login_failed: ")
	h.Put("entra/import/dave", object{
		"refresh_token": bad, "scopes": "two resources/.default",
	}).Want(400)
}

func (h *leakHunt) deviceCodes() {
	h.T.Helper()
	h.Put("entra/config", object{"allow_device_code": true}).Want(204)
	for _, action := range []string{"cancel", "signin"} {
		code := h.Put("entra/device/erin", nil).Want(200).Text("user_code")
		h.noteLogin("of a device, " + action)
		h.Sim.Control("device", object{"user_code": code, "user": "carol", "action": action}, nil)
		harness.Eventually(h.T, harness.UpTime, "the login ends", func() error {
			if h.Get("entra/login/erin").Want(200).Text("status") == "pending" {
				return errors.New("it is pending")
			}
			return nil
		})
	}
	h.ReadToken("erin")
	h.noteAccount("of a device", "erin")
}

// credentials replaces the client's credential, and gives wrong ones.
func (h *leakHunt) credentials() {
	h.T.Helper()
	h.secrets.add(h.T, "second client secret", "second-secret-0123456789")
	h.Put("entra/config", object{"client_secret": "second-secret-0123456789"}).Want(204)
	h.Put("entra/refresh/alice", nil).WantError(502, "client_rejected: ")
	h.Put("entra/config", object{
		"client_secret": "second-secret-0123456789", "scopes": "two resources/.default",
	}).Want(400)
	cert, key := certificateUntil(h.T, time.Now().Add(time.Hour))
	_, other := certificateUntil(h.T, time.Now().Add(time.Hour))
	h.secrets.add(h.T, "private key", strings.Split(key, "\n")[3])
	h.secrets.add(h.T, "private key of another", strings.Split(other, "\n")[3])
	h.Put("entra/config", object{"client_certificate": cert, "client_private_key": other}).Want(400)
	h.Put("entra/config", object{
		"client_certificate": cert, "client_private_key": key[:200],
	}).Want(400)
	h.Put("entra/config", object{"client_certificate": cert, "client_private_key": key}).Want(204)
	h.Get("entra/config").Want(200)
}
