// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"testing"
	"time"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entra"
)

// TestBackoffWaits: exponential from 5 s to 60 s, Retry-After where there is one.
func TestBackoffWaits(t *testing.T) {
	now := time.Now()
	failed := &account.RefreshError{Time: now}
	var a *attempt
	for i, want := range []time.Duration{5, 10, 20, 40, 60, 60, 60} {
		a = a.again(failure{RefreshError: failed})
		if got := a.until.Sub(now); got != want*time.Second {
			t.Errorf("after failure %d: %s, want %ds", i+1, got, want)
		}
	}
	if a = a.again(failure{RefreshError: failed, retryAfter: 17 * time.Minute}); a.until.Sub(now) != 17*time.Minute {
		t.Errorf("Retry-After: %s", a.until.Sub(now))
	}
}

// TestBackoff: what one failure keeps from being tried, and for how long.
func TestBackoff(t *testing.T) {
	now := time.Now()
	generation := uint64(1)
	b := newBackoff(func() uint64 { return generation })
	e := account.NewEntry(now)
	of := func(class entra.Class, aadsts int) failure {
		return failure{RefreshError: &account.RefreshError{Class: class, Time: now, AADSTS: aadsts},
			account: e.Generation, generation: 1, aboutClient: class == entra.ClassClient}
	}
	blocked := func(name, role string, at time.Time) bool {
		return b.blocked(e, TokenRequest{Account: name, Role: role}, true, at) != nil
	}
	b.note(backoffKey{"alice", "mail", ""}, of(entra.ClassTransient, 0))
	if !blocked("alice", "mail", now.Add(4*time.Second)) || blocked("alice", "mail", now.Add(5*time.Second)) {
		t.Error("a failure stands for 5 s")
	}
	if blocked("alice", "", now) || blocked("bob", "mail", now) {
		t.Error("a failure of one role stands against another token")
	}
	b.noteMount(of(entra.ClassClient, 0))
	if !blocked("bob", "", now) {
		t.Error("a refusal of the client stands against everybody")
	}
	b.forgetAll()
	if refused, _ := b.clientError(); refused != nil || blocked("bob", "", now) || blocked("alice", "mail", now) {
		t.Error("something is remembered")
	}
	b.showClient(of(entra.ClassClient, 7000215).RefreshError, 1)
	b.showClient(of(entra.ClassClient, 7000222).RefreshError, 1)
	if refused, _ := b.clientError(); blocked("bob", "", now) || refused.EntraCode() != "AADSTS7000222" {
		t.Error("a refusal at a login is shown, the latest, and stops nobody")
	}
	generation++
	b.forgetAll()
	b.note(backoffKey{"alice", "", ""}, of(entra.ClassTransient, 0))
	b.noteMount(of(entra.ClassClient, 0))
	b.showClient(of(entra.ClassClient, 0).RefreshError, 1)
	if refused, _ := b.clientError(); refused != nil || blocked("alice", "", now) {
		t.Error("what another registration failed at is remembered")
	}
}
