// SPDX-License-Identifier: MPL-2.0

package entratest_test

import (
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/internal/entratest"
)

// page fetches a page and checks what all of them share.
func (w *world) page(req *http.Request, status int) string {
	w.t.Helper()
	resp, err := w.Client().Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	text := string(body)
	if resp.StatusCode != status {
		w.t.Fatalf("status %d: %s", resp.StatusCode, text)
	}
	for _, part := range []string{`<html lang="en">`, `<meta charset="utf-8">`, `name="viewport"`,
		" - Entra simulator</title>", "<h1>", "</html>"} {
		if !strings.Contains(text, part) {
			w.t.Errorf("the page has no %s: %s", part, text)
		}
	}
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp,
		"default-src 'none'; ") ||
		!strings.Contains(csp, "frame-ancestors 'none'") {
		w.t.Errorf("policy %q", csp)
	}
	if got := resp.Header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		w.t.Errorf("content type %q", got)
	}
	w.labelled(text)
	return text
}

// labelled checks that every visible input stands inside a label.
func (w *world) labelled(text string) {
	w.t.Helper()
	text = regexp.MustCompile(`(?s)<label>.*?</label>`).ReplaceAllString(text, "")
	if m := regexp.MustCompile(`<input type="(text|radio)"[^>]*>`).FindString(text); m != "" {
		w.t.Errorf("an input without a label: %s", m)
	}
}

func (w *world) get(address string) *http.Request {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return req
}

// formOf returns a request that posts the page's form with its hidden fields
// and what a person adds.
func (w *world) formOf(page string, fields ...string) *http.Request {
	w.t.Helper()
	target := regexp.MustCompile(`<form method="post" action="([^"]*)"`).FindStringSubmatch(page)
	if target == nil {
		w.t.Fatalf("no form: %s", page)
	}
	form := url.Values{}
	for _, m := range regexp.MustCompile(
		`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(page, -1) {
		form.Set(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
	}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost,
		html.UnescapeString(target[1]), strings.NewReader(with(form, fields...).Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}

func has(t *testing.T, page string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(page, part) {
			t.Errorf("the page has no %q: %s", part, page)
		}
	}
}

func TestSignInPage(t *testing.T) {
	w := start(t, entratest.Options{})
	page := w.page(w.get(w.authURL("scope", "openid Mail.Read", "login_hint", "alice")), 200)
	has(t, page, "<title>Sign in - Entra simulator</title>", "<b>Vault</b> asks to sign you in",
		"<li><code>Mail.Read</code></li>", `value="alice@contoso.example" checked>`,
		"Alice Ahlgren", "bob@contoso.example", redirectURI, ">Sign in</button>",
		">Cancel</button>")
	if strings.Contains(page, "mallory") {
		t.Error("a user of another tenant is offered")
	}

	page = w.page(w.formOf(page, "username", "nobody", "action", "signin"), 200)
	has(t, page, `role="alert"`, "AADSTS50034")
	page = w.page(w.formOf(page, "action", "signin"), 200)
	has(t, page, "Enter or pick a username")
	page = w.page(w.formOf(page, "action", "accept"), 200)
	has(t, page, "Choose an account first")

	picked := w.formOf(page, "login", "alice@contoso.example", "action", "signin")
	resp, err := w.Client().Do(picked)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 302 || !strings.HasPrefix(resp.Header.Get("Location"), redirectURI+"?") {
		t.Errorf("status %d, location %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	for _, c := range resp.Cookies() {
		if !c.Secure || !c.HttpOnly {
			t.Errorf("cookie %+v", c)
		}
	}
	used := w.page(w.formOf(page, "login", "alice@contoso.example", "action", "signin"), 400)
	has(t, used, "AADSTS50089", `id="error"`, "Correlation ID: ")
}

func TestPagesEscape(t *testing.T) {
	const evil = `"><script>alert(1)</script>`
	w := start(t, entratest.Options{})
	for name, address := range map[string]string{
		"error page":  w.authURL("redirect_uri", "https://evil.example/"+evil),
		"device page": w.URL + "/common/oauth2/deviceauth?otc=" + url.QueryEscape(evil),
	} {
		status := 200
		if name == "error page" {
			status = 400
		}
		if page := w.page(w.get(address), status); strings.Contains(page, evil) ||
			!strings.Contains(page, "alert(1)") {
			t.Errorf("%s: %s", name, page)
		}
	}
	redirect, err := w.SignIn(t.Context(), w.authURL("state", evil, "response_mode", "form_post"),
		"alice")
	if err != nil || redirect.Params.Get("state") != evil {
		t.Errorf("state came back as %q, %v", redirect.Params.Get("state"), err)
	}
}

func TestConsentPage(t *testing.T) {
	w := start(t, entratest.Options{})
	page := w.page(w.get(w.authURL("prompt", "consent")), 200)
	page = w.page(w.formOf(page, "username", "alice", "action", "signin"), 200)
	has(t, page, "Permissions requested", "alice@contoso.example",
		"<li><code>User.Read</code></li>", ">Accept</button>")
	resp, err := w.Client().Do(w.formOf(page, "action", "accept"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 302 {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestFormPostPage(t *testing.T) {
	w := start(t, entratest.Options{})
	page := w.page(w.get(w.authURL("response_mode", "form_post")), 200)
	page = w.page(w.formOf(page, "username", "alice", "action", "signin"), 200)
	has(t, page, `<form method="post" action="`+redirectURI+`" id="response">`, `name="code"`,
		`name="state" value="state-1"`, "<noscript>", ">Continue</button>", "<script nonce=")
}

func TestSignInPageExpires(t *testing.T) {
	w := start(t, entratest.Options{})
	page := w.page(w.get(w.authURL()), 200)
	w.clock.advance(2 * time.Hour)
	has(t, w.page(w.formOf(page, "username", "alice", "action", "signin"), 400), "AADSTS50089")
}

func TestWelcomePageHoldsNoSecret(t *testing.T) {
	w := start(t, entratest.Options{})
	page := w.page(w.get(w.URL+"/"), 200)
	has(t, page, w.Authority(), w.App.ClientID, "alice@contoso.example")
	if strings.Contains(page, w.App.Secret()) {
		t.Error("the client secret is shown")
	}
	resp, err := w.Client().Get(w.URL + "/no/such/page")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 404 {
		t.Errorf("status %d", resp.StatusCode)
	}
}
