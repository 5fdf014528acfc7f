// SPDX-License-Identifier: MPL-2.0

package main

import (
	"testing"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/entratest"
)

// TestReadAsksNothing: a read of a fresh token makes no round trip to Vault for
// the replication state, on any path.
func TestReadAsksNothing(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.mustRead("token/alice")
	m.system.timesAsked()
	for range 100 {
		m.mustRead("token/alice")
		m.mustRead("account/alice")
	}
	if n := m.system.timesAsked(); n != 0 {
		t.Errorf("200 reads asked %d times", n)
	}
}

// TestRoleChangeTakesEffect: what is remembered is asked for again where it
// matters, and once a minute.
func TestRoleChangeTakesEffect(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.system.setState(consts.ReplicationPerformanceSecondary)
	resp, err := m.readDue("alice") // before the minute is over
	if resp != nil || err != logical.ErrReadOnly {
		t.Errorf("a secondary answered %v, %v", resp, err)
	}
	if _, err := m.write("login/alice", nil); err != logical.ErrReadOnly {
		t.Errorf("a secondary started a login: %v", err)
	}
	m.system.setState(consts.ReplicationPerformanceDisabled)
	m.periodic()
	m.mustWrite("login/alice", nil)
}

// TestFailedRoundTripIsNotRemembered: it answers 0, which reads as "may write".
func TestFailedRoundTripIsNotRemembered(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.system.setState(0)
	m.mustReadDue("alice")
	m.system.setState(consts.ReplicationPerformanceStandby)
	if _, err := m.readDue("alice"); err != logical.ErrReadOnly {
		t.Errorf("a standby answered %v", err)
	}
}
