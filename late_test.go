// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
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
	"vault-plugin-secrets-entra/internal/lifecycle"
)

// What arrives late shows which account, registration or change it belongs to, and is
// dropped where that is gone.

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

// TestLateRefusal: what is served after a refresh that failed is the account as it is
// then, not as it was when the read began.
func TestLateRefusal(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		act  func(*mount)
		want func(t *testing.T, resp *logical.Response, err error)
	}{
		"disabled": {
			func(m *mount) { m.mustWrite("account/svc", map[string]any{"disabled": true}) },
			func(t *testing.T, resp *logical.Response, err error) {
				wantProblem(t, resp, err, 400, "account_disabled: ")
			},
		},
		"deleted": {
			func(m *mount) { m.mustDo(logical.DeleteOperation, "account/svc", nil) },
			func(t *testing.T, resp *logical.Response, err error) { wantProblem(t, resp, err, 404) },
		},
		"another's": {
			func(m *mount) {
				m.mustDo(logical.DeleteOperation, "account/svc", nil)
				m.login("svc", "bob")
			},
			func(t *testing.T, resp *logical.Response, err error) {
				if err == nil && resp.Data["username"] == "alice@contoso.example" {
					t.Error("alice's token is served from bob's account")
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newConfiguredMount(t, entratest.Options{})
			m.login("svc", "alice")
			m.age("svc", 5*time.Minute) // valid still, and due
			letGo := m.hangRefresh("svc", entratest.Fault{Status: 429, RetryAfter: "60"})
			test.act(m)
			resp, err := letGo()
			test.want(t, resp, err)
		})
	}
}

// TestLateAnswerWhileStorageFails: a token that Entra gave, and whose account storage does not
// show any more, is not served where the account was switched off or deleted meanwhile. What
// Entra gave is kept all the same.
func TestLateAnswerWhileStorageFails(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(*mount){
		"disabled": func(m *mount) { m.mustWrite("account/svc", map[string]any{"disabled": true}) },
		"deleted":  func(m *mount) { m.mustDo(logical.DeleteOperation, "account/svc", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newConfiguredMount(t, entratest.Options{Rotation: entratest.RotateRevokeFamily})
			m.login("svc", "alice")
			letGo := m.inFlight("svc")
			act(m)
			m.storage.failOn(func(op, key string) error {
				if key == "account/svc" {
					return errStorage
				}
				return nil
			})
			if resp, err := letGo(); err == nil && !resp.IsError() {
				t.Errorf("a token is served: %s", describe(resp, err))
			}
			m.storage.failOn(nil)
			if name == "disabled" {
				m.mustWrite("account/svc", map[string]any{"disabled": false})
				m.mustReadDue("svc")
			}
		})
	}
}

// TestLateClientError: a refusal of the registration that was is no refusal of the one
// that is.
func TestLateClientError(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.login("bob", "bob")
	m.expire("alice")
	letGo := m.hangRefresh("alice", entratest.Fault{AADSTS: 7000215})
	m.mustWrite("config", map[string]any{"client_secret": m.sim.App.Secret()})
	later := make(chan func() (*logical.Response, error), 1)
	go func() { // it must not share the old registration's flight
		resp, err := m.read("token/alice")
		later <- func() (*logical.Response, error) { return resp, err }
	}()
	time.Sleep(20 * time.Millisecond)
	resp, err := letGo()
	wantProblem(t, resp, err, 502, "client_rejected: ")
	if resp, err := (<-later)(); err != nil || resp.IsError() {
		t.Errorf("a reader after the config write got %s", describe(resp, err))
	}
	if shown := m.mustRead("config")["client_error"].(map[string]any); len(shown) != 0 {
		t.Errorf("client_error is %v", shown)
	}
	m.mustReadDue("bob")
}

// TestLateRefusalOfTheOldRegistration: what Entra has against a user under the registration that
// was is not stored as what it has under the one that is.
func TestLateRefusalOfTheOldRegistration(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.expire("alice")
	letGo := m.hangRefresh("alice", entratest.Fault{AADSTS: 53003})
	m.mustWrite("config", map[string]any{"client_secret": m.sim.App.Secret()})
	resp, err := letGo()
	wantProblem(t, resp, err, 400, "access_denied: ", "AADSTS53003")
	if state := m.mustRead("account/alice")["state"]; state != account.StateActive {
		t.Errorf("the account is %v", state)
	}
	m.mustReadDue("alice")
}

