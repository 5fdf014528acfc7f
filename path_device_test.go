// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entratest"
)

// deviceMount is a mount of the public app that may use device codes, polled
// every second.
func deviceMount(t *testing.T, opts entratest.Options) *mount {
	t.Helper()
	opts.DeviceInterval = time.Second
	m := newMount(t, opts)
	m.mustWrite("config", m.config(map[string]any{
		"client_id": m.sim.PublicApp.ClientID, "client_secret": "", "allow_device_code": true,
	}))
	return m
}

func (m *mount) awaitLogin(name, status string) map[string]any {
	m.t.Helper()
	var login map[string]any
	eventually(m.t, "the login of "+name+" is "+status, func() bool {
		login = m.mustRead("login/" + name)
		return login["status"] == status
	})
	return login
}

func TestDevice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testDevice)
}

func testDevice(t *testing.T) {
	m := deviceMount(t, entratest.Options{Rotation: entratest.RotateRevokeFamily})
	started := m.mustWrite("device/alice", nil)
	code := started["user_code"].(string)
	if code == "" || !strings.Contains(started["message"].(string), code) || !strings.HasPrefix(started["verification_uri"].(string), "https://") || started["interval"] != int64(1) {
		t.Errorf("started %v", started)
	}
	if status := m.mustRead("login/alice"); status["status"] != account.LoginPending || status["login_id"] != started["login_id"] {
		t.Errorf("the login reads as %v", status)
	}
	m.restart() // the login outlives the plugin
	if err := m.sim.ApproveDevice(context.Background(), code, "alice"); err != nil {
		t.Fatal(err)
	}
	if login := m.awaitLogin("alice", account.LoginSucceeded); login["username"] != "alice@contoso.example" {
		t.Errorf("the login reads as %v", login)
	}
	m.mustRead("token/alice")
	m.mustReadDue("alice")
	if keys := m.storage.keys(t); len(keys) != 2 {
		t.Errorf("stored: %q", keys)
	}
}

// TestDeviceRefused: whatever ends it, an existing credential stays as it is.
func TestDeviceRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		act    func(m *mount, code string) error
		status string
		text   string
	}{
		"declined": {func(m *mount, code string) error { return m.sim.DeclineDevice(context.Background(), code) }, account.LoginFailed, "login_failed: "},
		"another user": {func(m *mount, code string) error {
			return m.sim.ApproveDevice(context.Background(), code, "bob")
		}, account.LoginFailed, "login_failed: bob@contoso.example signed in"},
		"a spoilt ID token": {func(m *mount, code string) error {
			m.sim.Faults.Add(entratest.Fault{Match: entratest.Match{GrantType: "device_code"}, IDToken: &entratest.IDTokenFault{Kind: entratest.IDUnknownKey}})
			return m.sim.ApproveDevice(context.Background(), code, "alice")
		}, account.LoginFailed, "login_failed: "},
		"no refresh token": {func(m *mount, code string) error {
			m.sim.Faults.Add(entratest.Fault{Match: entratest.Match{GrantType: "device_code"}, Omit: []string{"refresh_token"}})
			return m.sim.ApproveDevice(context.Background(), code, "alice")
		}, account.LoginFailed, "login_failed: Entra gave no refresh token"},
	} {
		inBubble(t, name, func(t *testing.T) {
			m := deviceMount(t, entratest.Options{})
			m.login("alice", "alice")
			before := m.entry("alice")
			code := m.mustWrite("device/alice", nil)["user_code"].(string)
			if err := test.act(m, code); err != nil {
				t.Fatal(err)
			}
			if login := m.awaitLogin("alice", test.status); !strings.HasPrefix(login["error"].(string), test.text) {
				t.Errorf("the login reads as %v", login)
			}
			if after := m.entry("alice"); after.RefreshToken != before.RefreshToken || after.Generation != before.Generation || len(after.PendingLogins) != 0 {
				t.Error("the credential was touched")
			}
			m.sim.Faults.Clear()
			m.mustRead("token/alice")
		})
	}
}

// TestDeviceExpires: nobody entered the code.
func TestDeviceExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testDeviceExpires)
}

func testDeviceExpires(t *testing.T) {
	m := deviceMount(t, entratest.Options{Lifetimes: entratest.Lifetimes{DeviceCode: 2 * time.Second}})
	m.mustWrite("device/alice", nil)
	m.awaitLogin("alice", account.LoginExpired)
	time.Sleep(time.Hour)
	if polls := m.sim.Count(entratest.Match{GrantType: "device_code"}); polls > 3 {
		t.Errorf("polled %d times for a code of two seconds", polls)
	}
}

// TestDevicePace: slow_down is honoured, and Entra's trouble is waited out.
func TestDevicePace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testDevicePace)
}

