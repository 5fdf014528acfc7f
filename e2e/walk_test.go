// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// The whole way, as alice and her pipeline go it.
func TestWalkByFormPost(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "-token-lifetime", "12s")
	e.get("entra/token/alice").want(404)

	login := e.put("entra/login/alice", nil).want(200)
	if mode := login.text("response_mode"); mode != "form_post" {
		t.Fatalf("response_mode %q, want form_post: a query string stands in the audit log", mode)
	}
	e.get("entra/token/alice").wantError(400, "login_required: ")
	if status := e.get("entra/login/alice").want(200).text("status"); status != "pending" {
		t.Fatalf("status %q before the sign-in", status)
	}

	b := newBrowser(e.sim)
	page := b.follow(b.signIn(login.text("auth_url"), "alice"))
	wantPage(t, page, 200, "Account alice", "Vault mount entra/", "Asked for by", "User.Read", "Confirm")
	wantPageHeaders(t, page)
	if n := e.sim.tokenRequests(); n != 0 {
		t.Fatalf("%d token requests before the person confirmed", n)
	}
	page = b.confirm(page)
	wantPage(t, page, 200, "You are signed in", "Alice Ahlgren (alice@contoso.example)")
	wantPageHeaders(t, page)

	wantSucceeded(t, e, "alice")
	first := e.readToken("alice")
	if again := e.readToken("alice"); again.access != first.access || again.expires != first.expires || again.obtained != first.obtained {
		t.Fatalf("two reads of a fresh token differ: %+v, %+v", first, again)
	}
	wantTokenFields(t, e)
	if !e.sim.active(first.access) {
		t.Fatal("the simulator does not know the token")
	}

	until(t, first.expires.Add(time.Second)) // expire_time has no fractions
	if e.sim.active(first.access) {
		t.Fatal("the first token has not expired")
	}
	second := e.readToken("alice")
	if second.access == first.access || !e.sim.active(second.access) {
		t.Fatal("a read after expiry did not give a good new token")
	}
	wantAccount(t, e)
}

func wantSucceeded(t *testing.T, e *engine, account string) {
	t.Helper()
	login := e.get("entra/login/" + account).want(200)
	if login.text("status") != "succeeded" || login.text("username") != "alice@contoso.example" || login.text("error") != "" {
		t.Fatalf("login/%s: %s", account, login.body)
	}
}

// wantPageHeaders: this mount lets them through, as the documented command says.
func wantPageHeaders(t *testing.T, p *webPage) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'",
		"X-Frame-Options":         "DENY",
		"Referrer-Policy":         "same-origin",
		"Cache-Control":           "no-store",
		"Content-Type":            "text/html",
	} {
		if got := p.header.Get(name); !strings.HasPrefix(got, want) {
			t.Errorf("page at %s: %s is %q, want %q", p.url, name, got, want)
		}
	}
}

// wantTokenFields holds the answer to what Vault Agent, consul-template and the
// Vault Secrets Operator act on: these fields, of these types, and nothing else.
func wantTokenFields(t *testing.T, e *engine) {
	t.Helper()
	a := e.get("entra/token/alice").want(200)
	for _, name := range []string{"access_token", "token_type", "scope", "tenant_id", "client_id", "username", "object_id"} {
		if a.text(name) == "" {
			t.Errorf("%s is empty", name)
		}
	}
	a.time("expire_time")
	a.time("last_vault_rotation")
	if ttl, period := a.number("ttl"), a.number("rotation_period"); ttl < 1 || period < 1 || ttl > period {
		t.Errorf("ttl %d, rotation_period %d: want 1 <= ttl <= rotation_period", ttl, period)
	}
	if len(a.Data) != 11 {
		t.Errorf("token has %d fields, want 11: %s", len(a.Data), a.body)
	}
	var envelope struct {
		LeaseID       string `json:"lease_id"`
		LeaseDuration int    `json:"lease_duration"`
		Renewable     bool   `json:"renewable"`
	}
	a.into(&envelope)
	if envelope.LeaseID != "" || envelope.LeaseDuration != 0 || envelope.Renewable {
		t.Errorf("a lease was made: %+v", envelope)
	}
	if got := e.put("entra/token/alice", nil).want(200).text("object_id"); got != a.text("object_id") {
		t.Errorf("a PUT gives another user: %s", got)
	}
}

