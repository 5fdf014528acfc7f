// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entratest"
)

// shortTokens is a tenant whose tokens live so short that a test can wait for them.
var shortTokens = entratest.Options{Lifetimes: entratest.Lifetimes{AccessToken: 8 * time.Second}}

// TestRefreshAhead: a token in use is replaced before a reader has to wait, again
// and again; one that nobody reads is left alone.
func TestRefreshAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testRefreshAhead)
}

func testRefreshAhead(t *testing.T) {
	m := newConfiguredMount(t, shortTokens)
	m.login("used", "alice")
	m.login("idle", "bob")
	first := m.mustRead("token/used")["access_token"]
	used := entratest.Match{GrantType: "refresh_token", User: "alice"}
	eventually(t, "the token in use is replaced", func() bool { return m.sim.Count(used) == 1 })
	eventually(t, "the new token is held", func() bool {
		return m.entry("used").Tokens[""].AccessToken.Reveal() != first
	})
	// Nobody has read the new one, so it is left alone; a read makes it hot again.
	if second := m.mustRead("token/used")["access_token"]; second == first {
		t.Error("the old token is served")
	}
	eventually(t, "it is replaced again", func() bool { return m.sim.Count(used) == 2 })
	if n := m.sim.Count(entratest.Match{GrantType: "refresh_token", User: "bob"}); n != 0 {
		t.Errorf("an idle account was refreshed %d times", n)
	}
}

// TestKeepalive: an idle refresh token is used once in an interval, for as long as
// keepalive_max allows.
func TestKeepalive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testKeepalive)
}

func testKeepalive(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"keepalive_interval": "24h", "keepalive_max": "72h"})
	m.login("alice", "alice")
	time.Sleep(25 * time.Hour)
	if n := m.refreshRequests(); n != 1 {
		t.Errorf("kept alive %d times in 25 hours", n)
	}
	time.Sleep(30 * 24 * time.Hour)
	if n := m.refreshRequests(); n < 2 || n > 3 {
		t.Errorf("a forgotten account was kept alive %d times", n)
	}
}

// TestBackgroundOff: without background_refresh nothing is refreshed ahead.
func TestBackgroundOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testBackgroundOff)
}

func testBackgroundOff(t *testing.T) {
	m := newConfiguredMount(t, shortTokens, map[string]any{"background_refresh": false, "keepalive_interval": "1s"})
	m.login("alice", "alice")
	m.mustRead("token/alice")
	time.Sleep(24 * time.Hour)
	if n := m.refreshRequests(); n != 0 {
		t.Errorf("%d refreshes in the background", n)
	}
}

// TestBackgroundRecovers: after an outage everything is refreshed again without
// anyone's help.
func TestBackgroundRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testBackgroundRecovers)
}

func testBackgroundRecovers(t *testing.T) {
	m := newConfiguredMount(t, shortTokens)
	m.login("alice", "alice")
	m.refreshFault(entratest.Fault{Status: 503})
	m.mustRead("token/alice")
	eventually(t, "the background fails", func() bool { return m.refreshRequests() == 2 })
	m.sim.Faults.Clear()
	before := m.entry("alice").Tokens[""].AccessToken
	eventually(t, "the account is refreshed", func() bool {
		return m.entry("alice").Tokens[""].AccessToken != before
	})
	if last := m.mustRead("account/alice")["last_error"].(map[string]any); len(last) != 0 {
		t.Errorf("last_error is %v", last)
	}
}

// addUsers signs in so many users to accounts of their own.
func (m *mount) addUsers(n int) {
	m.t.Helper()
	for i := range n {
		user := fmt.Sprintf("user%d@contoso.example", i)
		if _, err := m.sim.AddUser(entratest.User{Username: user}); err != nil {
			m.t.Fatal(err)
		}
		m.login(user, user)
	}
}

// TestBackgroundPauses: Entra's Retry-After holds back the others, too.
func TestBackgroundPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testBackgroundPauses)
}

func testBackgroundPauses(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"keepalive_interval": "1s", "max_concurrent_refreshes": 1})
	m.refreshFault(entratest.Fault{Status: 429, RetryAfter: "3600"})
	m.addUsers(5)
	time.Sleep(59 * time.Minute)
	if n := m.refreshRequests(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	m.sim.Faults.Clear()
	time.Sleep(2 * time.Minute)
	if users := len(m.sim.Counts().Users); users < 5 {
		t.Errorf("after the pause %d accounts are kept alive", users)
	}
}

// TestBackgroundCeiling: max_concurrent_refreshes holds, and all get their turn.
func TestBackgroundCeiling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testBackgroundCeiling)
}

