// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entratest"
)

// readState is a state that a read of a token can meet.
type readState struct {
	make    func(m *mount) // from a mount with a config and the roles mail and arm
	of      string         // what is read, alice where it is left out
	word    string         // that check says
	unready bool           // and says so
	says    string         // in its message
	refused bool           // Entra is asked, and refuses
}

// failedRefreshes are the faults of refreshes that a read tells apart.
var failedRefreshes = map[string]struct {
	fault entratest.Fault
	word  string
}{
	"user":                  {entratest.Fault{AADSTS: 50173}, "login_required"},
	"user, one resource":    {entratest.Fault{AADSTS: 65001}, "login_required"},
	"blocked":               {entratest.Fault{AADSTS: 53003}, "access_denied"},
	"client":                {entratest.Fault{AADSTS: 7000222}, "client_rejected"},
	"request":               {entratest.Fault{AADSTS: 70011}, "invalid_request"},
	"throttled":             {entratest.Fault{Status: 429, Body: "slow", RetryAfter: "60"}, "entra_unavailable"},
	"down":                  {entratest.Fault{Status: 503}, "entra_unavailable"},
	"slow":                  {entratest.Fault{Hang: true}, "entra_unavailable"},
	"an answer for another": {entratest.Fault{IDToken: &entratest.IDTokenFault{Kind: entratest.IDOtherUser}}, "login_required"},
}

