// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entratest"
)

// A sign-in that comes late shows which account and which login it belongs to, and is dropped
// where that is gone.

// hangLogin completes a login whose code Entra redeems once it is let go.
func (m *mount) hangLogin(name string, redirect entratest.Redirect) (letGo func() (*logical.Response, error)) {
	m.t.Helper()
	gate := make(chan struct{})
	code := entratest.Match{Endpoint: entratest.Token, GrantType: "authorization_code"}
	m.sim.Faults.Add(entratest.Fault{Match: code, Until: gate, Times: 1})
	before := m.sim.Count(code)
	done := make(chan func() (*logical.Response, error), 1)
	go func() {
		resp, err := m.complete(name, redirect)
		done <- func() (*logical.Response, error) { return resp, err }
	}()
	eventually(m.t, "the code is at Entra", func() bool { return m.sim.Count(code) > before })
	return func() (*logical.Response, error) {
		close(gate)
		return (<-done)()
	}
}

// TestLateLogin: a sign-in that began for an account that was deleted since does not
// land in the one that took its name.
func TestLateLogin(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	letGo := m.hangLogin("svc", m.signIn("svc", "alice", nil))
	m.mustDo(logical.DeleteOperation, "account/svc", nil)
	redirect := m.signIn("svc", "bob", nil)
	resp, err := letGo()
	wantProblem(t, resp, err, 400, `login_failed: account "svc" was deleted meanwhile`)
	if e := m.entry("svc"); e.SignedIn() || e.Pinned() || e.LatestLogin.Status != account.LoginPending {
		t.Errorf("alice is in bob's account: %+v", e)
	}
	if resp, err := m.complete("svc", redirect); err != nil || resp.IsError() {
		t.Errorf("bob: %s", describe(resp, err))
	}
}

// TestLoginOfADeletedAccount: the login itself is of the account that was deleted, even
// where its own entry could not be deleted with it.
func TestLoginOfADeletedAccount(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	redirect := m.signIn("svc", "alice", nil)
	key := "login/" + m.entry("svc").PendingLogins[0].StateHash
	stored, err := m.storage.Get(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	m.mustDo(logical.DeleteOperation, "account/svc", nil)
	m.mustWrite("login/svc", nil)
	if err := m.storage.Put(context.Background(), stored); err != nil {
		t.Fatal(err)
	}
	resp, err := m.complete("svc", redirect)
	wantProblem(t, resp, err, 400, "login_failed: ")
	if e := m.entry("svc"); e.SignedIn() || len(e.PendingLogins) != 1 {
		t.Errorf("the account became %+v", e)
	}
}

// TestEvictedLogin: one whose delete failed does not complete either.
func TestEvictedLogin(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	oldest := m.mustWrite("login/alice", nil)["auth_url"].(string)
	m.storage.failOn(func(op, key string) error {
		if op == "delete" && strings.HasPrefix(key, account.LoginStoragePrefix) {
			return errStorage
		}
		return nil
	})
	for range pendingLimit {
		m.mustWrite("login/alice", nil)
	}
	m.storage.failOn(nil)
	resp, err := m.complete("alice", m.open(oldest, "alice"))
	wantProblem(t, resp, err, 400, "login_failed: ")
	if m.entry("alice").SignedIn() {
		t.Error("an evicted login completed")
	}
}

// TestLoginNeverHandedOutIsSwept: its account's write and the undo both failed.
func TestLoginNeverHandedOutIsSwept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testLoginNeverHandedOutIsSwept)
}

func testLoginNeverHandedOutIsSwept(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{})
	m.storage.failOn(func(op, key string) error {
		if op == "put" && strings.HasPrefix(key, "account/") || op == "delete" {
			return errStorage
		}
		return nil
	})
	if resp, err := m.write("login/alice", nil); err == nil && !resp.IsError() {
		t.Fatal("the login was handed out")
	}
	m.storage.failOn(nil)
	if keys := m.storage.keys(t); len(keys) != 2 {
		t.Fatalf("stored: %q", keys)
	}
	time.Sleep(time.Hour)
	if keys := m.storage.keys(t); len(keys) != 1 {
		t.Errorf("stored: %q", keys)
	}
}

