// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entratest"
)

// shown is a page as the browser gets it.
type shown struct {
	status  int
	body    string
	headers map[string][]string
}

// visit opens the browser callback.
func (m *mount) visit(op logical.Operation, params map[string]any) shown {
	m.t.Helper()
	resp, err := m.do(context.Background(), op, "callback", params)
	if err != nil {
		m.t.Fatalf("callback: %v", err)
	}
	page := shown{headers: resp.Headers}
	page.status, _ = resp.Data[logical.HTTPStatusCode].(int)
	body, _ := resp.Data[logical.HTTPRawBody].([]byte)
	page.body = string(body)
	if kind := resp.Data[logical.HTTPContentType]; kind != "text/html; charset=utf-8" {
		m.t.Errorf("content type %v", kind)
	}
	if resp.Secret != nil || resp.Auth != nil || resp.Redirect != "" {
		m.t.Error("the page comes with a secret, auth or redirect")
	}
	return page
}

func (m *mount) post(params map[string]any) shown {
	m.t.Helper()
	return m.visit(logical.UpdateOperation, params)
}

func (p shown) want(t *testing.T, status int, texts ...string) {
	t.Helper()
	if p.status != status {
		t.Errorf("status %d, want %d: %s", p.status, status, p.text())
	}
	for _, text := range texts {
		if !strings.Contains(p.text(), text) {
			t.Errorf("the page lacks %q: %s", text, p.text())
		}
	}
}

var tag = regexp.MustCompile(`<[^>]*>`)

// text is what a person reads.
func (p shown) text() string {
	_, body, _ := strings.Cut(p.body, "<body>")
	return strings.Join(strings.Fields(html.UnescapeString(tag.ReplaceAllString(body, " "))), " ")
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// press sends the confirm form with one of its buttons.
func (m *mount) press(page shown, decision string) shown {
	m.t.Helper()
	params := map[string]any{"decision": decision}
	for _, field := range hiddenField.FindAllStringSubmatch(page.body, -1) {
		params[html.UnescapeString(field[1])] = html.UnescapeString(field[2])
	}
	return m.post(params)
}

// TestCallbackConfirm is the browser's walk, by form POST and by query.
func TestCallbackConfirm(t *testing.T) {
	t.Parallel()
	for mode, op := range map[string]logical.Operation{"form_post": logical.UpdateOperation, "query": logical.ReadOperation} {
		t.Run(mode, func(t *testing.T) {
			m := newConfiguredMount(t, entratest.Options{})
			redirect := m.signIn("alice", "alice", map[string]any{"response_mode": mode})
			m.storage.count(account.LoginStoragePrefix)
			confirm := m.visit(op, flat(redirect.Params))
			confirm.want(t, 200, "alice", "entra/", "token-test", "192.0.2.7", "User.Read", "Confirm", "Cancel")
			if strings.Contains(confirm.text(), "alice@contoso.example") {
				t.Error("the confirm page names who is signed in, which is not known yet")
			}
			for _, op := range m.storage.opsSince() {
				if strings.HasPrefix(op, "put ") || strings.HasPrefix(op, "delete ") {
					t.Errorf("the first visit did %q", op)
				}
			}
			if n := m.sim.Count(entratest.Match{Endpoint: entratest.Token}); n != 0 {
				t.Errorf("%d token requests before the person confirmed", n)
			}
			m.press(confirm, decisionConfirm).want(t, 200, "You are signed in", "alice@contoso.example", "entra/")
			m.mustRead("token/alice")
		})
	}
}

func (s *testStorage) opsSince() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ops)
}

func TestCallbackWithoutConfirm(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"confirm_callback": false})
	m.post(flat(m.signIn("alice", "alice", nil).Params)).want(t, 200, "You are signed in")
}

// TestCallbackCancel: Cancel ends the login, and nothing is kept.
func TestCallbackCancel(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	confirm := m.post(flat(m.signIn("alice", "alice", nil).Params))
	m.press(confirm, decisionCancel).want(t, 200, "Cancelled")
	m.press(confirm, decisionConfirm).want(t, 400)
	if status := m.mustRead("login/alice"); status["status"] != account.LoginFailed {
		t.Errorf("the login reads as %v", status)
	}
	resp, err := m.read("token/alice")
	wantProblem(t, resp, err, 400, "login_required: ")
}

