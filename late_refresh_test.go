// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
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
	"vault-plugin-secrets-entra/internal/lifecycle"
)

// An answer to a refresh that comes late shows which account and which registration it belongs
// to, and is dropped where that is gone.

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
	synctest.Wait() // both have read what they need: the next look is that before a second attempt
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

// TestLateSuccessOfTheOldRegistration: it ends nothing that the new one is told.
func TestLateSuccessOfTheOldRegistration(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"background_refresh": false})
	m.login("alice", "alice")
	m.login("bob", "bob")
	letGo := m.inFlight("alice")
	m.mustWrite("config", map[string]any{"client_secret": "wrong"})
	resp, err := m.readDue("bob")
	wantProblem(t, resp, err, 502, "client_rejected: ")
	if resp, err := letGo(); err != nil || resp.IsError() {
		t.Fatalf("alice: %s", describe(resp, err))
	}
	if shown := m.mustRead("config")["client_error"].(map[string]any); len(shown) == 0 {
		t.Error("the registration is refused, and client_error is empty")
	}
}

// TestLateFailureOfADeletedAccount: what alice's refresh failed at is not told to bob, who has
// signed in to a new account of the same name meanwhile.
func TestLateFailureOfADeletedAccount(t *testing.T) {
	t.Parallel()
	m := withRoles(t, entratest.Options{})
	m.loginWith("svc", "alice", map[string]any{"roles": "mail"})
	letGo := m.hangRefresh("svc/mail", entratest.Fault{AADSTS: 70011})
	m.mustDo(logical.DeleteOperation, "account/svc", nil)
	m.loginWith("svc", "bob", map[string]any{"roles": "mail"})
	if resp, err := letGo(); err == nil && !resp.IsError() {
		t.Fatal("alice has a token")
	}
	if shown := m.mustRead("account/svc")["last_error"].(map[string]any); len(shown) != 0 {
		t.Errorf("bob's account shows %v", shown)
	}
	if resp, err := m.read("token/svc/mail"); err != nil || resp.IsError() {
		t.Errorf("bob is told %s", describe(resp, err))
	}
}

// TestLateNoConfig: a job of the background that hears late that there is no config does not
// take its account off a schedule that a config write has made anew.
func TestLateNoConfig(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testLateNoConfig)
}

func testLateNoConfig(t *testing.T) {
	keptAlive := map[string]any{"keepalive_interval": "24h"}
	m := newConfiguredMount(t, entratest.Options{}, keptAlive)
	m.login("alice", "alice")
	synctest.Wait()
	resume := make(chan struct{})
	var reads atomic.Int64 // of the config that is gone: first the build's, then the job's
	m.storage.failOn(func(op, key string) error {
		if op == "got" && key == "config" && reads.Add(1) == 2 {
			<-resume
		}
		return nil
	})
	m.mustDo(logical.DeleteOperation, "config", nil)
	synctest.Wait()
	if reads.Load() != 2 {
		t.Fatalf("the config was read %d times", reads.Load())
	}
	m.mustWrite("config", m.config(keptAlive))
	synctest.Wait()
	close(resume)
	time.Sleep(60 * 24 * time.Hour)
	if m.refreshRequests() == 0 {
		t.Error("alice was not kept alive for 60 days")
	}
}