func testBackgroundCeiling(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"keepalive_interval": "1s", "max_concurrent_refreshes": 2, "background_refresh": false})
	m.addUsers(10)
	m.refreshFault(entratest.Fault{Delay: 30 * time.Millisecond})
	time.Sleep(time.Minute)
	m.sim.ResetCounts()
	m.mustWrite("config", map[string]any{"background_refresh": true})
	eventually(t, "all are kept alive", func() bool { return len(m.sim.Counts().Users) == 10 })
	if most := m.sim.Counts().MaxConcurrent; most != 2 {
		t.Errorf("%d requests at once", most)
	}
}

// TestBackgroundSurvivesRestart: the schedule is made anew, from storage.
func TestBackgroundSurvivesRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testBackgroundSurvivesRestart)
}

func testBackgroundSurvivesRestart(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"keepalive_interval": "1h"})
	m.login("alice", "alice")
	m.login("bob", "bob")
	m.restart()
	m.sim.ResetCounts()
	time.Sleep(61 * time.Minute)
	if users := len(m.sim.Counts().Users); users != 2 {
		t.Errorf("%d accounts are kept alive", users)
	}
}

// TestBackgroundOnStandby: where the node may not write nothing runs, and it begins
// and ends as the node's role changes.
func TestBackgroundOnStandby(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testBackgroundOnStandby)
}

func testBackgroundOnStandby(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"keepalive_interval": "1s"})
	m.login("alice", "alice")
	m.b.Cleanup(context.Background())
	m.system.setState(consts.ReplicationPerformanceStandby)
	m.start()
	requestsIn := func(d time.Duration) int {
		t.Helper()
		m.sim.ResetCounts()
		m.periodic()
		time.Sleep(d)
		return m.refreshRequests()
	}
	if n := requestsIn(time.Hour); n != 0 {
		t.Errorf("%d requests by a standby", n)
	}
	m.system.setState(consts.ReplicationPerformanceDisabled)
	if n := requestsIn(time.Minute); n == 0 {
		t.Error("the active node does nothing")
	}
	m.system.setState(consts.ReplicationPerformanceSecondary)
	if n := requestsIn(time.Hour); n > 1 { // one may have been under way
		t.Errorf("%d requests by a secondary", n)
	}
}

// TestBackgroundLeavesTheDead: what needs a person is not tried.
func TestBackgroundLeavesTheDead(t *testing.T) {
	t.Parallel()
	for name, aadsts := range map[string]int{"revoked": 50173, "no consent": 65001} {
		inBubble(t, name, func(t *testing.T) {
			m := newConfiguredMount(t, entratest.Options{}, map[string]any{"keepalive_interval": "1h"})
			m.refreshFault(entratest.Fault{AADSTS: aadsts})
			m.login("alice", "alice")
			m.mustRead("token/alice")
			time.Sleep(24 * time.Hour)
			if state := m.mustRead("account/alice")["state"]; state != account.StateLoginRequired {
				t.Errorf("the account is %v", state)
			}
			if n := m.refreshRequests(); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// TestDeletedRoleKeepsTheSchedule: an account outlives the role that was read, and the
// role that would have kept it alive.
func TestDeletedRoleKeepsTheSchedule(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]bool{"read": false, "the default token is refused": true} {
		inBubble(t, name, func(t *testing.T) {
			m := withRoles(t, entratest.Options{})
			m.consentToARM()
			m.loginWith("alice", "alice", map[string]any{"roles": "mail,arm"})
			m.mustRead("token/alice/mail")
			if refused {
				m.refreshFault(entratest.Fault{Match: entratest.Match{Scope: "User.Read"}, AADSTS: 65001})
				_, _ = m.readDue("alice")
			}
			m.mustDo(logical.DeleteOperation, "roles/mail", nil)
			m.sim.ResetCounts()
			time.Sleep(100 * 24 * time.Hour)
			if n := m.refreshRequests(); n < 90 {
				t.Errorf("kept alive %d times in 100 days", n)
			}
			m.mustRead("token/alice/arm")
		})
	}
}

// TestBlockedAccountCostsNothing: where nothing can be done nothing is read either.
func TestBlockedAccountCostsNothing(t *testing.T) {
	t.Parallel()
	const accounts = 5
	for name, fault := range map[string]entratest.Fault{
		"blocked": {AADSTS: 53003}, "refused client": {AADSTS: 7000215}, "wrong scopes": {AADSTS: 70011},
		"outage": {Status: 503},
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newConfiguredMount(t, entratest.Options{}, map[string]any{"keepalive_interval": "10m"})
			m.addUsers(accounts)
			m.refreshFault(fault)
			time.Sleep(time.Hour)
			m.storage.count("")
			m.sim.ResetCounts()
			time.Sleep(time.Hour)
			if n := m.storage.count(""); n > 200 {
				t.Errorf("%d storage operations in an hour", n)
			}
			if n := m.refreshRequests(); n > 150 { // a probe a minute, two calls each
				t.Errorf("%d requests in an hour", n)
			}
			m.sim.Faults.Clear()
			m.mustWrite("config", map[string]any{"refresh_margin": "10m"})
			m.sim.ResetCounts()
			time.Sleep(2 * time.Hour)
			if users := len(m.sim.Counts().Users); users != accounts {
				t.Errorf("%d accounts are kept alive after it", users)
			}
		})
	}
}

// TestTokensInUseGoFirst: after an outage those that somebody reads come before those
// that are only kept alive.
func TestTokensInUseGoFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testTokensInUseGoFirst)
}