// TestCallbackPages: what the pages promise whatever they show.
func TestCallbackPages(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	redirect := m.signIn("alice", "alice", nil)
	confirm := m.post(flat(redirect.Params))
	pages := map[string]shown{
		"confirm": confirm,
		"done":    m.press(confirm, decisionConfirm),
		"used":    m.press(confirm, decisionConfirm),
		"unknown": m.post(map[string]any{"code": "c", "state": "s"}),
	}
	for name, page := range pages {
		for header, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'self'",
			"X-Frame-Options":         "DENY",
			"Referrer-Policy":         "same-origin",
		} {
			if got := page.headers[header]; len(got) != 1 || !strings.HasPrefix(got[0], want) {
				t.Errorf("%s: header %s is %q", name, header, got)
			}
		}
		if csp := page.headers["Content-Security-Policy"]; len(csp) == 1 && !strings.Contains(csp[0], "frame-ancestors 'none'") {
			t.Errorf("%s: the policy allows frames: %s", name, csp[0])
		}
		for _, want := range []string{`<html lang="en">`, `<meta http-equiv="Content-Security-Policy"`, `<meta name="referrer" content="same-origin">`, "<main>", "<h1>", "<title>"} {
			if !strings.Contains(page.body, want) {
				t.Errorf("%s: lacks %s", name, want)
			}
		}
		for _, never := range []string{"<script", "src=", "href=", "onload", "javascript:"} {
			if strings.Contains(page.body, never) {
				t.Errorf("%s: has %s", name, never)
			}
		}
	}
}

// TestCallbackUnknownState: nothing of the request is shown, and it costs one read.
func TestCallbackUnknownState(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.storage.count(account.LoginStoragePrefix)
	page := m.post(map[string]any{"code": "MARKcode", "state": "MARKstate", "iss": "MARKiss"})
	page.want(t, 400, "unknown state")
	if strings.Contains(page.body, "MARK") {
		t.Errorf("the page repeats the request: %s", page.body)
	}
	m.post(map[string]any{"state": "MARKstate", "error": "MARKerror", "error_description": "MARKtext"}).want(t, 400, "unknown state")
	if n := m.storage.count(account.LoginStoragePrefix); n != 2 {
		t.Errorf("two visits cost %d storage operations", n)
	}
}

func TestCallbackBadParameters(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	params := flat(m.signIn("alice", "alice", nil).Params)
	with := func(name string, value any) map[string]any {
		changed := map[string]any{name: value}
		for n, v := range params {
			if n != name {
				changed[n] = v
			}
		}
		return changed
	}
	for name, test := range map[string]struct {
		params map[string]any
		text   string
	}{
		"no state":                 {with("state", ""), "state: is required"},
		"no code":                  {with("code", ""), "code: is required"},
		"code and error":           {with("error", "access_denied"), "code: does not go with error"},
		"state twice by GET":       {with("state", []any{params["state"], "x"}), "state: is given twice"},
		"code twice by form":       {with("code", params["code"].(string)+",x"), "code: is given twice"},
		"error twice":              {with("error", "a,b"), "error: is given twice"},
		"nothing at all":           {map[string]any{}, "state: is required"},
		"a list in a list of code": {with("code", []any{"a", "b", "c"}), "code: is given twice"},
	} {
		t.Run(name, func(t *testing.T) {
			m.post(test.params).want(t, 400, test.text)
		})
	}
	m.post(params).want(t, 200, "Confirm") // the login is as it was
}

// TestCallbackErrorRedirect: what Entra says instead of a code is explained and noted.
func TestCallbackErrorRedirect(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	started := m.mustWrite("login/alice", nil)
	redirect, err := m.sim.Cancel(context.Background(), started["auth_url"].(string))
	if err != nil {
		t.Fatal(err)
	}
	m.post(flat(redirect.Params)).want(t, 400, "AADSTS65004", "You cancelled", "vault write -f entra/login/alice")
	if status := m.mustRead("login/alice"); status["status"] != account.LoginFailed || status["error_code"] == "" {
		t.Errorf("the login reads as %v", status)
	}
	m.post(flat(redirect.Params)).want(t, 400, "unknown state")

	m.sim.Faults.Add(entratest.Fault{Match: entratest.Match{Endpoint: entratest.Authorize}, AADSTS: 90094})
	redirect = m.signIn("alice", "alice", nil)
	m.post(flat(redirect.Params)).want(t, 400, "AADSTS90094")
}

