// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"encoding/json"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// An upgrade from the version before and a rollback to it, as docs/operations.md has
// them, with live accounts and a login on its way. What a version does not know
// survives its writes.
func TestUpgradeAndRollback(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t, "-rotation", "revoke-family", "-token-lifetime", "4s")
	goTo := func(version string) {
		t.Helper()
		e.Put("sys/mounts/entra/tune", object{"plugin_version": version}).Want(204)
		e.ReloadPlugin()
		var mount struct {
			Running string `json:"running_plugin_version"`
		}
		e.Get("sys/mounts/entra").Want(200).Into(&mount)
		if mount.Running != version {
			t.Fatalf("%q runs, want %q", mount.Running, version)
		}
	}
	e.Register(harness.PluginName+"-previous", harness.PreviousVersion)
	goTo(harness.PreviousVersion)
	e.Configure(nil)
	e.Put("entra/roles/mail", object{"scopes": "Mail.Read"}).Want(204)
	e.SignInFor("alice", "alice", "mail")
	authURL := e.Login("bob", nil)
	b := harness.NewBrowser(e.Sim)
	page := b.Follow(b.SignIn(authURL, "bob"))

	goTo(harness.PluginVersion)
	harness.WantPage(t, b.Confirm(page), 200, "You are signed in")
	e.WantAllGood([]string{"alice", "bob"})

	// What a still newer version would have written.
	entry := e.Stored("account/alice")
	entry["from_the_future"] = "kept"
	value, err := json.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	e.Put(e.RawPath("account/alice"), object{"value": string(value)}).Want(204)

	const this, previous = harness.PluginVersion, harness.PreviousVersion
	for _, version := range []string{this, previous, this} {
		goTo(version)
		harness.Until(t, e.ReadToken("alice").Expires.Add(time.Second))
		e.ReadToken("alice")
		e.Get("entra/token/alice/mail").Want(200)
		e.WantAllGood([]string{"alice", "bob"})
		if kept := e.Stored("account/alice")["from_the_future"]; kept != "kept" {
			t.Errorf("%s makes %v of a field of a newer version", version, kept)
		}
	}
	if config := e.Get("entra/config").Want(200); config.Text("client_auth") != "client_secret" {
		t.Errorf("the config is %s", config.Body)
	}
}