func testDevicePace(t *testing.T) {
	m := deviceMount(t, entratest.Options{})
	m.sim.Faults.Add(entratest.Fault{Match: entratest.Match{GrantType: "device_code"}, Status: 503, Times: 1})
	m.sim.Faults.Add(entratest.Fault{Match: entratest.Match{GrantType: "device_code"}, Error: "slow_down", Times: 1})
	code := m.mustWrite("device/alice", nil)["user_code"].(string)
	polled := func() int { return m.sim.Count(entratest.Match{GrantType: "device_code"}) }
	eventually(t, "slow_down was answered", func() bool { return polled() == 2 })
	if err := m.sim.ApproveDevice(context.Background(), code, "alice"); err != nil {
		t.Fatal(err)
	}
	m.awaitLogin("alice", account.LoginSucceeded)
	var times []time.Time
	for _, request := range m.sim.Requests() {
		if request.GrantType == "device_code" {
			times = append(times, request.Time)
		}
	}
	if len(times) != 3 || times[2].Sub(times[1]) < 6*time.Second {
		t.Errorf("polled at %v", times)
	}
}

func TestDeviceBadInput(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	resp, err := m.write("device/alice", nil)
	wantProblem(t, resp, err, 400, "invalid_request: ", "allow_device_code=true")
	m.mustWrite("config", map[string]any{"allow_device_code": true})
	resp, err = m.write("device/alice", map[string]any{"scopes": "User.Read " + armScope})
	wantProblem(t, resp, err, 400, "invalid_request: scopes: ")
	resp, err = m.write("device/alice", map[string]any{"roles": "nothing"})
	wantProblem(t, resp, err, 400, "invalid_request: roles: ")
	m.sim.Faults.Add(entratest.Fault{Match: entratest.Match{Endpoint: entratest.DeviceCode}, Status: 503})
	resp, err = m.write("device/alice", nil)
	wantProblem(t, resp, err, 502, "entra_unavailable: ")
	if resp, err := m.read("account/alice"); resp != nil || err != nil {
		t.Errorf("an account was begun: %v, %v", resp, err)
	}
	m.mustWrite("account/alice", map[string]any{"username": "alice@contoso.example"})
	m.mustWrite("account/alice", map[string]any{"disabled": true})
	resp, err = m.write("device/alice", nil)
	wantProblem(t, resp, err, 400, "account_disabled: ")
}

// TestDeviceAccountDeleted: a sign-in for an account that is gone brings nothing back.
func TestDeviceAccountDeleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testDeviceAccountDeleted)
}

func testDeviceAccountDeleted(t *testing.T) {
	m := deviceMount(t, entratest.Options{})
	code := m.mustWrite("device/alice", nil)["user_code"].(string)
	m.mustDo(logical.DeleteOperation, "account/alice", nil)
	if err := m.sim.ApproveDevice(context.Background(), code, "alice"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Hour)
	if polls := m.sim.Count(entratest.Match{GrantType: "device_code"}); polls > 1 {
		t.Errorf("polled %d times for an account that is gone", polls)
	}
	if keys := m.storage.keys(t); len(keys) != 1 {
		t.Errorf("stored: %q", keys)
	}
}

// TestDeviceWhoseWriteFails: one failed write does not lose a sign-in whose code is spent.
func TestDeviceWhoseWriteFails(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"put", "stored"} {
		inBubble(t, when, func(t *testing.T) {
			m := deviceMount(t, entratest.Options{})
			code := m.mustWrite("device/alice", nil)["user_code"].(string)
			var once atomic.Bool
			m.storage.failOn(func(op, key string) error {
				if op == when && key == "account/alice" && once.CompareAndSwap(false, true) {
					return errStorage
				}
				return nil
			})
			if err := m.sim.ApproveDevice(context.Background(), code, "alice"); err != nil {
				t.Fatal(err)
			}
			m.awaitLogin("alice", account.LoginSucceeded)
			if !once.Load() {
				t.Error("no write failed")
			}
			time.Sleep(time.Second) // a write that failed and happened is made once more
			if pending := m.entry("alice").PendingLogins; len(pending) != 0 {
				t.Errorf("%v are pending", pending)
			}
			m.wantLogins(0)
		})
	}
}

// TestDeviceOfADisabledAccount: a device code waits for an account that is enabled again.
func TestDeviceOfADisabledAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testDeviceOfADisabledAccount)
}

func testDeviceOfADisabledAccount(t *testing.T) {
	m := deviceMount(t, entratest.Options{})
	code := m.mustWrite("device/alice", nil)["user_code"].(string)
	m.mustWrite("account/alice", map[string]any{"disabled": true})
	if err := m.sim.ApproveDevice(context.Background(), code, "alice"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Second)
	if m.entry("alice").SignedIn() {
		t.Fatal("somebody has signed in to a disabled account")
	}
	m.mustWrite("account/alice", map[string]any{"disabled": false})
	m.awaitLogin("alice", account.LoginSucceeded)
}
