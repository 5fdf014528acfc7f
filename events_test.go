// SPDX-License-Identifier: MPL-2.0

package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/entratest"
)

// TestEvents: each transition sends its event, and those that need a person leave
// one line in the log.
func TestEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testEventsInOrder)
}

func testEventsInOrder(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{})
	want := func(event, path string) {
		t.Helper()
		eventually(t, event, func() bool { return m.events.has(event + " " + path) })
	}
	m.login("alice", "alice")
	want(eventLoginSucceeded, "account/alice")
	if err := m.sim.Revoke("alice"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if resp, err := m.readDue("alice"); err == nil && !resp.IsError() {
			t.Fatal("a revoked account was refreshed")
		}
	}
	want(eventLoginRequired, "account/alice")
	if n := strings.Count(m.log.String(), "[WARN]  account needs attention: account=alice state=login_required code=AADSTS50173 correlation_id="); n != 1 {
		t.Errorf("%d lines say that alice must sign in:\n%s", n, m.log)
	}
	m.login("alice", "alice")
	if n := strings.Count(m.log.String(), "[WARN]  account needs attention no longer: account=alice state=active"); n != 1 {
		t.Errorf("%d lines say that alice has signed in:\n%s", n, m.log)
	}

	id := m.refreshFault(entratest.Fault{AADSTS: 7000215})
	if resp, err := m.readDue("alice"); err == nil && !resp.IsError() {
		t.Fatal("a refused client was served")
	}
	want(eventClientRejected, "config")
	m.sim.Faults.Remove(id)
	time.Sleep(time.Minute) // the backoff is over
	m.mustReadDue("alice")
	want(eventRefreshRecovered, "account/alice")

	m.mustWrite("account/alice", map[string]any{"disabled": true})
	want(eventAccountDisabled, "account/alice")
	m.mustDo(logical.DeleteOperation, "account/alice", nil)
	want(eventAccountDeleted, "account/alice")
}
