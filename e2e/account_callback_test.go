// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"net/url"
	"strings"
	"sync"
	"testing"
)

// redirectValues are what Entra sent to a redirect URI by query.
func redirectValues(t testing.TB, location string) url.Values {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// loopbackLogin signs alice in at a listener of her own and returns where Entra
// sends her browser.
func loopbackLogin(e *engine, account, user string) string {
	e.t.Helper()
	login := e.put("entra/login/"+account, object{"redirect_uri": "http://localhost:8400/callback"}).want(200)
	if mode := login.text("response_mode"); mode != "query" {
		e.t.Fatalf("response_mode %q for a loopback listener, want query", mode)
	}
	return newBrowser(e.sim).signIn(login.text("auth_url"), user).location
}

// A loopback helper hands over code and state; a person pastes the whole URL.
func TestAccountCallback(t *testing.T) {
	t.Parallel()
	e := newEngine(t)

	values := redirectValues(t, loopbackLogin(e, "alice", "alice"))
	handover := object{"code": values.Get("code"), "state": values.Get("state")}
	a := e.put("entra/callback/alice", handover).want(200)
	if a.text("username") != "alice@contoso.example" || a.text("account") != "alice" {
		t.Fatalf("callback/alice: %s", a.body)
	}
	if strings.Contains(string(a.body), e.readToken("alice").access) {
		t.Fatal("callback/alice returns a token")
	}
	e.put("entra/callback/alice", handover).wantError(400, "login_failed: ")

	e.put("entra/callback/bob", object{"url": "http://localhost:8400/callback?code=x&state=y"}).want(404)
	pasted := loopbackLogin(e, "bob", "bob")
	e.put("entra/callback/bob", object{"url": "  " + pasted + "\n"}).want(200)
	e.readToken("bob")
}

// The state belongs to one account; handing it to another changes neither.
func TestStateOfAnotherAccount(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	e.signIn("mallory", "bob")
	before := e.readToken("mallory")

	pasted := loopbackLogin(e, "alice", "alice")
	e.put("entra/callback/mallory", object{"url": pasted}).wantError(400, "login_failed: ")
	if e.readToken("mallory").access != before.access {
		t.Fatal("the other account's token has changed")
	}
	e.put("entra/callback/alice", object{"url": pasted}).want(200)
}

// Another user than the pinned one is refused, and the account stays as it is.
func TestOtherUserRefused(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	e.signIn("alice", "alice")
	before := e.readToken("alice")

	e.put("entra/callback/alice", object{"url": loopbackLogin(e, "alice", "bob")}).wantError(400, "login_failed: ")
	b := newBrowser(e.sim)
	page := b.confirm(b.follow(b.signIn(e.login("alice", nil), "bob")))
	wantPage(t, page, 403, "not yours to sign in to")
	if e.readToken("alice").access != before.access {
		t.Fatal("the account's token has changed")
	}
}

// Many callbacks with one state make one exchange.
func TestCallbackIsSingleUse(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	values := redirectValues(t, loopbackLogin(e, "alice", "alice"))
	handover := object{"code": values.Get("code"), "state": values.Get("state")}

	statuses := make([]int, 20)
	var wg sync.WaitGroup
	for i := range statuses {
		wg.Go(func() {
			if a, err := e.try("PUT", "entra/callback/alice", handover); err == nil {
				statuses[i] = a.status
			}
		})
	}
	wg.Wait()
	count := map[int]int{}
	for _, status := range statuses {
		count[status]++
	}
	if count[200] != 1 || count[400] != len(statuses)-1 {
		t.Fatalf("statuses %v, want one 200 and the rest 400", count)
	}
	if n := e.sim.tokenRequests(); n != 1 {
		t.Fatalf("%d token requests, want 1", n)
	}
}