// TestSignInThatIsStoredTwice: a sign-in whose write failed and happened is written again, and
// a refresh token that was rotated meanwhile is not lost to it.
func TestSignInThatIsStoredTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testSignInThatIsStoredTwice)
}

func testSignInThatIsStoredTwice(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{Rotation: entratest.RotateRevokeFamily})
	m.mustWrite("roles/mail", map[string]any{"scopes": "Mail.Read"})
	token, err := m.sim.IssueRefreshToken("alice", m.sim.App.ClientID, entratest.Web, "User.Read Mail.Read")
	if err != nil {
		t.Fatal(err)
	}
	stored, imported := make(chan struct{}), make(chan struct{})
	var once sync.Once
	m.storage.failOn(func(op, key string) (err error) {
		if op == "stored" && key == "account/alice" {
			once.Do(func() {
				close(stored)
				err = errStorage
			})
		}
		return err
	})
	go func() {
		defer close(imported)
		m.mustWrite("import/alice", map[string]any{"refresh_token": token})
	}()
	<-stored
	letGo := m.hangRefresh("alice/mail", entratest.Fault{})
	<-imported
	if resp, err := letGo(); err != nil || resp.IsError() {
		t.Error(describe(resp, err))
	}
	m.mustReadDue("alice")
}

// TestUnreadableLogin: one login that cannot be decoded keeps no other from being swept.
func TestUnreadableLogin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testUnreadableLogin)
}

func testUnreadableLogin(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{})
	m.mustWrite("login/alice", nil)
	damaged := &logical.StorageEntry{Key: account.LoginStoragePrefix + "0", Value: []byte("{")}
	if err := m.storage.Put(context.Background(), damaged); err != nil {
		t.Fatal(err)
	}
	m.restart()
	time.Sleep(time.Hour)
	m.wantLogins(1)
}

// TestUnreachableLogin: a login that storage does not give keeps no other from being swept, and is
// not asked for without pause.
func TestUnreachableLogin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testUnreachableLogin)
}

func testUnreachableLogin(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{})
	var logins []string
	for range 3 {
		m.mustWrite("login/alice", nil)
	}
	for _, key := range m.storage.keys(t) {
		if strings.HasPrefix(key, account.LoginStoragePrefix) {
			logins = append(logins, key)
		}
	}
	slices.Sort(logins)
	var asked atomic.Int64
	m.storage.failOn(func(op, key string) error {
		if op == "get" && key == logins[1] {
			asked.Add(1)
			return errStorage
		}
		return nil
	})
	m.restart()
	time.Sleep(time.Hour)
	m.wantLogins(1)
	if n := asked.Load(); n > 1+3600/5 { // storageRetry
		t.Errorf("it was asked for %d times within an hour", n)
	}
	m.storage.failOn(nil)
	time.Sleep(time.Minute)
	m.wantLogins(0)
}

// wantLogins holds the number of logins in storage to what is left of them.
func (m *mount) wantLogins(want int) {
	m.t.Helper()
	logins := 0
	for _, key := range m.storage.keys(m.t) {
		if strings.HasPrefix(key, account.LoginStoragePrefix) {
			logins++
		}
	}
	if logins != want {
		m.t.Errorf("%d logins are in storage, want %d", logins, want)
	}
}

// TestLoginAcrossAFailover: a login that was on its way to storage while its node could not
// write is swept like any other.
func TestLoginAcrossAFailover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testLoginAcrossAFailover)
}

func testLoginAcrossAFailover(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{})
	started, resume := make(chan struct{}), make(chan struct{})
	m.storage.failOn(func(op, key string) error {
		if op == "put" && strings.HasPrefix(key, account.LoginStoragePrefix) {
			close(started)
			<-resume
		}
		return nil
	})
	begun := make(chan struct{})
	go func() {
		defer close(begun)
		m.mustWrite("login/alice", nil)
	}()
	<-started
	for _, state := range []consts.ReplicationState{
		consts.ReplicationPerformanceSecondary, consts.ReplicationPerformanceDisabled,
	} {
		m.system.setState(state)
		m.periodic()
		synctest.Wait()
	}
	close(resume)
	<-begun
	m.storage.failOn(nil)
	time.Sleep(time.Hour)
	m.wantLogins(0)
}