// TestCallbackEscapes: whatever reaches a page is text there.
func TestCallbackEscapes(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	markup := `<script>alert(1)</script>"'><img src=x>`
	m.system.setEntity(&logical.Entity{ID: "e", Name: markup, Aliases: []*logical.Alias{{Name: markup}}})
	if _, err := m.sim.AddUser(entratest.User{Username: "evil@contoso.example", Name: markup}); err != nil {
		t.Fatal(err)
	}
	confirm := m.post(flat(m.signIn("alice", "evil@contoso.example", nil).Params))
	done := m.press(confirm, decisionConfirm)
	done.want(t, 200, "You are signed in")
	state := m.signIn("alice", "alice", nil).Params.Get("state")
	failed := m.post(map[string]any{"state": state, "error": markup, "error_description": markup})
	for _, page := range []shown{confirm, done, failed} {
		if strings.Contains(page.body, "<script") || strings.Contains(page.body, "<img") {
			t.Errorf("markup reached the page: %s", page.body)
		}
	}
}

// TestCallbackExpiredLogin: too late is said with the command to start again.
func TestCallbackExpiredLogin(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	redirect := m.signIn("alice", "alice", nil)
	confirm := m.post(flat(redirect.Params))
	m.endPending("alice")
	m.press(confirm, decisionConfirm).want(t, 400, "expired", "vault write -f entra/login/alice")
	resp, err := m.complete("alice", redirect)
	wantProblem(t, resp, err, 400, "login_failed: ", "expired")
	if n := m.sim.Count(entratest.Match{Endpoint: entratest.Token}); n != 0 {
		t.Errorf("%d token requests for an expired login", n)
	}
}

// TestCallbackExpiredCode: the code ended while the page was being read.
func TestCallbackExpiredCode(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	confirm := m.post(flat(m.signIn("alice", "alice", nil).Params))
	m.sim.Faults.Add(entratest.Fault{Match: entratest.Match{Endpoint: entratest.Token}, AADSTS: 70008})
	m.press(confirm, decisionConfirm).want(t, 400, "AADSTS70008", "vault write -f entra/login/alice")
}

// TestCallbackOneExchange: two callbacks with one state make one exchange.
func TestCallbackOneExchange(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	params := flat(m.signIn("alice", "alice", nil).Params)
	params["decision"] = decisionConfirm
	var visits sync.WaitGroup
	statuses := make([]int, 20)
	for i := range statuses {
		visits.Add(1)
		go func() {
			defer visits.Done()
			statuses[i] = m.post(params).status
		}()
	}
	visits.Wait()
	done := 0
	for _, status := range statuses {
		switch status {
		case 200:
			done++
		case 400:
		default:
			t.Errorf("status %d", status)
		}
	}
	if n := m.sim.Count(entratest.Match{Endpoint: entratest.Token}); n != 1 || done != 1 {
		t.Errorf("%d exchanges, %d pages say done, want one of each", n, done)
	}
}

// TestCallbackSurvivesRestart: login and confirm page outlive the plugin.
func TestCallbackSurvivesRestart(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	redirect := m.signIn("alice", "alice", nil)
	m.restart()
	confirm := m.post(flat(redirect.Params))
	m.restart()
	m.press(confirm, decisionConfirm).want(t, 200, "You are signed in")
}

// TestCallbackAnotherUser: the account stays its user's, and the page says so.
func TestCallbackAnotherUser(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	before := m.entry("alice")
	confirm := m.post(flat(m.signIn("alice", "bob", nil).Params))
	m.press(confirm, decisionConfirm).want(t, 403, "bob@contoso.example", "belongs to alice@contoso.example", "delete the account")
	if after := m.entry("alice"); after.RefreshToken != before.RefreshToken || after.Generation != before.Generation {
		t.Error("the credential was touched")
	}
	m.mustDo(logical.DeleteOperation, "account/alice", nil)
	m.login("alice", "bob")
}

