// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"net/http"
	"net/url"
	"testing"
)

// RedirectValues are what Entra sent to a redirect URI by query.
func RedirectValues(t testing.TB, location string) url.Values {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// LoopbackLogin signs a user in at a listener of their own and returns where Entra
// sends the browser.
func (e *Engine) LoopbackLogin(account, user string) string {
	e.T.Helper()
	login := e.Put("entra/login/"+account, object{
		"redirect_uri": "http://localhost:8400/callback",
	}).Want(200)
	if mode := login.Text("response_mode"); mode != "query" {
		e.T.Fatalf("response_mode %q for a loopback listener, want query", mode)
	}
	return NewBrowser(e.Sim).SignIn(login.Text("auth_url"), user).Location
}

// Login starts a login and returns its authorization URL.
func (e *Engine) Login(account string, fields object) string {
	e.T.Helper()
	return e.Put("entra/login/"+account, fields).Want(200).Text("auth_url")
}

// SignIn signs a user of the simulator in to an account, through the browser and
// its confirm page.
func (e *Engine) SignIn(account, user string) {
	e.T.Helper()
	b := NewBrowser(e.Sim)
	WantPage(e.T, b.Complete(e.Login(account, nil), user), 200, "You are signed in")
}

// RedirectOf is where Entra sends the browser of a user who signs in, or cancels.
func (e *Engine) RedirectOf(authURL, user, action string) string {
	e.T.Helper()
	var redirect struct {
		URL string `json:"url"`
	}
	e.Sim.Control("signin", object{"auth_url": authURL, "user": user, "action": action}, &redirect)
	return redirect.URL
}

// Arrive signs in and does what the browser does next (form_post): it posts the answer to the
// redirect URI.
func (e *Engine) Arrive(authURL, user, action string) (*http.Response, error) {
	e.T.Helper()
	var redirect struct {
		URI    string            `json:"uri"`
		Params map[string]string `json:"params"`
	}
	e.Sim.Control("signin", object{"auth_url": authURL, "user": user, "action": action}, &redirect)
	form := url.Values{}
	for name, value := range redirect.Params {
		form.Set(name, value)
	}
	return http.PostForm(redirect.URI, form)
}

// SignInFor is SignIn for roles.
func (e *Engine) SignInFor(account, user, roles string) {
	e.T.Helper()
	b := NewBrowser(e.Sim)
	WantPage(e.T, b.Complete(e.Login(account, object{"roles": roles}), user), 200,
		"You are signed in")
}

// WantSucceeded fails the test unless alice has signed in to the account.
func (e *Engine) WantSucceeded(account string) {
	e.T.Helper()
	login := e.Get("entra/login/" + account).Want(200)
	if login.Text("status") != "succeeded" || login.Text("username") != "alice@contoso.example" ||
		login.Text("error") != "" {
		e.T.Fatalf("login/%s: %s", account, login.Body)
	}
}
