// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
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

// A storage call that is late or failed shows which account and which change it belongs to, and
// harms nothing that came after it.

// TestStopWhileStorageFails: a rotated refresh token that storage refuses while the
// backend stops is written before Clean returns.
func TestStopWhileStorageFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testStopWhileStorageFails)
}

func testStopWhileStorageFails(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{Rotation: entratest.RotateRevokeFamily})
	m.login("alice", "alice")
	letGo := m.inFlight("alice")
	mended := time.Now().Add(3 * time.Second)
	m.storage.failOn(func(op, key string) error {
		if op == "put" && time.Now().Before(mended) {
			return errStorage
		}
		return nil
	})
	cleaned := make(chan struct{})
	started := time.Now()
	go func() {
		m.b.Cleanup(context.Background())
		close(cleaned)
	}()
	synctest.Wait()
	_, _ = letGo()
	<-cleaned
	if took := time.Since(started); took < 3*time.Second || took > cleanTimeout {
		t.Errorf("Clean took %s", took)
	}
	m.storage.failOn(nil)
	m.start()
	m.mustReadDue("alice")
}

// TestUnsavedOutlivesAnotherWrite: a change that was remembered while somebody else
// held the account's lock is not forgotten by that one's write.
func TestUnsavedOutlivesAnotherWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testUnsavedOutlivesAnotherWrite)
}

func testUnsavedOutlivesAnotherWrite(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{Rotation: entratest.RotateRevokeFamily})
	m.login("alice", "alice")
	letGo := m.inFlight("alice")
	written := make(chan struct{})
	hung := make(chan struct{})
	var second atomic.Bool
	m.storage.failOn(func(op, key string) error {
		if op == "put" && second.CompareAndSwap(false, true) {
			close(hung)
			time.Sleep(3 * time.Minute)
		}
		return nil
	})
	go func() {
		defer close(written)
		m.mustWrite("account/alice", map[string]any{"metadata": "a=b"})
	}()
	<-hung
	_, _ = letGo()
	<-written
	m.storage.failOn(nil)
	time.Sleep(time.Minute) // what is unsaved is saved
	m.restart()
	m.mustReadDue("alice")
	if m.entry("alice").Metadata["a"] != "b" {
		t.Error("the other write was lost")
	}
}

// TestSlowReaderDeletesNothing: what a reader took from storage long ago says nothing
// about what is unsaved now.
func TestSlowReaderDeletesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testSlowReaderDeletesNothing)
}

func testSlowReaderDeletesNothing(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{Rotation: entratest.RotateRevokeFamily})
	m.login("alice", "alice")
	m.b.InvalidateKey(context.Background(), "account/alice")
	taken, resume, read := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var second, refuse atomic.Bool
	m.storage.failOn(func(op, key string) error {
		switch {
		case op == "got" && second.CompareAndSwap(false, true):
			close(taken)
			<-resume
		case op == "put" && refuse.Load():
			return errStorage
		}
		return nil
	})
	go func() {
		defer close(read)
		m.mustRead("account/alice")
	}()
	<-taken
	m.login("alice", "alice") // another generation
	refuse.Store(true)
	m.mustWrite("refresh/alice", nil) // rotated, and in memory only
	close(resume)
	<-read
	refuse.Store(false)
	time.Sleep(time.Minute)
	m.storage.failOn(nil)
	m.restart()
	m.mustReadDue("alice")
}

// TestUnreadableAccount: one entry that cannot be decoded is listed as such, and takes
// nothing from the others.
func TestUnreadableAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testUnreadableAccount)
}

func testUnreadableAccount(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"keepalive_interval": "1h"})
	m.login("alice", "alice")
	bad := &logical.StorageEntry{Key: "account/aaa", Value: []byte(`{"version":1,"generation":5}`)}
	if err := m.storage.Put(context.Background(), bad); err != nil {
		t.Fatal(err)
	}
	m.restart()
	time.Sleep(2 * time.Hour)
	resp, err := m.do(context.Background(), logical.ListOperation, "account/", nil)
	if err != nil || len(resp.Warnings) != 0 {
		t.Fatalf("the index is not complete: %v, %v", resp, err)
	}
	info := resp.Data["key_info"].(map[string]any)
	if state := info["aaa"].(map[string]any)["state"]; state != "unreadable" {
		t.Errorf("it is listed as %v", state)
	}
	if n := m.refreshRequests(); n < 1 {
		t.Error("alice is not kept alive")
	}
	if n := strings.Count(m.log.String(), "account=aaa"); n != 1 {
		t.Errorf("it is logged %d times", n)
	}
}