// TestCorrectedRole: a refusal is of the scopes that it was for.
func TestCorrectedRole(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]entratest.Fault{
		"no consent": {AADSTS: 65001}, "wrong": {AADSTS: 70011}, "blocked": {AADSTS: 53003},
	} {
		t.Run(name, func(t *testing.T) {
			m := withRoles(t, entratest.Options{})
			m.loginWith("alice", "alice", map[string]any{"roles": "mail"})
			id := m.refreshFault(fault)
			if resp, err := m.read("token/alice/mail"); err == nil && !resp.IsError() {
				t.Fatal("the refused role was served")
			}
			m.sim.Faults.Remove(id)
			m.mustWrite("roles/mail", map[string]any{"scopes": "User.Read"})
			m.mustRead("token/alice/mail")
		})
	}
}

// TestClaimsDoNotEndTheAccount: claims are the caller's choice; an ordinary refresh
// decides what becomes of the account.
func TestClaimsDoNotEndTheAccount(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.refreshFault(entratest.Fault{AADSTS: 50173, Times: 1})
	resp, err := m.write("refresh/alice", map[string]any{"claims": `{"access_token":{"x":null}}`})
	wantProblem(t, resp, err, 400, "login_required: ", "AADSTS50173")
	if state := m.mustRead("account/alice")["state"]; state != account.StateActive {
		t.Errorf("the account is %v", state)
	}
	m.mustReadDue("alice")
}

// TestRolesAreBounded: tokens that expired leave the entry, and a 65th role is refused.
func TestRolesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testRolesAreBounded)
}

func testRolesAreBounded(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"background_refresh": false})
	m.login("alice", "alice")
	var names []string
	for i := range 65 {
		names = append(names, fmt.Sprintf("role%d", i))
		m.mustWrite("roles/"+names[i], map[string]any{"scopes": "User.Read"})
	}
	for _, name := range names[:64] {
		m.mustRead("token/alice/" + name)
	}
	resp, err := m.read("token/alice/" + names[64])
	wantProblem(t, resp, err, 400, "invalid_request: role: ", "64")
	resp, err = m.write("login/alice", map[string]any{"roles": strings.Join(names, ",")})
	wantProblem(t, resp, err, 400, "invalid_request: roles: ", "64")
	time.Sleep(2 * time.Hour)
	m.mustRead("token/alice")
	if n := len(m.entry("alice").Tokens); n != 1 {
		t.Errorf("%d tokens are kept, one is alive", n)
	}
	m.mustRead("token/alice/" + names[0])
	m.mustDo(logical.DeleteOperation, "roles/"+names[1], nil)
	m.mustRead("token/alice/" + names[64]) // there is room again
}

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
	if err := m.b.periodic(context.Background(), &logical.Request{}); err != nil {
		t.Fatal(err)
	}
	close(resume)
	synctest.Wait()
	if names, complete := m.b.accounts.Index.Names(); complete {
		t.Errorf("the index of a secondary is complete: %q", names)
	}
}

// TestRefreshThatWaitedTooLong: a refresh that waited for storage while its node lost the
// right to write, or stopped, spends no refresh token: what it was given could not be stored.
func TestRefreshThatWaitedTooLong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		act  func(*mount)
		want error
	}{
		"demoted": {
			func(m *mount) { m.system.setState(consts.ReplicationPerformanceSecondary) },
			logical.ErrReadOnly,
		},
		"stopped": {
			func(m *mount) { m.b.Cleanup(context.Background()) },
			lifecycle.ErrStopping,
		},
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newConfiguredMount(t, entratest.Options{Rotation: entratest.RotateRevokeFamily})
			m.login("alice", "alice")
			m.expire("alice")
			m.b.InvalidateKey(context.Background(), "account/alice")
			reading, resume := make(chan struct{}), make(chan struct{})
			reads := 0
			m.storage.failOn(func(op, key string) error {
				if op != "get" || key != "account/alice" {
					return nil
				}
				if reads++; reads == 2 { // under the account's refresh lock
					close(reading)
					<-resume
				}
				return nil
			})
			before := m.refreshRequests()
			answered := make(chan error, 1)
			go func() {
				_, err := m.read("token/alice")
				answered <- err
			}()
			<-reading
			test.act(m)
			close(resume)
			if err := <-answered; !errors.Is(err, test.want) {
				t.Errorf("the reader got %v", err)
			}
			if n := m.refreshRequests() - before; n != 0 {
				t.Errorf("%d refreshes", n)
			}
		})
	}
}

