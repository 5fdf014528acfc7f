// SPDX-License-Identifier: MPL-2.0

package main

import (
	"testing"
	"time"

	"vault-plugin-secrets-entra/internal/entra"
)

// TestBackoff: exponential from 5 s to 60 s, Retry-After where there is one.
func TestBackoff(t *testing.T) {
	now := time.Now()
	var f *failure
	for i, want := range []time.Duration{5, 10, 20, 40, 60, 60, 60} {
		f = f.again(&refusal{Time: now}, 0)
		if got := f.until.Sub(now); got != want*time.Second {
			t.Errorf("after failure %d: %s, want %ds", i+1, got, want)
		}
	}
	if f = f.again(&refusal{Time: now}, 17*time.Minute); f.until.Sub(now) != 17*time.Minute {
		t.Errorf("Retry-After: %s", f.until.Sub(now))
	}
}

// TestFailureMemory: what one failure keeps from being tried, and for how long.
func TestFailureMemory(t *testing.T) {
	now := time.Now()
	m := newFailureMemory()
	m.note("alice", "mail", &refusal{Class: entra.ClassTransient, Time: now}, 0)
	if m.standing("alice", "mail", now.Add(4*time.Second)) == nil || m.standing("alice", "mail", now.Add(5*time.Second)) != nil {
		t.Error("a failure stands for 5 s")
	}
	if m.standing("alice", "", now) != nil || m.standing("bob", "mail", now) != nil {
		t.Error("a failure of one role stands against another token")
	}
	m.noteClient(&refusal{Class: entra.ClassClient, Time: now}, 0)
	if m.standing("bob", "", now) == nil {
		t.Error("a refusal of the client stands against everybody")
	}
	m.forgetAll()
	if m.standing("bob", "", now) != nil || m.standing("alice", "mail", now) != nil || len(m.clientError()) != 0 {
		t.Error("something is remembered")
	}
	m.showClient(&refusal{Class: entra.ClassClient, Time: now, AADSTS: 7000215})
	if m.standing("bob", "", now) != nil || m.clientError()["code"] != "AADSTS7000215" {
		t.Error("a refusal at a login is shown and stops nobody")
	}
}