func wantAccount(t *testing.T, e *engine) {
	t.Helper()
	account := e.get("entra/account/alice").want(200)
	if account.text("state") != "active" || account.Data["pinned"] != true || account.text("name") != "Alice Ahlgren" {
		t.Fatalf("account/alice: %s", account.body)
	}
	var list struct {
		Data struct {
			Keys []string `json:"keys"`
		} `json:"data"`
	}
	e.get("entra/account?list=true").want(200).into(&list)
	if !slices.Equal(list.Data.Keys, []string{"alice"}) {
		t.Fatalf("accounts %q, want alice", list.Data.Keys)
	}
	e.call("DELETE", "entra/account/alice", nil).want(204)
	e.get("entra/account/alice").want(404)
	e.get("entra/token/alice").want(404)
}

// A query redirect works as well, and can be left without the confirm page.
func TestWalkByQuery(t *testing.T) {
	t.Parallel()
	e := newEngine(t)

	b := newBrowser(e.sim)
	redirect := b.signIn(e.login("alice", object{"response_mode": "query"}), "alice")
	if !strings.HasPrefix(redirect.location, e.callbackURL()+"?") {
		t.Fatalf("Entra redirects to %q", redirect.location)
	}
	page := b.follow(redirect)
	wantPage(t, page, 200, "Confirm")
	wantPage(t, b.confirm(page), 200, "You are signed in")
	e.readToken("alice")
	wantPage(t, b.follow(redirect), 400, "Nothing waits for this sign-in") // its state is used

	e.configure(object{"confirm_callback": false})
	b = newBrowser(e.sim)
	page = b.follow(b.signIn(e.login("bob", object{"response_mode": "query"}), "bob"))
	wantPage(t, page, 200, "You are signed in", "bob@contoso.example")
	e.readToken("bob")
}

// Cancel ends a login on either page: at Entra, or at Vault.
func TestWalkCancelled(t *testing.T) {
	t.Parallel()
	e := newEngine(t)

	b := newBrowser(e.sim)
	page := b.follow(b.signIn(e.login("alice", nil), "alice"))
	wantPage(t, b.submit(page, url.Values{"decision": {"cancel"}}), 200, "Cancelled")
	wantPage(t, b.confirm(page), 400, "Nothing waits for this sign-in") // the login is consumed

	b = newBrowser(e.sim)
	page = b.submit(b.open(e.login("alice", nil)), url.Values{"action": {"cancel"}})
	wantPage(t, b.follow(page), 400, "You did not sign in")

	login := e.get("entra/login/alice").want(200)
	if login.text("status") != "failed" || !strings.HasPrefix(login.text("error"), "login_failed: ") {
		t.Fatalf("login/alice: %s", login.body)
	}
	if n := e.sim.tokenRequests(); n != 0 {
		t.Fatalf("%d codes were redeemed", n)
	}
}

// A public client signs in without a secret.
func TestWalkAsPublicClient(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	e.configure(object{"client_id": e.sim.PublicClientID, "client_secret": ""})
	if auth := e.get("entra/config").want(200).text("client_auth"); auth != "none" {
		t.Fatalf("client_auth %q", auth)
	}
	e.signIn("alice", "alice")
	e.readToken("alice")
}

// No answer about the config holds the secret.
func TestConfigReadHasNoSecret(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	a := e.get("entra/config").want(200)
	if strings.Contains(string(a.body), e.sim.ClientSecret) {
		t.Fatal("the client secret is returned")
	}
	if _, there := a.Data["client_secret"]; there {
		t.Fatal("a field client_secret is returned")
	}
	if auth := a.text("client_auth"); auth != "client_secret" {
		t.Fatalf("client_auth %q", auth)
	}
}