func testTokensInUseGoFirst(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{Lifetimes: entratest.Lifetimes{AccessToken: time.Hour}},
		map[string]any{"keepalive_interval": "50m", "max_concurrent_refreshes": 1})
	m.login("hot", "alice")
	m.addUsers(50)
	m.mustRead("token/hot")
	m.mustWrite("config", map[string]any{"background_refresh": false})
	time.Sleep(55 * time.Minute)
	m.refreshFault(entratest.Fault{Delay: 5 * time.Second})
	m.mustWrite("config", map[string]any{"background_refresh": true})
	time.Sleep(time.Minute)
	if n := m.sim.Count(entratest.Match{GrantType: "refresh_token", User: "alice"}); n != 1 {
		t.Errorf("the token in use was refreshed %d times in the first minute", n)
	}
}

// TestTokenInUseIsNotSpread: a keep-alive that is overdue, too, does not put off a token that
// somebody reads.
func TestTokenInUseIsNotSpread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testTokenInUseIsNotSpread)
}

func testTokenInUseIsNotSpread(t *testing.T) {
	m := withRoles(t, entratest.Options{})
	m.mustWrite("config", map[string]any{"keepalive_interval": "10h"})
	m.loginWith("alice", "alice", map[string]any{"roles": "mail"})
	m.mustRead("token/alice")
	outage := m.refreshFault(entratest.Fault{Status: 503})
	time.Sleep(12 * time.Hour)
	m.sim.Faults.Remove(outage)
	m.sim.ResetCounts()
	time.Sleep(3 * time.Minute) // the longest pause, and the refresh
	if n := m.sim.Count(entratest.Match{Scope: "User.Read"}); n != 1 {
		t.Errorf("the token in use was refreshed %d times within 3 minutes after an outage", n)
	}
}

// TestRoleComesBack: an account that only a deleted role could keep alive is kept alive by it
// once it is there again, and by one whose scopes were corrected.
func TestRoleComesBack(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ leave, comeBack func(*mount) }{
		"deleted": {
			func(m *mount) { m.mustDo(logical.DeleteOperation, "roles/mail", nil) },
			func(m *mount) { m.mustWrite("roles/mail", map[string]any{"scopes": "Mail.Read"}) },
		},
		"refused": {
			func(m *mount) {
				m.mustWrite("roles/mail", map[string]any{"scopes": "Files.Read"})
				_, _ = m.read("token/alice/mail")
			},
			func(m *mount) { m.mustWrite("roles/mail", map[string]any{"scopes": "Mail.Read"}) },
		},
	} {
		inBubble(t, name, func(t *testing.T) {
			m := withRoles(t, entratest.Options{})
			m.loginWith("alice", "alice", map[string]any{"roles": "mail"})
			m.mustRead("token/alice/mail")
			for _, scope := range []string{"User.Read", "Files.Read"} {
				m.refreshFault(entratest.Fault{Match: entratest.Match{Scope: scope}, AADSTS: 65001})
			}
			_, _ = m.readDue("alice")
			test.leave(m)
			time.Sleep(3 * 24 * time.Hour) // there is nothing to keep it alive with
			before := m.entry("alice").RefreshTokenTime
			test.comeBack(m)
			time.Sleep(3 * 24 * time.Hour)
			if !m.entry("alice").RefreshTokenTime.After(before) {
				t.Error("the account is not kept alive")
			}
		})
	}
}

// TestKeepaliveUsesWhatWorks: wrong default scopes do not end an account that is read
// by a role.
func TestKeepaliveUsesWhatWorks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testKeepaliveUsesWhatWorks)
}