func readStates() map[string]readState {
	signedIn := func(then func(*mount)) func(*mount) {
		return func(m *mount) {
			m.login("alice", "alice")
			then(m)
		}
	}
	states := map[string]readState{
		"no config": {
			make:    func(m *mount) { m.mustDo(logical.DeleteOperation, "config", nil) },
			unready: true, word: "not_configured", says: "no config",
		},
		"unknown": {
			make:    func(*mount) {},
			unready: true, word: "unknown_account", says: `no account "alice"`,
		},
		"deleted": {
			make:    signedIn(func(m *mount) { m.mustDo(logical.DeleteOperation, "account/alice", nil) }),
			unready: true, word: "unknown_account",
		},
		"pending": {
			make:    func(m *mount) { m.mustWrite("login/alice", nil) },
			unready: true, word: "login_required", says: "never signed in",
		},
		"pinned": {
			make:    func(m *mount) { m.mustWrite("account/alice", map[string]any{"username": "a@b.example"}) },
			unready: true, word: "login_required", says: "never signed in",
		},
		"fresh":   {make: signedIn(func(*mount) {}), says: "is fresh"},
		"due":     {make: signedIn(func(m *mount) { m.age("alice", time.Minute) }), says: "asks Entra"},
		"expired": {make: signedIn(func(m *mount) { m.expire("alice") }), says: "asks Entra"},
		"about to expire": {
			make: signedIn(func(m *mount) { m.age("alice", 2*time.Second) }), says: "asks Entra",
		},
		"from the future": {
			make: signedIn(func(m *mount) { m.age("alice", 10*time.Hour) }), says: "asks Entra",
		},
		"from the future, refused": {
			make: signedIn(func(m *mount) {
				m.refreshFault(entratest.Fault{Status: 503})
				m.age("alice", 10*time.Hour)
				m.mustFail("token/alice")
			}),
			unready: true, word: "entra_unavailable",
		},
		"other scopes": {
			make: signedIn(func(m *mount) { m.mustWrite("config", map[string]any{"scopes": "Mail.Read"}) }),
			says: "asks Entra",
		},
		"short-lived": {
			make: signedIn(func(m *mount) {
				m.refreshFault(entratest.Fault{Set: map[string]any{"expires_in": 2}})
				m.expire("alice")
				m.mustFail("token/alice")
			}),
			unready: true, word: "entra_unavailable", says: "to live",
		},
		"a sign-in under way": {make: signedIn(func(m *mount) { m.mustWrite("login/alice", nil) }), says: "is fresh"},
		"disabled": {
			make:    signedIn(func(m *mount) { m.mustWrite("account/alice", map[string]any{"disabled": true}) }),
			unready: true, word: "account_disabled", says: "is disabled",
		},
		"disabled, expired": {
			make: signedIn(func(m *mount) {
				m.expire("alice")
				m.mustWrite("account/alice", map[string]any{"disabled": true})
			}),
			unready: true, word: "account_disabled",
		},
		"unknown role": {
			make: signedIn(func(*mount) {}), of: "alice/nothing",
			unready: true, word: "invalid_request", says: `no role "nothing"`,
		},
		"role of an unknown account": {
			make: func(*mount) {}, of: "alice/nothing", unready: true, word: "unknown_account",
		},
		"role without a token": {
			make: func(m *mount) { m.loginWith("alice", "alice", map[string]any{"roles": "mail"}) },
			of:   "alice/mail", says: `role "mail": a read asks Entra`,
		},
		"role without consent": {
			make: signedIn(func(*mount) {}), of: "alice/mail", says: "asks Entra", refused: true,
		},
		"role refused": {
			make: signedIn(func(m *mount) { m.mustFail("token/alice/mail") }), of: "alice/mail",
			unready: true, word: "login_required", says: "AADSTS65001",
		},
		"beside a refused role": {
			make: signedIn(func(m *mount) {
				m.mustFail("token/alice/mail")
				m.expire("alice")
			}),
			says: "asks Entra",
		},
		"role corrected": {
			make: signedIn(func(m *mount) {
				m.mustFail("token/alice/mail")
				m.mustWrite("roles/mail", map[string]any{"scopes": "User.Read"})
			}),
			of: "alice/mail", says: "asks Entra",
		},
		"a role too many": {
			make: signedIn(func(m *mount) { m.fillRoles("alice") }), of: "alice/mail",
			unready: true, word: "invalid_request", says: "which is the limit",
		},
		"room for a role again": {
			make: signedIn(func(m *mount) {
				m.fillRoles("alice")
				m.mustWrite("roles/mail", map[string]any{"scopes": "User.Read"})
				m.mustDo(logical.DeleteOperation, "roles/role7", nil)
			}),
			of: "alice/mail", says: "asks Entra",
		},
		"another client": {
			make: signedIn(func(m *mount) {
				m.mustWrite("config", map[string]any{"client_id": "00000000-0000-4000-8000-000000000000"})
				m.expire("alice")
			}),
			unready: true, word: "login_required", says: "the config now names",
		},
		"another client, fresh": {
			make: signedIn(func(m *mount) {
				m.mustWrite("config", map[string]any{"client_id": "00000000-0000-4000-8000-000000000000"})
			}),
			says: "the config now names",
		},
		"no credential": {
			make: signedIn(func(m *mount) {
				m.mustWrite("config", map[string]any{"client_secret": ""})
				m.age("alice", time.Minute)
			}),
			says: "served until it expires",
		},
		"too old a sign-in": {
			make: signedIn(func(m *mount) {
				m.mustWrite("config", map[string]any{"login_max_age": "24h"})
				time.Sleep(25 * time.Hour)
			}),
			unready: true, word: "login_required", says: "login_max_age",
		},
		"backoff over": {
			make: signedIn(func(m *mount) {
				m.refreshFault(entratest.Fault{Status: 503})
				m.expire("alice")
				m.mustFail("token/alice")
				time.Sleep(time.Minute)
			}),
			says: "asks Entra", refused: true,
		},
		"block over": {
			make: signedIn(func(m *mount) {
				id := m.refreshFault(entratest.Fault{AADSTS: 53003})
				m.expire("alice")
				m.mustFail("token/alice")
				m.sim.Faults.Remove(id)
				time.Sleep(time.Hour)
			}),
			says: "asks Entra",
		},
		"the client is refused to another": {
			make: signedIn(func(m *mount) {
				m.login("bob", "bob")
				m.refreshFault(entratest.Fault{AADSTS: 7000222})
				m.expire("bob")
				m.mustFail("token/bob")
				m.expire("alice")
			}),
			unready: true, word: "client_rejected",
		},
		"another is throttled for longer than a read waits": {
			make: signedIn(func(m *mount) {
				m.login("bob", "bob")
				m.refreshFault(entratest.Fault{Status: 429, RetryAfter: "3600"})
				m.expire("bob")
				m.mustFail("token/bob")
				m.expire("alice")
			}),
			unready: true, word: "entra_unavailable", says: "throttles this mount",
		},
		"the client's wait is over": {
			make: signedIn(func(m *mount) {
				id := m.refreshFault(entratest.Fault{AADSTS: 7000222})
				m.expire("alice")
				m.mustFail("token/alice")
				m.sim.Faults.Remove(id)
				time.Sleep(time.Minute)
				for range 3 { // nobody's turn is taken
					m.mustRead("check/alice")
				}
			}),
			says: "asks Entra",
		},
		"the client is refused at a login": {
			make: signedIn(func(m *mount) {
				m.sim.Faults.Add(entratest.Fault{Match: entratest.Match{Endpoint: entratest.Token, GrantType: "authorization_code"}, AADSTS: 7000215})
				if resp, err := m.complete("bob", m.signIn("bob", "bob", nil)); err == nil && !resp.IsError() {
					m.t.Fatal("bob is signed in")
				}
				m.expire("alice")
			}),
			says: "asks Entra",
		},
		"claims refused": {
			make: signedIn(func(m *mount) {
				id := m.refreshFault(entratest.Fault{AADSTS: 50173})
				if resp, err := m.write("refresh/alice", map[string]any{"claims": `{"access_token":{"x":null}}`}); err == nil && !resp.IsError() {
					m.t.Fatal("the challenge was answered")
				}
				m.sim.Faults.Remove(id)
				m.expire("alice")
			}),
			says: "asks Entra",
		},
		"signed in again": {
			make: signedIn(func(m *mount) {
				id := m.refreshFault(entratest.Fault{AADSTS: 50173})
				m.expire("alice")
				m.mustFail("token/alice")
				m.sim.Faults.Remove(id)
				m.login("alice", "alice")
			}),
			says: "is fresh",
		},
		"unreadable": {
			make: signedIn(func(m *mount) {
				err := m.storage.Put(context.Background(), &logical.StorageEntry{
					Key: account.StoragePrefix + "alice", Value: []byte(`{"generation":5}`),
				})
				if err != nil {
					m.t.Fatal(err)
				}
				m.restart()
			}),
			unready: true, says: "cannot be decoded",
		},
		"storage is down": {
			make: signedIn(func(m *mount) {
				m.restart()
				m.storage.failOn(func(op, key string) error { return errStorage })
			}),
			unready: true, says: "storage is down",
		},
		"stopping": {
			make: signedIn(func(m *mount) {
				m.expire("alice")
				m.b.Cleanup(context.Background())
			}),
			unready: true, says: "is stopping",
		},
		"stopping, fresh": {
			make: signedIn(func(m *mount) { m.b.Cleanup(context.Background()) }), says: "is stopping",
		},
	}
	for name, failed := range failedRefreshes {
		fail := func(m *mount) {
			m.refreshFault(failed.fault)
			m.age("alice", time.Minute)
			if resp, err := m.read("token/alice"); err != nil || len(resp.Warnings) == 0 {
				m.t.Fatalf("a refresh did not fail: %s", describe(resp, err))
			}
		}
		states["fresh, failed: "+name] = readState{
			make: signedIn(func(m *mount) {
				fail(m)
				m.age("alice", 50*time.Minute)
			}),
			says: failed.word + ": ",
		}
		states["due, failed: "+name] = readState{make: signedIn(fail), says: failed.word + ": "}
		states["expired, failed: "+name] = readState{
			make: signedIn(func(m *mount) {
				fail(m)
				m.expire("alice")
			}),
			unready: true, word: failed.word,
		}
	}
	return states
}

