// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
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
			base64.StdEncoding.EncodeToString([]byte(value)), base64.RawURLEncoding.EncodeToString([]byte(value)),
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
	e := newEngine(t, "-token-lifetime", "4s")
	secrets := secretSet{}
	secrets.add(t, "client secret", e.sim.ClientSecret)

	e.walkAndCollect(secrets, "alice", "form_post")
	until(t, e.readToken("alice").expires.Add(time.Second))
	secrets.add(t, "refreshed access token", e.readToken("alice").access)
	secrets.add(t, "rotated refresh token", e.stored("account/alice")["refresh_token"].(string))
	e.failures()

	// A loopback helper's handover is JSON in a body: as safe as form_post.
	values := redirectValues(t, loopbackLogin(e, "carol", "carol"))
	secrets.add(t, "handed over code", values.Get("code"))
	secrets.add(t, "handed over state", values.Get("state"))
	e.put("entra/callback/carol", object{"code": values.Get("code"), "state": values.Get("state")}).want(200)

	e.wantNoSecrets(secrets)
}

// The search finds what is there: by query, Vault itself writes code and state
// into the audit log. That is why form_post is the default.
func TestSearchFindsTheCanary(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	secrets := secretSet{}
	e.walkAndCollect(secrets, "alice", "query")

	found := secrets.foundIn(e.file(e.auditFile()))
	for _, name := range []string{"code", "state"} {
		if !slices.Contains(found, name) {
			t.Errorf("the audit log has the %s of a query redirect, and the search has not found it", name)
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
	e.sim.tokenLifetime("4s")
	e.signIn(account, "bob")
	until(t, e.readToken(account).expires.Add(time.Second))
	e.sim.control("faults", object{"endpoint": "token", "aadsts": 50196, "times": 1}, nil)
	e.get("entra/token/"+account).wantError(502, "entra_unavailable: ")
	if len(canary.foundIn(e.file(e.logFile()))) == 0 {
		t.Error("the search does not find an account that the plugin has logged")
	}
}

// walkAndCollect signs a user in and collects all that is secret in it.
func (e *engine) walkAndCollect(secrets secretSet, account, mode string) {
	e.t.Helper()
	t := e.t
	authURL := e.login(account, object{"response_mode": mode})
	asked, err := url.Parse(authURL)
	if err != nil {
		t.Fatal(err)
	}
	secrets.add(t, "state", asked.Query().Get("state"))
	login := e.stored("login/" + e.only("login/"))
	secrets.add(t, "code verifier", login["verifier"].(string))
	secrets.add(t, "nonce", login["nonce"].(string))

	b := newBrowser(e.sim)
	page := b.signIn(authURL, account)
	code := redirectValues(t, page.location).Get("code")
	if page.form != nil {
		code = page.form.hidden.Get("code")
	}
	secrets.add(t, "code", code)
	wantPage(t, b.confirm(b.follow(page)), 200, "You are signed in")
	secrets.add(t, "access token", e.readToken(account).access)
	secrets.add(t, "refresh token", e.stored("account/" + account)["refresh_token"].(string))
}

// failures makes what goes wrong be logged, too.
func (e *engine) failures() {
	e.t.Helper()
	b := newBrowser(e.sim)
	page := b.follow(b.signIn(e.login("bob", nil), "bob"))
	e.sim.control("faults", object{"endpoint": "token", "grant_type": "authorization_code", "aadsts": 54005, "times": 1}, nil)
	wantPage(e.t, b.confirm(page), 400, "AADSTS54005")
	e.put("entra/config", object{"client_secret": "short", "verify": "perhaps"}).want(400)
	until(e.t, e.readToken("alice").expires.Add(time.Second))
	e.sim.control("faults", object{"endpoint": "token", "body": "no JSON at all", "times": 1}, nil)
	e.get("entra/token/alice").wantError(502, "entra_unavailable: ")
}

// wantNoSecrets searches all that the server has written down.
func (e *engine) wantNoSecrets(secrets secretSet) {
	e.t.Helper()
	for _, name := range []string{e.auditFile(), e.logFile()} {
		if found := secrets.foundIn(e.file(name)); len(found) > 0 {
			e.t.Errorf("%s holds: %s", filepath.Base(name), strings.Join(found, ", "))
		}
	}
	err := filepath.WalkDir(e.dataDir(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		found := secrets.foundIn([]byte(path))
		if !entry.IsDir() {
			found = append(found, secrets.foundIn(e.file(path))...)
		}
		if len(found) > 0 {
			e.t.Errorf("storage at %s holds: %s", path, strings.Join(found, ", "))
		}
		return nil
	})
	if err != nil {
		e.t.Error(err)
	}
}

// file is the content of a file, which must not be empty.
func (e *engine) file(name string) []byte {
	e.t.Helper()
	content, err := os.ReadFile(name)
	if err != nil || len(content) == 0 {
		e.t.Fatalf("%s is empty, or: %v", name, err)
	}
	return content
}

// rawPath is where Vault keeps this mount's storage, for sys/raw.
func (e *engine) rawPath(key string) string {
	e.t.Helper()
	var mount struct {
		UUID string `json:"uuid"`
	}
	e.get("sys/mounts/entra").want(200).into(&mount)
	return "sys/raw/logical/" + mount.UUID + "/" + key
}

// stored is a storage entry of the engine, decrypted.
func (e *engine) stored(key string) map[string]any {
	e.t.Helper()
	var entry map[string]any
	value := e.get(e.rawPath(key)).want(200).text("value")
	if err := json.Unmarshal([]byte(value), &entry); err != nil {
		e.t.Fatalf("%s: %v", key, err)
	}
	return entry
}

// only is the name of the only entry under a prefix.
func (e *engine) only(prefix string) string {
	e.t.Helper()
	var list struct {
		Data struct {
			Keys []string `json:"keys"`
		} `json:"data"`
	}
	e.get(e.rawPath(prefix) + "?list=true").want(200).into(&list)
	if len(list.Data.Keys) != 1 {
		e.t.Fatalf("%s has %d entries, want one", prefix, len(list.Data.Keys))
	}
	return list.Data.Keys[0]
}