// TestDemotedDuringTheBuild: an index that was begun while this node might write is not
// complete once it may not.
func TestDemotedDuringTheBuild(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testDemotedDuringTheBuild)
}

func testDemotedDuringTheBuild(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.b.Cleanup(context.Background())
	building, resume := make(chan struct{}), make(chan struct{})
	var second atomic.Bool
	m.storage.failOn(func(op, key string) error {
		if op == "got" && key == "account/alice" && second.CompareAndSwap(false, true) {
			close(building)
			<-resume
		}
		return nil
	})
	m.start()
	<-building
	m.system.setState(consts.ReplicationPerformanceSecondary)
	m.periodic()
	close(resume)
	synctest.Wait()
	if names, complete := m.b.accounts.Index.Names(); complete {
		t.Errorf("the index of a secondary is complete: %q", names)
	}
}

// disableElsewhere switches an account off as another node does.
func (m *mount) disableElsewhere(name string) error {
	ctx, key := context.Background(), account.StoragePrefix+name
	stored, err := m.storage.Storage.Get(ctx, key)
	if err != nil {
		return err
	}
	fields := map[string]any{}
	if err := stored.DecodeJSON(&fields); err != nil {
		return err
	}
	fields["disabled"] = true
	if stored, err = logical.StorageEntryJSON(key, fields); err != nil {
		return err
	}
	defer m.b.InvalidateKey(ctx, key)
	return m.storage.Storage.Put(ctx, stored)
}

// TestSlowReadAcrossAFailover: a change is made to the account as it is, not as storage gave it
// before another node wrote it.
func TestSlowReadAcrossAFailover(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	var once sync.Once
	m.storage.failOn(func(op, key string) (err error) {
		if op == "got" && key == "account/alice" {
			once.Do(func() { err = m.disableElsewhere("alice") })
		}
		return err
	})
	m.mustWrite("account/alice", map[string]any{"metadata": map[string]any{"team": "a"}})
	if e := m.entry("alice"); !e.Disabled {
		t.Error("another node had disabled the account")
	}
}

// TestDeletedWhileAWriteFails: what is kept in memory for a write that failed is not served of an
// account that another node deleted during that write.
func TestDeletedWhileAWriteFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testDeletedWhileAWriteFails)
}

func testDeletedWhileAWriteFails(t *testing.T) {
	ctx := context.Background()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.expire("alice")
	var once sync.Once
	m.storage.failOn(func(op, key string) (err error) {
		if op == "put" && key == "account/alice" {
			once.Do(func() {
				if err = m.storage.Storage.Delete(ctx, key); err == nil {
					m.b.InvalidateKey(ctx, key)
					err = errStorage
				}
			})
		}
		return err
	})
	if resp, err := m.read("token/alice"); err == nil && !resp.IsError() {
		t.Errorf("answered %v", resp.Data)
	}
	for _, wait := range []time.Duration{0, time.Minute} {
		time.Sleep(wait)
		resp, err := m.read("token/alice")
		wantProblem(t, resp, err, 404, `no account "alice"`)
	}
	if n := m.b.accounts.Unsaved(); n != 0 {
		t.Errorf("%d accounts are unsaved", n)
	}
}

// TestInvalidatedWhileActive: a node that lost the right to write and got it back has not noticed,
// but for what other nodes wrote meanwhile.
func TestInvalidatedWhileActive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testInvalidatedWhileActive)
}

func testInvalidatedWhileActive(t *testing.T) {
	ctx := context.Background()
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"keepalive_interval": "1h"})
	m.login("alice", "alice")
	m.mustWrite("login/bob", nil)
	elsewhere := map[string]*logical.StorageEntry{}
	for _, key := range m.storage.keys(t) {
		e, err := m.storage.Get(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		elsewhere[key] = e
	}
	m.mustDo(logical.DeleteOperation, "account/alice", nil)
	m.mustDo(logical.DeleteOperation, "account/bob", nil)
	m.mustWrite("login/carol", nil)
	carol := "account/carol"
	if err := m.storage.Delete(ctx, carol); err != nil {
		t.Fatal(err)
	}
	m.b.InvalidateKey(ctx, carol)
	for key, e := range elsewhere {
		if err := m.storage.Put(ctx, e); err != nil {
			t.Fatal(err)
		}
		m.b.InvalidateKey(ctx, key)
	}
	before := m.refreshRequests()
	time.Sleep(90 * time.Minute)
	if names, complete := m.b.accounts.Index.Names(); fmt.Sprint(names) != "[alice bob]" || !complete {
		t.Errorf("the index has %q, complete %v", names, complete)
	}
	if m.refreshRequests() == before {
		t.Error("an account that another node wrote is not kept alive")
	}
	m.wantLogins(0)
}