// mustFail reads what a read must not be served.
func (m *mount) mustFail(path string) {
	m.t.Helper()
	if resp, err := m.read(path); err == nil && !resp.IsError() {
		m.t.Fatalf("%s was served", path)
	}
}

// fillRoles gives the account tokens for as many roles as it may have.
func (m *mount) fillRoles(name string) {
	m.t.Helper()
	for i := range account.MaxRoles {
		role := fmt.Sprintf("role%d", i)
		m.mustWrite("roles/"+role, map[string]any{"scopes": "User.Read"})
		m.mustRead("token/" + name + "/" + role)
	}
}

// TestCheckAgreesWithReads: in every state check says what the read that follows meets,
// asks Entra nothing, writes nothing and shows no token.
func TestCheckAgreesWithReads(t *testing.T) {
	t.Parallel()
	for name, state := range readStates() {
		inBubble(t, name, func(t *testing.T) {
			m := newConfiguredMount(t, entratest.Options{}, map[string]any{"background_refresh": false, "request_timeout": "1s"})
			m.mustWrite("roles/mail", map[string]any{"scopes": "Mail.Read"})
			state.make(m)
			of := state.of
			if of == "" {
				of = "alice"
			}
			checked := m.checkQuietly(of)
			if checked["ready"] == state.unready || checked["word"] != state.word || !strings.Contains(checked["message"].(string), state.says) {
				t.Fatalf("check says %v", checked)
			}
			m.wantAgreement(checked, of, state.refused)
		})
	}
}

