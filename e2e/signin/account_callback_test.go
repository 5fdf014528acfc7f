// SPDX-License-Identifier: MPL-2.0

package signin

import (
	"strings"
	"sync"
	"testing"

	"vault-plugin-secrets-entra/e2e/harness"
)

// A loopback helper hands over code and state; a person pastes the whole URL.
func TestAccountCallback(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)

	values := harness.RedirectValues(t, e.LoopbackLogin("alice", "alice"))
	handover := object{"code": values.Get("code"), "state": values.Get("state")}
	a := e.Put("entra/callback/alice", handover).Want(200)
	if a.Text("username") != "alice@contoso.example" || a.Text("account") != "alice" {
		t.Fatalf("callback/alice: %s", a.Body)
	}
	if strings.Contains(string(a.Body), e.ReadToken("alice").Access) {
		t.Fatal("callback/alice returns a token")
	}
	e.Put("entra/callback/alice", handover).WantError(400, "login_failed: ")

	e.Put("entra/callback/bob", object{
		"url": "http://localhost:8400/callback?code=x&state=y",
	}).Want(404)
	pasted := e.LoopbackLogin("bob", "bob")
	e.Put("entra/callback/bob", object{"url": "  " + pasted + "\n"}).Want(200)
	e.ReadToken("bob")
}

// The state belongs to one account; handing it to another changes neither.
func TestStateOfAnotherAccount(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)
	e.SignIn("mallory", "bob")
	before := e.ReadToken("mallory")

	pasted := e.LoopbackLogin("alice", "alice")
	e.Put("entra/callback/mallory", object{"url": pasted}).WantError(400, "login_failed: ")
	if e.ReadToken("mallory").Access != before.Access {
		t.Fatal("the other account's token has changed")
	}
	e.Put("entra/callback/alice", object{"url": pasted}).Want(200)
}

// Another user than the pinned one is refused, and the account stays as it is.
func TestOtherUserRefused(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)
	e.SignIn("alice", "alice")
	before := e.ReadToken("alice")

	e.Put("entra/callback/alice", object{
		"url": e.LoopbackLogin("alice", "bob"),
	}).WantError(400, "login_failed: ")
	b := harness.NewBrowser(e.Sim)
	page := b.Complete(e.Login("alice", nil), "bob")
	harness.WantPage(t, page, 403, "not yours to sign in to")
	if e.ReadToken("alice").Access != before.Access {
		t.Fatal("the account's token has changed")
	}
}

// Many callbacks with one state make one exchange.
func TestCallbackIsSingleUse(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)
	values := harness.RedirectValues(t, e.LoopbackLogin("alice", "alice"))
	handover := object{"code": values.Get("code"), "state": values.Get("state")}

	statuses := make([]int, 20)
	var wg sync.WaitGroup
	for i := range statuses {
		wg.Go(func() {
			if a, err := e.Try("PUT", "entra/callback/alice", handover); err == nil {
				statuses[i] = a.Status
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
	if n := e.Sim.TokenRequests(); n != 1 {
		t.Fatalf("%d token requests, want 1", n)
	}
}