// TestReadDuringARefreshInTheBackground: a token that is read while the background is at
// work on its account does not send a second worker there.
func TestReadDuringARefreshInTheBackground(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testReadDuringARefreshInTheBackground)
}

func testReadDuringARefreshInTheBackground(t *testing.T) {
	m := withRoles(t, entratest.Options{})
	m.loginWith("alice", "alice", map[string]any{"roles": "mail"})
	m.mustRead("token/alice/mail")
	m.age("alice", 10*time.Minute+2*time.Second) // fresh still, and to be refreshed ahead
	gate := make(chan struct{})
	m.refreshFault(entratest.Fault{Until: gate, Times: 1})
	before := m.refreshRequests()
	m.mustRead("token/alice")
	synctest.Wait()
	if n := m.refreshRequests() - before; n != 1 {
		t.Fatalf("%d refreshes are under way", n)
	}
	m.mustRead("token/alice/mail")
	synctest.Wait()
	close(gate)
	synctest.Wait()
	time.Sleep(time.Minute)
	if n := m.refreshRequests() - before; n != 2 {
		t.Errorf("%d refreshes for two tokens in use", n)
	}
}

// TestExpiredDuringTheLastLook: a read whose refresh was refused looks at storage before it serves
// the cached token, which may end meanwhile.
func TestExpiredDuringTheLastLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testExpiredDuringTheLastLook)
}

func testExpiredDuringTheLastLook(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.age("alice", 10*time.Second)
	m.refreshFault(entratest.Fault{AADSTS: 53003})
	var refused atomic.Bool
	m.storage.failOn(func(op, key string) error {
		switch {
		case key != "account/alice":
		case op == "put":
			refused.Store(true)
			return errStorage
		case op == "get" && refused.Load():
			time.Sleep(20 * time.Second)
		}
		return nil
	})
	resp, err := m.read("token/alice")
	wantProblem(t, resp, err, 400, "access_denied: ")
}

// TestFailedAndHappened: a write that storage reports as failed may have happened, and what
// is in storage then is in the index and on the schedule.
func TestFailedAndHappened(t *testing.T) {
	t.Parallel()
	inBubble(t, "sign-in", func(t *testing.T) {
		m := newConfiguredMount(t, entratest.Options{}, map[string]any{"keepalive_interval": "1h"})
		token, err := m.sim.IssueRefreshToken("alice", m.sim.App.ClientID, entratest.Web, "User.Read")
		if err != nil {
			t.Fatal(err)
		}
		m.storage.failOn(func(op, key string) error {
			if op == "stored" && key == "account/alice" {
				return errStorage
			}
			return nil
		})
		if _, err := m.write("import/alice", map[string]any{"refresh_token": token}); err == nil {
			t.Fatal("the import succeeded")
		}
		m.storage.failOn(nil)
		before := m.refreshRequests()
		time.Sleep(90 * time.Minute)
		if m.refreshRequests() == before {
			t.Error("the account that was stored is not kept alive")
		}
	})
	inBubble(t, "delete", func(t *testing.T) {
		m := newConfiguredMount(t, entratest.Options{})
		m.login("alice", "alice")
		m.storage.failOn(func(op, key string) error {
			if op != "delete" || key != "account/alice" {
				return nil
			}
			if err := m.storage.Storage.Delete(context.Background(), key); err != nil {
				return err
			}
			return errStorage
		})
		if _, err := m.do(context.Background(), logical.DeleteOperation, "account/alice", nil); err == nil {
			t.Fatal("the delete succeeded")
		}
		m.storage.failOn(nil)
		time.Sleep(time.Minute)
		if names, complete := m.b.accounts.Index.Names(); len(names) != 0 || !complete {
			t.Errorf("the index has %q, complete %v", names, complete)
		}
	})
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

// TestLateWriteAfterAnotherNodesRefresh: a write that failed and happened is tried again, and does
// not put its refresh token back over the one that another node was given since.
func TestLateWriteAfterAnotherNodesRefresh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testLateWriteAfterAnotherNodesRefresh)
}

func testLateWriteAfterAnotherNodesRefresh(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{Rotation: entratest.RotateRevokeFamily})
	m.login("alice", "alice")
	other := *m
	other.start()
	var once sync.Once
	m.storage.failOn(func(op, key string) (err error) {
		if op == "stored" && key == "account/alice" {
			once.Do(func() {
				m.storage.failOn(nil)
				other.mustWrite("refresh/alice", nil)
				m.b.InvalidateKey(context.Background(), key)
				err = errStorage
			})
		}
		return err
	})
	if resp, err := m.write("refresh/alice", nil); err == nil && !resp.IsError() {
		t.Errorf("answered %v", resp.Data) // of an account that this node has not seen since
	}
	time.Sleep(time.Minute)
	m.mustReadDue("alice")
}

