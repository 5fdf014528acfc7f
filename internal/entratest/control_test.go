// SPDX-License-Identifier: MPL-2.0

package entratest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/internal/entratest"
)

// control sends one request to the control API.
func (w *world) control(method, path, body string, headers ...string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.URL+"/_simulator/"+path,
		strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := w.Client().Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// post runs a command and reads its answer.
func (w *world) post(path, body string, into any) {
	w.t.Helper()
	status, text := w.control(http.MethodPost, path, body)
	if status != http.StatusOK {
		w.t.Fatalf("%s: status %d: %s", path, status, text)
	}
	if into != nil {
		decode(w.t, strings.NewReader(text), into)
	}
}

func TestControlSignsIn(t *testing.T) {
	w := start(t, entratest.Options{})
	var redirect struct {
		URI, Method, URL string
		Params           map[string]string
	}
	w.post("signin", `{"auth_url": "`+w.authURL("response_mode", "form_post")+`", "user": "alice"}`,
		&redirect)
	if redirect.URI != redirectURI || redirect.Method != "POST" ||
		redirect.Params["state"] != "state-1" {
		t.Errorf("%+v", redirect)
	}
	w.redeem(redirect.Params["code"]).good(t)

	w.post("signin", `{"auth_url": "`+w.authURL()+`", "action": "cancel"}`, &redirect)
	if redirect.Params["error"] != "access_denied" {
		t.Errorf("%+v", redirect)
	}
	w.post("signin", `{"auth_url": "`+w.authURL("prompt", "none")+`", "action": "open"}`, &redirect)
	if redirect.Params["error"] != "login_required" {
		t.Errorf("%+v", redirect)
	}

	approved, declined := w.startDevice(), w.startDevice()
	w.post("device", `{"user_code": "`+approved.UserCode+`", "user": "carol"}`, nil)
	w.post("device", `{"user_code": "`+declined.UserCode+`", "action": "cancel"}`, nil)
	w.poll(approved).good(t)
	w.poll(declined).refused(t, 400, "authorization_declined", 65004)
}

func TestControlUsersAndTokens(t *testing.T) {
	w := start(t, entratest.Options{})
	var user entratest.User
	w.post("users", `{"username": "dave@contoso.example", "name": "Dave"}`, &user)
	if user.ObjectID == "" || user.TenantID != w.Tenant() {
		t.Errorf("%+v", user)
	}
	token := w.signIn("dave").RefreshToken
	w.post("users/state", `{"user": "dave", "state": "mfa_required", "resource": "`+graph+`"}`, nil)
	w.refresh(token).refused(t, 400, "invalid_grant", 50076)
	w.post("reset", `{}`, nil)
	w.refresh(token).good(t)
	w.post("revoke", `{"user": "dave"}`, nil)
	w.refresh(token).refused(t, 400, "invalid_grant", 50173)

	token = w.signIn("dave").RefreshToken
	w.post("expire", `{"user": "dave"}`, nil)
	w.refresh(token).refused(t, 400, "invalid_grant", 700082)
	token = w.signIn("dave").RefreshToken
	w.post("remove-consent",
		`{"user": "dave", "client_id": "`+w.App.ClientID+`", "resource": "`+graph+`"}`, nil)
	w.refresh(token).refused(t, 400, "invalid_grant", 65001)

	var issued struct {
		Token string `json:"refresh_token"`
	}
	w.post("refresh-token",
		`{"user": "bob", "client_id": "`+w.App.ClientID+`", "platform": "web", "scopes": ["User.Read", "offline_access"]}`,
		&issued)
	access := w.refresh(issued.Token).good(t).AccessToken
	var info entratest.AccessToken
	w.post("introspect", `{"token": "`+access+`"}`, &info)
	if !info.Active || info.Username != "bob@contoso.example" {
		t.Errorf("%+v", info)
	}
}

func TestControlSettings(t *testing.T) {
	w := start(t, entratest.Options{})
	w.post("lifetimes", `{"access_token": "20s"}`, nil)
	w.post("policy", `{"rotation": "refuse-old"}`, nil)
	old := w.signIn("alice")
	if old.ExpiresIn != float64(20) {
		t.Errorf("expires_in %v", old.ExpiresIn)
	}
	w.refresh(old.RefreshToken).good(t)
	w.refresh(old.RefreshToken).refused(t, 400, "invalid_grant", 0)

	w.post("rotate-keys", `{}`, nil)
	if n := len(w.keySet().Keys); n != 2 {
		t.Errorf("%d keys", n)
	}
	w.post("rotate-keys", `{"drop_old": true}`, nil)
	if n := len(w.keySet().Keys); n != 1 {
		t.Errorf("%d keys", n)
	}

	var app entratest.App
	w.post("apps",
		`{"name": "App", "access_token_lifetime": "30s", "secrets": [{"value": "s"}], "redirect_uris": [{"uri": "`+redirectURI+`", "platform": "web"}]}`,
		&app)
	a := w.redeem(w.code("alice", "client_id", app.ClientID), "client_id", app.ClientID,
		"client_secret", "s").good(
		t,
	)
	if a.ExpiresIn != float64(30) {
		t.Errorf("expires_in %v", a.ExpiresIn)
	}
}

func TestControlFaults(t *testing.T) {
	w := start(t, entratest.Options{})
	token := w.signIn("alice").RefreshToken
	var added struct{ ID int }
	w.post("faults",
		`{"endpoint": "token", "grant_type": "refresh_token", "aadsts": 50196, "times": 2, "delay": "1ms"}`,
		&added)
	w.refresh(token).refused(t, 400, "invalid_grant", 50196)
	var list []struct {
		ID, Fired, AADSTS int
		Endpoint          string
	}
	_, text := w.control("GET", "faults", "")
	decode(t, strings.NewReader(text), &list)
	if len(list) != 1 || list[0].ID != added.ID || list[0].Fired != 1 || list[0].AADSTS != 50196 ||
		list[0].Endpoint != "token" {
		t.Errorf("%s", text)
	}
	if status, _ := w.control("DELETE", "faults/1", ""); status != 200 {
		t.Errorf("status %d", status)
	}
	w.refresh(token).good(t)
	w.post("faults", `{"status": 500}`, nil)
	w.control("DELETE", "faults", "")
	w.refresh(token).good(t)
}

func TestControlStateHoldsNoSecret(t *testing.T) {
	w := start(t, entratest.Options{})
	tokens := w.signIn("alice")
	w.post("users/state", `{"user": "bob", "state": "blocked"}`, nil)
	_, state := w.control("GET", "state", "")
	_, requests := w.control("GET", "requests", "")
	for _, part := range []string{`"alice@contoso.example"`, `"blocked"`, `"rotation": "entra"`,
		`"authorization_code": 1`, w.PublicApp.ClientID} {
		if !strings.Contains(state, part) {
			t.Errorf("the state has no %s: %s", part, state)
		}
	}
	if !strings.Contains(requests, `"[redacted]"`) || !strings.Contains(requests, "User.Read") {
		t.Errorf("requests: %s", requests)
	}
	for _, secret := range []string{w.App.Secret(), tokens.AccessToken, tokens.RefreshToken,
		tokens.IDToken, verifier} {
		if strings.Contains(state+requests, secret) {
			t.Errorf("a secret is shown: %.20s…", secret)
		}
	}
}

func TestControlRefuses(t *testing.T) {
	w := start(t, entratest.Options{})
	for name, test := range map[string]struct {
		method, path, body string
		status             int
	}{
		"no JSON":          {"POST", "revoke", "user=alice", 400},
		"an unknown field": {"POST", "revoke", `{"usr": "alice"}`, 400},
		"two values":       {"POST", "revoke", `{"user": "alice"} {}`, 400},
		"nothing":          {"POST", "revoke", "", 400},
		"an unknown user":  {"POST", "revoke", `{"user": "nobody"}`, 400},
		"an unknown state": {"POST", "users/state", `{"user": "alice", "state": "tired"}`,
			400},
		"a bad username":       {"POST", "users", `{"username": "dave"}`, 400},
		"a bad policy":         {"POST", "policy", `{"rotation": "sometimes"}`, 400},
		"a number as duration": {"POST", "lifetimes", `{"access_token": 20}`, 400},
		"no duration":          {"POST", "lifetimes", `{"access_token": "soon"}`, 400},
		"a negative duration":  {"POST", "lifetimes", `{"access_token": "-1s"}`, 400},
		"a misspelt endpoint":  {"POST", "faults", `{"endpoint": "tokens", "drop": true}`, 400},
		"a misspelt kind":      {"POST", "faults", `{"id_token": {"kind": "bad"}}`, 400},
		"an impossible status": {"POST", "faults", `{"status": 42}`, 400},
		"a negative count":     {"POST", "faults", `{"times": -1}`, 400},
		"an unknown fault":     {"DELETE", "faults/7", "", 404},
		"a fault with a name":  {"DELETE", "faults/x", "", 404},
		"a bad redirect URI": {"POST", "apps",
			`{"redirect_uris": [{"uri": "http://a.example/", "platform": "web"}]}`, 400},
		"a bad URL": {"POST", "signin", `{"auth_url": ":", "user": "alice"}`, 400},
		"an unknown action": {"POST", "signin",
			`{"auth_url": "https://localhost/", "action": "dance"}`, 400},
		"a wrong user code": {"POST", "device", `{"user_code": "XXXXXXXXX", "user": "alice"}`,
			400},
		"device, other action": {"POST", "device", `{"user_code": "XXXXXXXXX", "action": "dance"}`,
			400},
		"a platform without": {"POST", "refresh-token",
			`{"user": "alice", "client_id": "` + w.App.ClientID + `", "platform": "spa"}`, 400},
		"consent of nobody":     {"POST", "remove-consent", `{"user": "nobody"}`, 400},
		"tokens of nobody":      {"POST", "expire", `{"user": "nobody"}`, 400},
		"an unknown token":      {"POST", "introspect", `{"token": "made-up"}`, 404},
		"an unknown path":       {"GET", "nothing", "", 404},
		"the wrong method":      {"GET", "revoke", "", 405},
		"a body without an end": {"POST", "revoke", `{"user": "` + strings.Repeat("a", 2<<20), 400},
	} {
		t.Run(name, func(t *testing.T) {
			status, text := w.control(test.method, test.path, test.body)
			if status != test.status {
				t.Errorf("status %d, want %d: %s", status, test.status, text)
			}
			if routed := test.path != "nothing" && status != 405; routed &&
				!strings.Contains(text, `"error": "`) {
				t.Errorf("no error: %s", text)
			}
		})
	}
	t.Run("a web page's form", func(t *testing.T) {
		if status, _ := w.control("POST", "revoke", `{"user": "alice"}`, "Content-Type",
			"text/plain"); status != 400 {
			t.Errorf("status %d", status)
		}
	})
	t.Run("an error page at the sign-in", func(t *testing.T) {
		status, text := w.control(
			"POST",
			"signin",
			`{"auth_url": "`+w.authURL("redirect_uri",
				"https://evil.example/")+`", "user": "alice"}`,
		)
		if status != 400 || !strings.Contains(text, "AADSTS50011") {
			t.Errorf("status %d: %s", status, text)
		}
	})
}

func TestControlLifetimeOfOtherThings(t *testing.T) {
	w := start(t, entratest.Options{})
	w.post("lifetimes",
		`{"code": "1m", "refresh_token": "1h", "device_code": "2m", "cae_token": "3h"}`, nil)
	code := w.code("alice")
	w.clock.advance(time.Minute)
	w.redeem(code).refused(t, 400, "invalid_grant", 70008)
	if d := w.startDevice(); d.ExpiresIn != 120 {
		t.Errorf("device %+v", d)
	}
	token := w.signIn("alice").RefreshToken
	w.clock.advance(time.Hour)
	w.refresh(token).refused(t, 400, "invalid_grant", 700082)
}