// TestAccountBinding: who may sign in to an account that is not pinned yet.
func TestAccountBinding(t *testing.T) {
	t.Parallel()
	alice, _ := entratest.New(entratest.Options{}).User("alice")
	for name, test := range map[string]struct {
		binding, account, user string
		pin                    map[string]any
		refused                string
	}{
		"pinned: nobody":                {binding: "pinned", account: "a", user: "alice", refused: "an operator pins it first"},
		"pinned: by username":           {binding: "pinned", account: "a", user: "alice", pin: map[string]any{"username": "ALICE@contoso.example"}},
		"pinned: by object_id":          {binding: "pinned", account: "a", user: "alice", pin: map[string]any{"object_id": alice.ObjectID}},
		"pinned: another":               {binding: "pinned", account: "a", user: "bob", pin: map[string]any{"username": "alice@contoso.example"}, refused: "is pinned to username"},
		"pinned: another object_id":     {binding: "first_login", account: "a", user: "bob", pin: map[string]any{"object_id": alice.ObjectID}, refused: "is pinned to object_id"},
		"both pins, one does not fit":   {binding: "first_login", account: "a", user: "alice", pin: map[string]any{"username": "alice@contoso.example", "object_id": "other"}, refused: "is pinned to object_id"},
		"username: its own":             {binding: "username", account: "Alice@contoso.example", user: "alice"},
		"username: another":             {binding: "username", account: "alice@contoso.example", user: "bob", refused: "account_binding is username"},
		"object_id: its own":            {binding: "object_id", account: alice.ObjectID, user: "alice"},
		"object_id: another":            {binding: "object_id", account: alice.ObjectID, user: "bob", refused: "account_binding is object_id"},
		"first_login: whoever is first": {binding: "first_login", account: "a", user: "bob"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newEnvironmentMount(t, map[string]any{"account_binding": test.binding})
			if test.pin != nil {
				m.mustWrite("account/"+test.account, test.pin)
			}
			resp, err := m.complete(test.account, m.signIn(test.account, test.user, map[string]any{"login_hint": test.user + "@contoso.example"}))
			if test.refused == "" {
				if err != nil || resp.IsError() {
					t.Fatal(describe(resp, err))
				}
				m.mustRead("token/" + test.account)
				return
			}
			wantProblem(t, resp, err, 400, "login_failed: ", test.refused)
			if e := m.entry(test.account); e.SignedIn() || len(e.Tokens) != 0 {
				t.Error("tokens were kept")
			}
		})
	}
}

// TestAccountCallback is the loopback listener's way, and the paste.
func TestAccountCallback(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	redirect := m.signIn("alice", "alice", map[string]any{"redirect_uri": "http://localhost:41234/callback"})
	data := m.mustWrite("callback/alice", map[string]any{"url": " " + redirect.URL + "\n"})
	alice, _ := m.sim.User("alice")
	for field, want := range map[string]any{
		"account": "alice", "username": "alice@contoso.example", "name": alice.Name, "object_id": alice.ObjectID, "tenant_id": m.sim.Tenant(),
	} {
		if data[field] != want {
			t.Errorf("%s is %v, want %v", field, data[field], want)
		}
	}
	for field, value := range data {
		if strings.Contains(fmt.Sprint(value), m.entry("alice").RefreshToken.Reveal()) {
			t.Errorf("%s shows a token", field)
		}
	}
}

func TestAccountCallbackBadInput(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.mustWrite("login/alice", nil)
	for name, test := range map[string]struct {
		fields map[string]any
		text   string
	}{
		"nothing":        {map[string]any{}, "invalid_request: state: "},
		"no code":        {map[string]any{"state": "s"}, "invalid_request: code: "},
		"both":           {map[string]any{"state": "s", "code": "c", "error": "e"}, "invalid_request: code: "},
		"url and code":   {map[string]any{"url": "http://localhost/?code=c&state=s", "code": "c"}, "invalid_request: url: "},
		"url sans query": {map[string]any{"url": "http://localhost/callback"}, "invalid_request: url: "},
		"url twice":      {map[string]any{"url": "http://localhost/?code=c&code=d&state=s"}, "invalid_request: url: "},
		"url broken":     {map[string]any{"url": "http://local host/%zz?code=c&state=s"}, "invalid_request: url: "},
		"unknown state":  {map[string]any{"code": "c", "state": "s"}, "login_failed: unknown state"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := m.write("callback/alice", test.fields)
			wantProblem(t, resp, err, 400, test.text)
		})
	}
	resp, err := m.write("callback/nobody", map[string]any{"code": "c", "state": "s"})
	wantProblem(t, resp, err, 404)
}

