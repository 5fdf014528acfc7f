// SPDX-License-Identifier: MPL-2.0

package signin

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// The whole way, as alice and her pipeline go it.
func TestWalkByFormPost(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t, "-token-lifetime", "12s")
	e.Get("entra/token/alice").Want(404)

	login := e.Put("entra/login/alice", nil).Want(200)
	if mode := login.Text("response_mode"); mode != "form_post" {
		t.Fatalf("response_mode %q, want form_post: a query string stands in the audit log", mode)
	}
	e.Get("entra/token/alice").WantError(400, "login_required: ")
	if status := e.Get("entra/login/alice").Want(200).Text("status"); status != "pending" {
		t.Fatalf("status %q before the sign-in", status)
	}

	b := harness.NewBrowser(e.Sim)
	page := b.Follow(b.SignIn(login.Text("auth_url"), "alice"))
	harness.WantPage(t, page, 200, "Account alice", "Vault mount entra/", "Asked for by",
		"User.Read", "Confirm")
	wantPageHeaders(t, page)
	if n := e.Sim.TokenRequests(); n != 0 {
		t.Fatalf("%d token requests before the person confirmed", n)
	}
	page = b.Confirm(page)
	harness.WantPage(t, page, 200, "You are signed in", "Alice Ahlgren (alice@contoso.example)")
	wantPageHeaders(t, page)

	e.WantSucceeded("alice")
	first := e.ReadToken("alice")
	if again := e.ReadToken("alice"); again.Access != first.Access ||
		again.Expires != first.Expires || again.Obtained != first.Obtained {
		t.Fatalf("two reads of a fresh token differ: %+v, %+v", first, again)
	}
	wantTokenFields(t, e)
	if !e.Sim.Active(first.Access) {
		t.Fatal("the simulator does not know the token")
	}

	harness.Until(t, first.Expires.Add(time.Second)) // expire_time has no fractions
	if e.Sim.Active(first.Access) {
		t.Fatal("the first token has not expired")
	}
	second := e.ReadToken("alice")
	if second.Access == first.Access || !e.Sim.Active(second.Access) {
		t.Fatal("a read after expiry did not give a good new token")
	}
	wantAccount(t, e)
}

// wantPageHeaders: this mount lets them through, as the documented command says.
func wantPageHeaders(t *testing.T, p *harness.Page) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'",
		"X-Frame-Options":         "DENY",
		"Referrer-Policy":         "same-origin",
		"Cache-Control":           "no-store",
		"Content-Type":            "text/html",
	} {
		if got := p.Header.Get(name); !strings.HasPrefix(got, want) {
			t.Errorf("page at %s: %s is %q, want %q", p.URL, name, got, want)
		}
	}
}

// wantTokenFields holds the answer to what Vault Agent, consul-template and the
// Vault Secrets Operator act on: these fields, of these types, and nothing else.
func wantTokenFields(t *testing.T, e *harness.Engine) {
	t.Helper()
	a := e.Get("entra/token/alice").Want(200)
	for _, name := range []string{
		"access_token", "token_type", "scope", "tenant_id", "client_id", "username", "object_id",
	} {
		if a.Text(name) == "" {
			t.Errorf("%s is empty", name)
		}
	}
	a.Time("expire_time")
	a.Time("last_vault_rotation")
	ttl, period := a.Number("ttl"), a.Number("rotation_period")
	if ttl < 1 || period < 1 || ttl > period {
		t.Errorf("ttl %d, rotation_period %d: want 1 <= ttl <= rotation_period", ttl, period)
	}
	if len(a.Data) != 11 {
		t.Errorf("token has %d fields, want 11: %s", len(a.Data), a.Body)
	}
	var envelope struct {
		LeaseID       string `json:"lease_id"`
		LeaseDuration int    `json:"lease_duration"`
		Renewable     bool   `json:"renewable"`
	}
	a.Into(&envelope)
	if envelope.LeaseID != "" || envelope.LeaseDuration != 0 || envelope.Renewable {
		t.Errorf("a lease was made: %+v", envelope)
	}
	got := e.Put("entra/token/alice", nil).Want(200).Text("object_id")
	if got != a.Text("object_id") {
		t.Errorf("a PUT gives another user: %s", got)
	}
}

