// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"
)

// An upgrade from the version before and a rollback to it, as docs/operations.md has
// them, with live accounts and a login on its way. What a version does not know
// survives its writes.
func TestUpgradeAndRollback(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "-rotation", "revoke-family", "-token-lifetime", "4s")
	goTo := func(version string) {
		t.Helper()
		e.put("sys/mounts/entra/tune", object{"plugin_version": version}).want(204)
		e.reloadPlugin()
		var mount struct {
			Running string `json:"running_plugin_version"`
		}
		e.get("sys/mounts/entra").want(200).into(&mount)
		if mount.Running != version {
			t.Fatalf("%q runs, want %q", mount.Running, version)
		}
	}
	e.register(pluginName+"-previous", previousVersion)
	goTo(previousVersion)
	e.configure(nil)
	e.put("entra/roles/mail", object{"scopes": "Mail.Read"}).want(204)
	e.signInFor("alice", "alice", "mail")
	authURL := e.login("bob", nil)
	b := newBrowser(e.sim)
	page := b.follow(b.signIn(authURL, "bob"))

	goTo(pluginVersion)
	wantPage(t, b.confirm(page), 200, "You are signed in")
	e.wantAllGood([]string{"alice", "bob"})

	// What a still newer version would have written.
	entry := e.stored("account/alice")
	entry["from_the_future"] = "kept"
	value, err := json.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	e.put(e.rawPath("account/alice"), object{"value": string(value)}).want(204)

	for _, version := range []string{pluginVersion, previousVersion, pluginVersion} {
		goTo(version)
		until(t, e.readToken("alice").expires.Add(time.Second))
		e.readToken("alice")
		e.get("entra/token/alice/mail").want(200)
		e.wantAllGood([]string{"alice", "bob"})
		if kept := e.stored("account/alice")["from_the_future"]; kept != "kept" {
			t.Errorf("%s makes %v of a field of a newer version", version, kept)
		}
	}
	if config := e.get("entra/config").want(200); config.text("client_auth") != "client_secret" {
		t.Errorf("the config is %s", config.body)
	}
}

func mustAbs(t testing.TB, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}