// TestAccountCallbackAnotherAccount: another account's state is refused and not consumed.
func TestAccountCallbackAnotherAccount(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	redirect := m.signIn("alice", "alice", nil)
	m.mustWrite("login/bob", nil)
	resp, err := m.complete("bob", redirect)
	wantProblem(t, resp, err, 400, "login_failed: this state belongs to the login of another account")
	if resp, err := m.complete("alice", redirect); err != nil || resp.IsError() {
		t.Errorf("the login was consumed: %s", describe(resp, err))
	}
}

// TestUsedState: Vault's own clients repeat a request after a 5xx, so a used
// state tells what became of it.
func TestUsedState(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	redirect := m.signIn("alice", "alice", nil)
	m.sim.Faults.Add(entratest.Fault{Match: entratest.Match{Endpoint: entratest.Token}, Status: 503})
	for range 2 {
		resp, err := m.complete("alice", redirect)
		wantProblem(t, resp, err, 502, "entra_unavailable: ")
	}
	m.sim.Faults.Clear()

	if err := m.sim.UpdateApp(m.sim.App.ClientID, func(app *entratest.App) { app.Secrets[0].Expired = true }); err != nil {
		t.Fatal(err)
	}
	redirect = m.signIn("alice", "alice", nil)
	for range 2 {
		resp, err := m.complete("alice", redirect)
		wantProblem(t, resp, err, 502, "client_rejected: ", "AADSTS7000222")
	}
	if shown := m.mustRead("config")["client_error"].(map[string]any); shown["code"] != "AADSTS7000222" {
		t.Errorf("client_error is %v", shown)
	}
	if err := m.sim.UpdateApp(m.sim.App.ClientID, func(app *entratest.App) { app.Secrets[0].Expired = false }); err != nil {
		t.Fatal(err)
	}

	redirect = m.signIn("alice", "alice", nil)
	if resp, err := m.complete("alice", redirect); err != nil || resp.IsError() {
		t.Fatal(describe(resp, err))
	}
	resp, err := m.complete("alice", redirect)
	wantProblem(t, resp, err, 400, "login_failed: already used: signed in as alice@contoso.example at ")
	m.mustWrite("login/alice", nil)
	resp, err = m.complete("alice", redirect)
	wantProblem(t, resp, err, 400, "login_failed: unknown state")
}