// checkQuietly is what check says, which changes nothing.
func (m *mount) checkQuietly(of string) map[string]any {
	m.t.Helper()
	asked, stored := len(m.sim.Requests()), m.stored()
	resp, err := m.read("check/" + of)
	if err != nil || resp.IsError() || len(resp.Warnings) > 0 {
		m.t.Fatalf("check is answered %s", describe(resp, err))
	}
	if n := len(m.sim.Requests()) - asked; n != 0 {
		m.t.Errorf("check asked Entra %d times", n)
	}
	if !maps.Equal(m.stored(), stored) {
		m.t.Error("check wrote to storage")
	}
	for key, value := range stored {
		for _, part := range strings.Split(value, `"`) {
			secret := len(part) > 40 && !strings.Contains(part, " ")
			if secret && strings.Contains(fmt.Sprint(resp.Data), part) {
				m.t.Errorf("check shows %s, which %s holds", part, key)
			}
		}
	}
	return resp.Data
}

// stored is what storage holds, whatever fails.
func (m *mount) stored() map[string]string {
	m.t.Helper()
	all := map[string]string{}
	for _, key := range m.storage.keys(m.t) {
		entry, err := m.storage.Storage.Get(context.Background(), key)
		if err != nil {
			m.t.Fatal(err)
		}
		all[key] = string(entry.Value)
	}
	return all
}

// wantAgreement reads the token and holds what check said before to the answer. refused:
// Entra, which check does not ask, refuses.
func (m *mount) wantAgreement(checked map[string]any, of string, refused bool) {
	m.t.Helper()
	before := len(m.sim.Requests())
	resp, err := m.read("token/" + of)
	status, message := statusOf(resp, err)
	asked := len(m.sim.Requests()) > before
	if !checked["ready"].(bool) {
		want := checked["message"].(string)
		if word := checked["word"].(string); word != "" && word != "unknown_account" {
			want = word + ": " + want
		}
		if command := checked["command"].(string); command != "" {
			want += ". Run: " + command
		}
		if status == 200 || asked || message != want {
			m.t.Errorf("a read is answered %d %q, Entra asked: %v; check says %q", status, message, asked, want)
		}
		return
	}
	if (status == 200) == refused || refused && !asked {
		m.t.Fatalf("a read is answered %d %q, and check says %v", status, message, checked)
	}
	if refused {
		return
	}
	for _, warning := range resp.Warnings {
		_, why, _ := strings.Cut(warning, ": ")
		why, command, _ := strings.Cut(why, ". Run: ")
		if !strings.HasSuffix(checked["message"].(string), why) || checked["command"] != command {
			m.t.Errorf("a read warns %q, and check says %v", warning, checked)
		}
	}
	if asked {
		return
	}
	expiry, err := time.Parse(time.RFC3339, resp.Data["expire_time"].(string))
	left := int64(time.Until(expiry) / time.Second)
	if good := checked["good_for"].(int64); err != nil || checked["expire_time"] != resp.Data["expire_time"] || good < left || good > left+1 {
		m.t.Errorf("a read's token expires at %v, and check says %v", resp.Data["expire_time"], checked)
	}
}