func testKeepaliveUsesWhatWorks(t *testing.T) {
	m := withRoles(t, entratest.Options{})
	m.loginWith("alice", "alice", map[string]any{"roles": "mail"})
	m.mustRead("token/alice/mail")
	m.refreshFault(entratest.Fault{Match: entratest.Match{Scope: "User.Read"}, AADSTS: 70011})
	_, _ = m.readDue("alice")
	before := m.entry("alice").RefreshTokenTime
	time.Sleep(10 * 24 * time.Hour)
	if kept := m.entry("alice").RefreshTokenTime.Sub(before); kept < 8*24*time.Hour {
		t.Errorf("the refresh token was last used %s after the first day", kept)
	}
}

// TestConfigWriteEndsThePause: a config write may have mended it.
func TestConfigWriteEndsThePause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testConfigWriteEndsThePause)
}

func testConfigWriteEndsThePause(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"keepalive_interval": "1m"})
	m.login("alice", "alice")
	m.refreshFault(entratest.Fault{Status: 429, RetryAfter: "3600", Times: 1})
	time.Sleep(2 * time.Minute)
	m.sim.ResetCounts()
	m.mustWrite("config", map[string]any{"login_ttl": "20m"})
	time.Sleep(2 * time.Minute)
	if n := m.refreshRequests(); n == 0 {
		t.Error("the background is still paused")
	}
}

// TestListFromIndex: the list comes from memory once the index is complete, from
// storage with a warning before.
func TestListFromIndex(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testListFromIndex)
}

func testListFromIndex(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.login("bob", "bob")
	m.mustWrite("account/carol", map[string]any{"username": "carol@contoso.example"})
	m.mustWrite("account/bob", map[string]any{"disabled": true})
	m.b.Cleanup(context.Background())
	gate := make(chan struct{})
	m.storage.failOn(func(op, key string) error {
		if op == "get" && key == "account/bob" {
			select {
			case <-gate:
			default:
				return errStorage
			}
		}
		return nil
	})
	m.start()
	list := func() (*logical.Response, map[string]any) {
		t.Helper()
		resp, err := m.do(context.Background(), logical.ListOperation, "account/", nil)
		if err != nil {
			t.Fatal(err)
		}
		info, _ := resp.Data["key_info"].(map[string]any)
		return resp, info
	}
	resp, info := list()
	if keys := resp.Data["keys"].([]string); strings.Join(keys, " ") != "alice bob carol" || info["bob"] != nil {
		t.Errorf("while it is built the list is %v, %v", keys, info)
	}
	if len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], "key_info is incomplete") {
		t.Errorf("warnings %q", resp.Warnings)
	}
	close(gate)
	eventually(t, "the index is complete", func() bool {
		_, complete := m.b.accounts.Index.Names()
		return complete
	})
	m.storage.failOn(func(op, key string) error {
		if strings.HasPrefix(key, account.StoragePrefix) {
			return errStorage
		}
		return nil
	})
	resp, info = list()
	if keys := resp.Data["keys"].([]string); strings.Join(keys, " ") != "alice bob carol" || len(resp.Warnings) != 0 {
		t.Errorf("the list is %v, %q", keys, resp.Warnings)
	}
	for name, want := range map[string][2]string{
		"alice": {account.StateActive, "alice@contoso.example"}, "bob": {account.StateDisabled, "bob@contoso.example"}, "carol": {account.StateLoginRequired, ""},
	} {
		got, _ := info[name].(map[string]any)
		if got["state"] != want[0] || got["username"] != want[1] || (got["expire_time"] == "") != (name == "carol") {
			t.Errorf("%s is %v", name, got)
		}
	}
	m.storage.failOn(nil)
	m.mustDo(logical.DeleteOperation, "account/alice", nil)
	if resp, info = list(); len(resp.Data["keys"].([]string)) != 2 || info["alice"] != nil {
		t.Errorf("after a delete the list is %v", resp.Data)
	}
}

// TestReadBeforeThePromotion: a token that somebody read while this node was a standby, or in its
// last term, is in use for the node that has become active.
func TestReadBeforeThePromotion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testReadBeforeThePromotion)
}

func testReadBeforeThePromotion(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	for _, term := range []string{"first", "second"} {
		m.mustRead("token/alice")
		m.system.setState(consts.ReplicationPerformanceStandby)
		m.periodic()
		m.mustRead("token/alice") // the standby serves it
		m.system.setState(consts.ReplicationPerformanceDisabled)
		m.periodic()
		token := m.entry("alice").Tokens[""]
		until := token.ServedUntil(10*time.Minute, 0).Add(-time.Second)
		for time.Now().Before(until) {
			m.mustRead("token/alice")
			time.Sleep(min(time.Minute, time.Until(until)))
		}
		if m.entry("alice").Tokens[""].AccessToken == token.AccessToken {
			t.Errorf("in its %s term it is not refreshed ahead of its expiry", term)
		}
	}
}