// TestSignInRefused: whatever is wrong with Entra's answer to the code, the login
// ends, nothing of it is kept, and an earlier credential stays as it is.
func TestSignInRefused(t *testing.T) {
	t.Parallel()
	token := entratest.Match{Endpoint: entratest.Token}
	idToken := func(kind entratest.IDTokenKind) entratest.Fault {
		return entratest.Fault{Match: token, IDToken: &entratest.IDTokenFault{Kind: kind}}
	}
	for name, test := range map[string]struct {
		fault  entratest.Fault
		status int
		word   string
	}{
		"ID token with a wrong signature": {idToken(entratest.IDWrongSignature), 400, "login_failed: "},
		"ID token of an unknown key":      {idToken(entratest.IDUnknownKey), 400, "login_failed: "},
		"ID token with alg none":          {idToken(entratest.IDAlgNone), 400, "login_failed: "},
		"ID token with alg HS256":         {idToken(entratest.IDAlgHS256), 400, "login_failed: "},
		"ID token for another client":     {idToken(entratest.IDWrongAudience), 400, "login_failed: "},
		"ID token with another nonce":     {idToken(entratest.IDWrongNonce), 400, "login_failed: "},
		"ID token without nonce":          {idToken(entratest.IDNoNonce), 400, "login_failed: "},
		"ID token of another issuer":      {idToken(entratest.IDWrongIssuer), 400, "login_failed: "},
		"ID token of another tenant":      {idToken(entratest.IDWrongTenant), 400, "login_failed: "},
		"ID token with tid no GUID":       {idToken(entratest.IDTenantNoGUID), 400, "login_failed: "},
		"ID token that expired":           {idToken(entratest.IDExpired), 400, "login_failed: "},
		"ID token not valid yet":          {idToken(entratest.IDNotYetValid), 400, "login_failed: "},
		"ID token of another user":        {idToken(entratest.IDOtherUser), 400, "login_failed: "},
		"no JWT":                          {idToken(entratest.IDGarbage), 400, "login_failed: "},
		"no ID token":                     {entratest.Fault{Match: token, Omit: []string{"id_token"}}, 400, "login_failed: "},
		"no refresh token":                {entratest.Fault{Match: token, Omit: []string{"refresh_token"}}, 400, "login_failed: Entra gave no refresh token"},
		"no access token":                 {entratest.Fault{Match: token, Omit: []string{"access_token"}}, 400, "login_failed: "},
		"code used before":                {entratest.Fault{Match: token, AADSTS: 54005}, 400, "login_failed: "},
		"PKCE mismatch":                   {entratest.Fault{Match: token, AADSTS: 501481}, 400, "login_failed: "},
		"MFA required":                    {entratest.Fault{Match: token, AADSTS: 50076}, 400, "login_failed: "},
		"blocked by policy":               {entratest.Fault{Match: token, AADSTS: 53003}, 400, "login_failed: "},
		"scope refused":                   {entratest.Fault{Match: token, AADSTS: 70011}, 400, "login_failed: "},
		"credential wanted":               {entratest.Fault{Match: token, AADSTS: 7000218}, 502, "client_rejected: "},
		"credential not wanted":           {entratest.Fault{Match: token, AADSTS: 700025}, 502, "client_rejected: "},
		"malformed JSON":                  {entratest.Fault{Match: token, Status: 200, Body: `{"access_token": `}, 502, "entra_unavailable: "},
		"HTML":                            {entratest.Fault{Match: token, Status: 200, Body: "<html>hello</html>"}, 502, "entra_unavailable: "},
		"huge":                            {entratest.Fault{Match: token, Status: 200, BodySize: 8 << 20}, 502, "entra_unavailable: "},
		"throttled in plain text":         {entratest.Fault{Match: token, Status: 429, Body: "slow down", RetryAfter: "60"}, 502, "entra_unavailable: "},
		"dropped before":                  {entratest.Fault{Match: token, Drop: true}, 502, "entra_unavailable: "},
		"dropped after":                   {entratest.Fault{Match: token, Drop: true, AfterProcessing: true}, 502, "entra_unavailable: "},
		"slow":                            {entratest.Fault{Match: token, Hang: true}, 502, "entra_unavailable: "},
		"keys unreachable":                {entratest.Fault{Match: entratest.Match{Endpoint: entratest.Keys}, Status: 503}, 502, "entra_unavailable: "},
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newConfiguredMount(t, entratest.Options{}, map[string]any{"request_timeout": "1s"})
			m.login("alice", "alice")
			before := m.entry("alice")
			m.restart() // keys are fetched again
			redirect := m.signIn("alice", "alice", nil)
			m.sim.Faults.Add(test.fault)
			resp, err := m.complete("alice", redirect)
			wantProblem(t, resp, err, test.status, test.word)
			if test.fault.AADSTS == 7000218 || test.fault.AADSTS == 700025 {
				wantProblem(t, resp, err, test.status, test.word, "platform")
			}
			after := m.entry("alice")
			if after.RefreshToken != before.RefreshToken || after.Generation != before.Generation || after.Tokens[""].AccessToken != before.Tokens[""].AccessToken {
				t.Error("the credential was touched")
			}
			if status := m.mustRead("login/alice"); status["status"] != account.LoginFailed {
				t.Errorf("the login reads as %v", status)
			}
			m.sim.Faults.Clear()
			m.mustRead("token/alice")
		})
	}
}

// TestSignInAfterKeyRollover: keys are renewed when a token needs a new one.
func TestSignInAfterKeyRollover(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.sim.RotateKeys()
	m.login("alice", "alice")
	m.sim.ReplaceKeys()
	m.login("alice", "alice")
}