// TestBuildOnADemotedNode: a build that storage held up until this node might not write any
// more leaves nothing in the index that the next build would take for its own.
func TestBuildOnADemotedNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testBuildOnADemotedNode)
}

func testBuildOnADemotedNode(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.b.Cleanup(context.Background())
	hung, resume := make(chan struct{}), make(chan struct{})
	var second atomic.Bool
	m.storage.failOn(func(op, key string) error {
		if op == "got" && key == "config" && second.CompareAndSwap(false, true) {
			close(hung)
			<-resume
		}
		return nil
	})
	m.start()
	<-hung
	become := func(state consts.ReplicationState) {
		m.system.setState(state)
		m.periodic()
		synctest.Wait()
	}
	become(consts.ReplicationPerformanceSecondary)
	close(resume)
	synctest.Wait()
	// By another node.
	if err := m.storage.Delete(context.Background(), "account/alice"); err != nil {
		t.Fatal(err)
	}
	become(consts.ReplicationPerformanceDisabled)
	if names, complete := m.b.accounts.Index.Names(); len(names) != 0 || !complete {
		t.Errorf("the index has %q, complete: %v", names, complete)
	}
}

// TestConfigWriteThatFailedAndHappened: the mount goes on with the config that is stored, also
// where storage takes it after it has reported a failure.
func TestConfigWriteThatFailedAndHappened(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]time.Duration{"at once": 0, "a second later": time.Second} {
		inBubble(t, name, func(t *testing.T) { testConfigWriteThatFailedAndHappened(t, late) })
	}
}

func testConfigWriteThatFailedAndHappened(t *testing.T, late time.Duration) {
	m := newConfiguredMount(t, entratest.Options{})
	m.mustRead("config")
	before, err := m.storage.Get(context.Background(), "config")
	if err != nil {
		t.Fatal(err)
	}
	m.storage.failOn(func(op, key string) error {
		if op == "stored" && key == "config" {
			return errStorage
		}
		return nil
	})
	if _, err := m.write("config", map[string]any{"scopes": "Mail.Read"}); err == nil {
		t.Fatal("it succeeded")
	}
	m.storage.failOn(nil)
	after, err := m.storage.Get(context.Background(), "config")
	if err != nil {
		t.Fatal(err)
	}
	if late > 0 {
		if err := m.storage.Put(context.Background(), before); err != nil {
			t.Fatal(err)
		}
		m.login("early", "alice") // the config is read
		time.Sleep(late)
		if err := m.storage.Put(context.Background(), after); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
	}
	m.login("alice", "alice")
	if got := m.mustRead("token/alice")["scope"]; !strings.Contains(got.(string), "Mail.Read") {
		t.Errorf("Mail.Read is stored, and a new account has %v", got)
	}
}

// TestConfigWriteThatFailed: where nothing was stored nothing is forgotten, not the config in
// memory nor what Entra has said under it, also while storage cannot be looked at.
func TestConfigWriteThatFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testConfigWriteThatFailed)
}

func testConfigWriteThatFailed(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"background_refresh": false})
	for _, name := range []string{"alice", "bob", "fresh"} {
		m.login(name, "alice")
	}
	var down atomic.Bool
	m.storage.failOn(func(op, key string) error {
		if down.Load() || op == "put" && key == "config" {
			down.Store(true)
			return errStorage
		}
		return nil
	})
	if _, err := m.write("config", map[string]any{"scopes": "Mail.Read"}); err == nil {
		t.Fatal("it succeeded")
	}
	for range 3 {
		if resp, err := m.read("token/fresh"); err != nil || resp.IsError() {
			t.Errorf("a fresh token, while storage is down: %s", describe(resp, err))
		}
		time.Sleep(lookAgain)
	}
	m.storage.failOn(func(op, key string) error {
		if op == "put" && key == "config" {
			return errStorage
		}
		return nil
	})
	if _, err := m.write("config", map[string]any{"scopes": "Mail.Read"}); err == nil {
		t.Fatal("it succeeded")
	}
	m.refreshFault(entratest.Fault{Status: 429, RetryAfter: "300"})
	for _, name := range []string{"alice", "bob", "bob"} {
		resp, err := m.readDue(name)
		wantProblem(t, resp, err, 502, "entra_unavailable: ")
		time.Sleep(lookAgain)
	}
	if n := m.refreshRequests(); n != 1 {
		t.Errorf("%d calls within the Retry-After of the first", n)
	}
}

// lookAgain is longer than what the engine waits before it looks at storage once more.
const lookAgain = 6 * time.Second