// TestNoSecondAttemptAfterTheStop: storage answers late, and the backend that waited for it has
// stopped meanwhile: the next one has the refresh token.
func TestNoSecondAttemptAfterTheStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testNoSecondAttemptAfterTheStop)
}

func testNoSecondAttemptAfterTheStop(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.expire("alice")
	m.sim.ResetCounts()
	m.refreshFault(entratest.Fault{Status: 503, Times: 1})
	m.storage.failOn(func(op, _ string) error {
		if op == "got" && m.refreshRequests() == 1 {
			m.b.Cleanup(context.Background()) // it waits for this read, and gives up
		}
		return nil
	})
	if resp, err := m.read("token/alice"); err == nil && !resp.IsError() {
		t.Fatalf("answered %v", resp.Data)
	}
	if n := m.refreshRequests(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

// TestNoSecondAttemptAfterAnotherNodesRefresh: between the two calls that one refresh may make,
// another node was given a successor of the refresh token.
func TestNoSecondAttemptAfterAnotherNodesRefresh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testNoSecondAttemptAfterAnotherNodesRefresh)
}

func testNoSecondAttemptAfterAnotherNodesRefresh(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{Rotation: entratest.RotateRevokeFamily})
	m.login("alice", "alice")
	other := *m
	other.start()
	m.expire("alice")
	m.sim.ResetCounts()
	m.refreshFault(entratest.Fault{Status: 503, Times: 1})
	m.storage.failOn(func(op, key string) error {
		if op == "get" && key == "account/alice" && m.refreshRequests() == 1 {
			m.storage.failOn(nil)
			other.mustWrite("refresh/alice", nil)
		}
		return nil
	})
	_, _ = m.read("token/alice") // whatever it is answered
	if n := m.refreshRequests(); n != 2 {
		t.Errorf("%d requests, want that which failed and that of the other node", n)
	}
	time.Sleep(time.Minute)
	m.mustReadDue("alice")
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
		if err := m.b.periodic(context.Background(), &logical.Request{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
	}
	close(resume)
	<-begun
	m.storage.failOn(nil)
	time.Sleep(time.Hour)
	m.wantLogins(0)
}

// TestOnlyAPinCreates: anything else on a name that is not there is a mistake.
func TestOnlyAPinCreates(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	for _, fields := range []map[string]any{
		{"disabled": true}, {"metadata": "a=b"}, {"username": ""}, {"object_id": " "}, nil,
	} {
		resp, err := m.write("account/alcie", fields)
		wantProblem(t, resp, err, 404, `no account "alcie" in this mount`)
	}
	if keys := m.storage.keys(t); len(keys) != 1 {
		t.Errorf("stored: %q", keys)
	}
	m.mustWrite("account/alice", map[string]any{"username": "alice@contoso.example", "metadata": "a=b"})
	m.mustWrite("account/alice", map[string]any{"disabled": true})
}

// TestNamesWithDots: storage refuses them, and so does the engine, by the field's name.
func TestNamesWithDots(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	for path, field := range map[string]string{
		"login/a..b": "account", "account/a..b": "account", "token/a..b": "account",
		"token/alice/a..b": "role", "roles/a..b": "role", "refresh/alice/a..b": "role",
		"callback/a..b": "account", "device/a..b": "account", "import/a..b": "account",
	} {
		resp, err := m.write(path, map[string]any{"scopes": "User.Read"})
		wantProblem(t, resp, err, 400, "invalid_request: "+field+": ", `".."`)
	}
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
		if err := m.b.periodic(context.Background(), &logical.Request{}); err != nil {
			t.Fatal(err)
		}
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

// TestInvalidatedConfigEndsWhatFailed: another node wrote the config, and what this node
// remembers of the old one says nothing any more.
func TestInvalidatedConfigEndsWhatFailed(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"background_refresh": false})
	m.login("alice", "alice")
	m.refreshFault(entratest.Fault{AADSTS: 7000215, Times: 1})
	resp, err := m.readDue("alice")
	wantProblem(t, resp, err, 502, "client_rejected: ")
	m.b.InvalidateKey(context.Background(), "config")
	m.mustRead("token/alice")
}