// TestCheckResponse: exactly the fields of the contract, for each kind of answer.
func TestCheckResponse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testCheckResponse)
}

func testCheckResponse(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{Lifetimes: entratest.Lifetimes{AccessToken: time.Hour}}, map[string]any{"background_refresh": false})
	m.login("alice", "alice")
	expiry := m.entry("alice").Tokens[""].Expiry
	want := func(of string, fields map[string]any) {
		t.Helper()
		if got := m.mustRead("check/" + of); !maps.Equal(got, fields) {
			t.Errorf("check/%s is\n%v, want\n%v", of, got, fields)
		}
	}
	time.Sleep(10*time.Minute + time.Second/2)
	want("alice", map[string]any{
		"ready": true, "word": "", "message": `account "alice": the held token is fresh`, "command": "",
		"expire_time": expiry.UTC().Format(time.RFC3339), "good_for": int64(50*60 - 1),
	})
	want("nobody", map[string]any{
		"ready": false, "word": "unknown_account", "message": `no account "nobody" in this mount`,
		"command": "vault write -f entra/login/nobody", "expire_time": "", "good_for": int64(0),
	})
	m.expire("alice")
	want("alice", map[string]any{
		"ready": true, "word": "", "message": `account "alice": a read asks Entra for a new token`, "command": "",
		"expire_time": time.Now().Add(-time.Second).UTC().Format(time.RFC3339), "good_for": int64(0),
	})
	m.mustWrite("account/alice", map[string]any{"disabled": true})
	want("alice", map[string]any{
		"ready": false, "word": "account_disabled", "message": `account "alice" is disabled`,
		"command": "vault write entra/account/alice disabled=false", "expire_time": "", "good_for": int64(0),
	})
	resp, err := m.read("check/a..b")
	wantProblem(t, resp, err, 400, "invalid_request: account: ")
	resp, err = m.read("check/alice/a..b")
	wantProblem(t, resp, err, 400, "invalid_request: role: ")
}

// TestCheckIsNoRead: it does not count as use of the token, and costs no storage where the
// account is in memory.
func TestCheckIsNoRead(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"background_refresh": false})
	m.login("alice", "alice")
	m.mustRead("check/alice") // the account is in memory
	m.storage.count("")
	for range 10 {
		m.mustRead("check/alice")
	}
	if n := m.storage.count(account.StoragePrefix); n > 2 { // the index may still be built
		t.Errorf("ten checks made %d storage calls", n)
	}
	e, err := m.b.accounts.Get(context.Background(), "alice")
	if err != nil || !e.Tokens[""].FirstRead(1) {
		t.Errorf("a check counts as a read (%v)", err)
	}
}

// TestCheckOnAStandby: what a standby serves it can tell, without a write; of a token that
// is due the active node knows more.
func TestCheckOnAStandby(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]consts.ReplicationState{
		"performance standby":   consts.ReplicationPerformanceStandby,
		"performance secondary": consts.ReplicationPerformanceSecondary,
	} {
		t.Run(name, func(t *testing.T) {
			m := newConfiguredMount(t, entratest.Options{})
			m.login("alice", "alice")
			m.login("bob", "bob")
			m.mustWrite("account/bob", map[string]any{"disabled": true})
			m.system.setState(state)
			m.storage.failOn(func(op, key string) error {
				if slices.Contains([]string{"put", "delete"}, op) {
					return logical.ErrReadOnly
				}
				return nil
			})
			for of, word := range map[string]string{
				"alice": "", "bob": "account_disabled", "nobody": "unknown_account", "alice/nothing": "invalid_request",
			} {
				checked := m.checkQuietly(of)
				if checked["word"] != word || checked["ready"] != (word == "") {
					t.Errorf("check/%s says %v", of, checked)
				}
				m.wantAgreement(checked, of, false)
			}
			m.storage.failOn(nil)
			m.age("alice", time.Minute)
			resp, err := m.read("check/alice")
			if resp != nil || err != logical.ErrReadOnly { // core compares, it does not unwrap
				t.Errorf("answered %v, %v", resp, err)
			}
		})
	}
}