// TestSignInStorageFailures: the login must be gone before its code is spent,
// and spent tokens are written more than once before they are given up.
func TestSignInStorageFailures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		op, prefix string
		times      int
		spent      bool
		works      bool
	}{
		"login cannot be read":          {"get", "login/", 100, false, false},
		"login cannot be deleted":       {"delete", "login/", 100, false, false},
		"account cannot be read":        {"get", "account/", 100, false, false},
		"account cannot be written":     {"put", "account/", 100, false, false},
		"write fails once after Entra":  {"put", "account/", 1, true, true},
		"write fails always after that": {"put", "account/", 100, true, false},
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newConfiguredMount(t, entratest.Options{})
			redirect := m.signIn("alice", "alice", nil)
			token := entratest.Match{Endpoint: entratest.Token}
			failed := 0
			m.storage.failOn(func(op, key string) error {
				if test.spent && m.sim.Count(token) == 0 || op != test.op || !strings.HasPrefix(key, test.prefix) || failed >= test.times {
					return nil
				}
				failed++
				return errStorage
			})
			resp, err := m.complete("alice", redirect)
			m.storage.failOn(nil)
			if status, message := statusOf(resp, err); test.works != (status == 200) || !test.works && status != 500 {
				t.Errorf("answered %d %s", status, message)
			}
			if spent := m.sim.Count(token) > 0; spent != test.spent {
				t.Errorf("the code was spent: %v", spent)
			}
			if failed == 0 {
				t.Error("nothing failed")
			}
			if !test.spent { // nothing is lost: the same code works now, or a new login does
				m.login("alice", "alice")
			}
		})
	}
}

// TestDeletedAccountStaysDeleted: a login that ends after its account was deleted
// brings nothing back.
func TestDeletedAccountStaysDeleted(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	redirect := m.signIn("alice", "alice", nil)
	gate := make(chan struct{})
	token := entratest.Match{Endpoint: entratest.Token}
	m.sim.Faults.Add(entratest.Fault{Match: token, Until: gate})
	answered := make(chan string, 1)
	go func() {
		resp, err := m.complete("alice", redirect)
		answered <- describe(resp, err)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), bounded)
	defer cancel()
	if err := m.sim.Await(ctx, token, 1); err != nil {
		t.Fatal(err)
	}
	m.mustDo(logical.DeleteOperation, "account/alice", nil)
	close(gate)
	if message := <-answered; !strings.HasPrefix(message, "login_failed: account \"alice\" was deleted meanwhile") {
		t.Errorf("answered %q", message)
	}
	if resp, err := m.read("account/alice"); resp != nil || err != nil {
		t.Errorf("the account is back: %v, %v", resp, err)
	}
	resp, err := m.complete("alice", redirect)
	wantProblem(t, resp, err, 404)
}

// TestCallerLeaves: a person who closes the browser while the code is redeemed
// has signed in nevertheless.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"confirm_callback": false})
	params := flat(m.signIn("alice", "alice", nil).Params)
	token := entratest.Match{Endpoint: entratest.Token}
	gate := make(chan struct{})
	m.sim.Faults.Add(entratest.Fault{Match: token, Until: gate})
	ctx, leave := context.WithCancel(context.Background())
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_, _ = m.do(ctx, logical.UpdateOperation, "callback", params)
	}()
	awaited, cancel := context.WithTimeout(context.Background(), bounded)
	defer cancel()
	if err := m.sim.Await(awaited, token, 1); err != nil {
		t.Fatal(err)
	}
	leave()
	close(gate)
	<-answered
	m.mustRead("token/alice")
}

// TestResponseIssuer: a response of another issuer is refused, the login stays.
func TestResponseIssuer(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	redirect := m.signIn("alice", "alice", nil)
	with := redirect
	with.Params = url.Values{"code": redirect.Params["code"], "state": redirect.Params["state"], "iss": {"https://evil.example"}}
	resp, err := m.complete("alice", with)
	wantProblem(t, resp, err, 400, "login_failed: ")
	m.post(flat(with.Params)).want(t, 400)
	if resp, err := m.complete("alice", redirect); err != nil || resp.IsError() {
		t.Errorf("the login did not stay: %s", describe(resp, err))
	}
}

// TestCallbackGuessedStates: ten thousand guesses leave nothing behind.
func TestCallbackGuessedStates(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	before := m.storage.keys(t)
	m.storage.count(account.LoginStoragePrefix)
	const guesses = 10_000
	start := time.Now()
	for i := range guesses {
		if page := m.post(map[string]any{"code": "c", "state": fmt.Sprint("guess", i)}); page.status != 400 {
			t.Fatalf("guess %d: status %d", i, page.status)
		}
	}
	t.Logf("%d guesses in %s", guesses, time.Since(start))
	if n := m.storage.count(account.LoginStoragePrefix); n != guesses {
		t.Errorf("%d storage operations for %d guesses", n, guesses)
	}
	if after := m.storage.keys(t); !slices.Equal(before, after) {
		t.Errorf("storage grew: %q", after)
	}
}