func wantAccount(t *testing.T, e *harness.Engine) {
	t.Helper()
	account := e.Get("entra/account/alice").Want(200)
	if account.Text("state") != "active" || account.Data["pinned"] != true ||
		account.Text("name") != "Alice Ahlgren" {
		t.Fatalf("account/alice: %s", account.Body)
	}
	var list struct {
		Data struct {
			Keys []string `json:"keys"`
		} `json:"data"`
	}
	e.Get("entra/account?list=true").Want(200).Into(&list)
	if !slices.Equal(list.Data.Keys, []string{"alice"}) {
		t.Fatalf("accounts %q, want alice", list.Data.Keys)
	}
	e.Call("DELETE", "entra/account/alice", nil).Want(204)
	e.Get("entra/account/alice").Want(404)
	e.Get("entra/token/alice").Want(404)
}

// A query redirect works as well, and can be left without the confirm page.
func TestWalkByQuery(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)

	b := harness.NewBrowser(e.Sim)
	redirect := b.SignIn(e.Login("alice", object{"response_mode": "query"}), "alice")
	if !strings.HasPrefix(redirect.Location, e.CallbackURL()+"?") {
		t.Fatalf("Entra redirects to %q", redirect.Location)
	}
	page := b.Follow(redirect)
	harness.WantPage(t, page, 200, "Confirm")
	harness.WantPage(t, b.Confirm(page), 200, "You are signed in")
	e.ReadToken("alice")
	// its state is used
	harness.WantPage(t, b.Follow(redirect), 400, "Nothing waits for this sign-in")

	e.Configure(object{"confirm_callback": false})
	b = harness.NewBrowser(e.Sim)
	page = b.Follow(b.SignIn(e.Login("bob", object{"response_mode": "query"}), "bob"))
	harness.WantPage(t, page, 200, "You are signed in", "bob@contoso.example")
	e.ReadToken("bob")
}

// Cancel ends a login on either page: at Entra, or at Vault.
func TestWalkCancelled(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)

	b := harness.NewBrowser(e.Sim)
	page := b.Follow(b.SignIn(e.Login("alice", nil), "alice"))
	harness.WantPage(t, b.Submit(page, url.Values{"decision": {"cancel"}}), 200, "Cancelled")
	// the login is consumed
	harness.WantPage(t, b.Confirm(page), 400, "Nothing waits for this sign-in")

	b = harness.NewBrowser(e.Sim)
	page = b.Submit(b.Open(e.Login("alice", nil)), url.Values{"action": {"cancel"}})
	harness.WantPage(t, b.Follow(page), 400, "You did not sign in")

	login := e.Get("entra/login/alice").Want(200)
	if login.Text("status") != "failed" ||
		!strings.HasPrefix(login.Text("error"), "login_failed: ") {
		t.Fatalf("login/alice: %s", login.Body)
	}
	if n := e.Sim.TokenRequests(); n != 0 {
		t.Fatalf("%d codes were redeemed", n)
	}
}

// A public client signs in without a secret.
func TestWalkAsPublicClient(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)
	e.Configure(object{"client_id": e.Sim.PublicClientID, "client_secret": ""})
	if auth := e.Get("entra/config").Want(200).Text("client_auth"); auth != "none" {
		t.Fatalf("client_auth %q", auth)
	}
	e.SignIn("alice", "alice")
	e.ReadToken("alice")
}

// No answer about the config holds the secret.
func TestConfigReadHasNoSecret(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)
	a := e.Get("entra/config").Want(200)
	if strings.Contains(string(a.Body), e.Sim.ClientSecret) {
		t.Fatal("the client secret is returned")
	}
	if _, there := a.Data["client_secret"]; there {
		t.Fatal("a field client_secret is returned")
	}
	if auth := a.Text("client_auth"); auth != "client_secret" {
		t.Fatalf("client_auth %q", auth)
	}
}
