// SPDX-License-Identifier: MPL-2.0

package signin

import (
	"bytes"
	"encoding/base64"
	"io/fs"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// secretSet is what must not be found, by name.
type secretSet map[string]string

// add notes a secret; a value too short to be one fails the test.
func (s secretSet) add(t testing.TB, name, value string) {
	t.Helper()
	if len(value) < 16 {
		t.Fatalf("%s is %q: the test has not got hold of it", name, value)
	}
	s[name] = value
}

// foundIn lists the secrets that stand in content: as they are, escaped for a
// URL, or base64.
func (s secretSet) foundIn(content []byte) []string {
	var found []string
	for name, value := range s {
		for _, form := range []string{
			value, url.QueryEscape(value), url.PathEscape(value),
			base64.StdEncoding.EncodeToString([]byte(value)),
			base64.RawURLEncoding.EncodeToString([]byte(value)),
		} {
			if bytes.Contains(content, []byte(form)) {
				found = append(found, name)
				break
			}
		}
	}
	return found
}

// Nothing secret stands in the audit log, the server's log or a file name when a
// person signs in by form_post, whatever goes well or wrong.
func TestLogsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t, "-token-lifetime", "4s")
	secrets := secretSet{}
	secrets.add(t, "client secret", e.Sim.ClientSecret)

	walkAndCollect(e, secrets, "alice", "form_post")
	harness.Until(t, e.ReadToken("alice").Expires.Add(time.Second))
	secrets.add(t, "refreshed access token", e.ReadToken("alice").Access)
	secrets.add(t, "rotated refresh token", e.Stored("account/alice")["refresh_token"].(string))
	failures(e)

	// A loopback helper's handover is JSON in a body: as safe as form_post.
	values := harness.RedirectValues(t, e.LoopbackLogin("carol", "carol"))
	secrets.add(t, "handed over code", values.Get("code"))
	secrets.add(t, "handed over state", values.Get("state"))
	e.Put("entra/callback/carol", object{
		"code": values.Get("code"), "state": values.Get("state"),
	}).Want(200)

	wantNoSecrets(e, secrets)
}

// The search finds what is there: by query, Vault itself writes code and state
// into the audit log, which OpenBao does not. That is why form_post is the default.
func TestSearchFindsTheCanary(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)
	secrets := secretSet{}
	walkAndCollect(e, secrets, "alice", "query")

	found := secrets.foundIn(e.ReadFile(e.AuditFile()))
	for _, name := range []string{"code", "state"} {
		if there, want := slices.Contains(found, name), !harness.OpenBao(t); there != want {
			t.Errorf("the search finds the %s of a query redirect in the audit log: %t, want %t",
				name, there, want)
		}
	}
	for _, name := range []string{"refresh token", "access token", "code verifier", "nonce"} {
		if slices.Contains(found, name) {
			t.Errorf("the audit log has the %s", name)
		}
	}

	// And in the server's log, where the plugin names the account of a refresh
	// that failed.
	const account = "canary-0123456789abcdef"
	canary := secretSet{}
	canary.add(t, "account", account)
	e.Sim.SetTokenLifetime("4s")
	e.SignIn(account, "bob")
	harness.Until(t, e.ReadToken(account).Expires.Add(time.Second))
	e.Sim.Control("faults", object{"endpoint": "token", "aadsts": 50196, "times": 1}, nil)
	e.Get("entra/token/"+account).WantError(502, "entra_unavailable: ")
	if len(canary.foundIn(e.ReadFile(e.LogFile()))) == 0 {
		t.Error("the search does not find an account that the plugin has logged")
	}
}

// walkAndCollect signs a user in and collects all that is secret in it.
func walkAndCollect(e *harness.Engine, secrets secretSet, account, mode string) {
	e.T.Helper()
	t := e.T
	authURL := e.Login(account, object{"response_mode": mode})
	asked, err := url.Parse(authURL)
	if err != nil {
		t.Fatal(err)
	}
	secrets.add(t, "state", asked.Query().Get("state"))
	login := e.Stored("login/" + e.OnlyKey("login/"))
	secrets.add(t, "code verifier", login["verifier"].(string))
	secrets.add(t, "nonce", login["nonce"].(string))

	b := harness.NewBrowser(e.Sim)
	page := b.SignIn(authURL, account)
	code := harness.RedirectValues(t, page.Location).Get("code")
	if page.Form != nil {
		code = page.Form.Hidden.Get("code")
	}
	secrets.add(t, "code", code)
	harness.WantPage(t, b.Confirm(b.Follow(page)), 200, "You are signed in")
	secrets.add(t, "access token", e.ReadToken(account).Access)
	secrets.add(t, "refresh token", e.Stored("account/" + account)["refresh_token"].(string))
}

// failures makes what goes wrong be logged, too.
func failures(e *harness.Engine) {
	e.T.Helper()
	b := harness.NewBrowser(e.Sim)
	page := b.Follow(b.SignIn(e.Login("bob", nil), "bob"))
	e.Sim.Control("faults", object{
		"endpoint": "token", "grant_type": "authorization_code", "aadsts": 54005, "times": 1,
	}, nil)
	harness.WantPage(e.T, b.Confirm(page), 400, "AADSTS54005")
	e.Put("entra/config", object{"client_secret": "short", "verify": "perhaps"}).Want(400)
	harness.Until(e.T, e.ReadToken("alice").Expires.Add(time.Second))
	e.Sim.Control("faults", object{"endpoint": "token", "body": "no JSON at all", "times": 1}, nil)
	e.Get("entra/token/alice").WantError(502, "entra_unavailable: ")
}

// wantNoSecrets searches all that the server has written down.
func wantNoSecrets(e *harness.Engine, secrets secretSet) {
	e.T.Helper()
	for _, name := range []string{e.AuditFile(), e.LogFile()} {
		if found := secrets.foundIn(e.ReadFile(name)); len(found) > 0 {
			e.T.Errorf("%s holds: %s", filepath.Base(name), strings.Join(found, ", "))
		}
	}
	err := filepath.WalkDir(e.DataDir(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		found := secrets.foundIn([]byte(path))
		if !entry.IsDir() {
			found = append(found, secrets.foundIn(e.ReadFile(path))...)
		}
		if len(found) > 0 {
			e.T.Errorf("storage at %s holds: %s", path, strings.Join(found, ", "))
		}
		return nil
	})
	if err != nil {
		e.T.Error(err)
	}
}
