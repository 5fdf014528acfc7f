// SPDX-License-Identifier: MPL-2.0

package signin

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"vault-plugin-secrets-entra/e2e/harness"
)

// Every page that a person can meet, in a real browser: each is reached as a person
// reaches it, looked at on a phone and at a desk, by light and in the dark.
func TestPagesInChromium(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)
	b := newChromium(t, keyOf(t, e.Sim.Authority))

	// The ordinary way, by keyboard.
	b.signIn(e.Login("alice", nil), "alice", "signin")
	b.wantTitle("Let Vault keep your sign-in?")
	b.look("confirm", "phone-light", "desk-dark")
	b.do(chromedp.KeyEvent(kb.Tab))
	if first := b.focused(); first != "confirm" {
		t.Errorf("Tab goes to %q first", first)
	}
	b.do(chromedp.KeyEvent(kb.Tab))
	if second := b.focused(); second != "cancel" {
		t.Errorf("Tab goes to %q then", second)
	}
	b.do(chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(input.ModifierShift)),
		chromedp.KeyEvent(kb.Enter))
	b.wantTitle("You are signed in")
	b.look("done", "phone-light")
	e.ReadToken("alice")

	// By query; the back button and a reload are calm.
	b.signIn(e.Login("bob", object{"response_mode": "query"}), "bob", "signin")
	b.wantTitle("Let Vault keep your sign-in?")
	b.press("confirm")
	b.wantTitle("You are signed in")
	b.do(chromedp.Evaluate(`history.back()`, nil))
	b.wantTitle("Let Vault keep your sign-in?") // as the browser has kept it
	b.do(chromedp.Evaluate(`document.querySelector("button[value=confirm]").click()`, nil))
	b.wantTitle("Nothing waits for this sign-in")
	b.look("used", "phone-light")
	b.do(chromedp.Reload())
	b.wantTitle("Nothing waits for this sign-in")
	e.ReadToken("bob")

	// Cancelled, here and there.
	b.signIn(e.Login("carol", nil), "carol", "signin")
	b.wantTitle("Let Vault keep your sign-in?")
	b.press("cancel")
	b.wantTitle("Cancelled")
	b.look("cancelled")
	b.signIn(e.Login("carol", nil), "carol", "cancel")
	b.wantTitle("You did not sign in")
	b.look("declined", "phone-light")
	e.Get("entra/token/carol").WantError(400, "login_required: ")

	// Somebody else than the account's user.
	b.signIn(e.Login("alice", nil), "bob", "signin")
	b.wantTitle("Let Vault keep your sign-in?")
	b.press("confirm")
	b.wantTitle("This account is not yours to sign in to")
	b.look("refused", "phone-light")

	// Too late.
	authURL := e.Login("carol", nil)
	expireLogin(e)
	b.signIn(authURL, "carol", "signin")
	b.wantTitle("This sign-in has expired")
	b.look("expired", "phone-light")

	// Entra refuses the app, or is away: with what an administrator needs.
	for title, fault := range map[string]object{
		"Microsoft Entra ID refuses this app": {"aadsts": 7000222},
		"Microsoft Entra ID did not answer":   {"status": 503},
		"The sign-in did not work":            {"aadsts": 53003},
	} {
		b.signIn(e.Login("dora", nil), "carol", "signin")
		b.wantTitle("Let Vault keep your sign-in?")
		fault["endpoint"], fault["grant_type"], fault["times"] = "token", "authorization_code", 2
		e.Sim.Control("faults", fault, nil)
		b.press("confirm")
		b.wantTitle(title)
		if text := b.text(); fault["aadsts"] != nil &&
			(!strings.Contains(text, "For your administrator") ||
				!strings.Contains(text, "correlation_id")) {
			t.Errorf("an administrator learns nothing from:\n%s", text)
		}
		b.look(strings.ReplaceAll(strings.ToLower(title), " ", "-"),
			map[bool]string{true: "phone-light"}[fault["aadsts"] == 53003])
		e.Sim.ClearFaults()
	}
	b.wantNoTrouble()
}

// Markup and over-long values in what reaches a page stay text, and fit.
func TestHostilePagesInChromium(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)
	b := newChromium(t, keyOf(t, e.Sim.Authority))
	const markup = `<img src=x onerror=alert(1)><script>alert(2)</script>`
	e.Sim.Control("users", object{
		"username": "mallory@contoso.example", "name": markup + strings.Repeat("wide", 200),
	}, nil)
	b.signIn(e.Login("mallory", nil), "mallory", "signin")
	b.wantTitle("Let Vault keep your sign-in?")
	b.press("confirm")
	b.wantTitle("You are signed in")
	if text := b.text(); !strings.Contains(text, markup) ||
		strings.Contains(text, strings.Repeat("wide", 60)) {
		t.Errorf("the name is not shown as text, or not cut:\n%s", text)
	}
	b.look("hostile")
	b.wantNoTrouble()
}

// With Vault's CORS on, the form that Entra's page posts is let in only from the
// origins that the documents say to allow.
func TestCORSInChromium(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)
	target, err := url.Parse(e.Addr)
	if err != nil {
		t.Fatal(err)
	}
	// By TLS, as in service: a form that is posted from https to http has no origin.
	front := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(target))
	t.Cleanup(front.Close)
	e.Configure(object{"redirect_uris": front.URL + "/v1/entra/callback"})
	b := newChromium(t, keyOf(t, e.Sim.Authority), keyOf(t, front.URL))
	authority := strings.Join(strings.SplitN(e.Sim.Authority, "/", 4)[:3], "/")

	e.Put("sys/config/cors", object{"allowed_origins": []string{front.URL, authority}}).Want(204)
	b.signIn(e.Login("alice", nil), "alice", "signin")
	b.wantTitle("Let Vault keep your sign-in?")
	b.press("confirm")
	b.wantTitle("You are signed in")
	b.wantNoTrouble()

	e.Put("sys/config/cors", object{"allowed_origins": []string{front.URL}}).Want(204)
	b.signIn(e.Login("alice", nil), "alice", "signin")
	harness.Eventually(t, 20*time.Second, "Vault refuses the post", func() error {
		var status struct{ Status int }
		b.do(chromedp.Evaluate(
			`({status: performance.getEntriesByType("navigation")[0].responseStatus})`, &status))
		if status.Status != 403 {
			return fmt.Errorf("status %d at %s", status.Status, b.text())
		}
		return nil
	})
}

// expireLogin lets the only pending login be an hour old.
func expireLogin(e *harness.Engine) {
	e.T.Helper()
	key := "login/" + e.OnlyKey("login/")
	login := e.Stored(key)
	login["expiry"] = time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	value, err := json.Marshal(login)
	if err != nil {
		e.T.Fatal(err)
	}
	e.Put(e.RawPath(key), object{"value": string(value)}).Want(204)
}
