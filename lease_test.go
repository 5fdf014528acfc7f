// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entratest"
)

// leased is a mount whose role mail has lease=true, and arm has not; alice has both.
func leased(t *testing.T) *mount {
	t.Helper()
	m := newConfiguredMount(t, entratest.Options{Lifetimes: entratest.Lifetimes{AccessToken: time.Hour}}, map[string]any{"background_refresh": false})
	m.mustWrite("roles/mail", map[string]any{"scopes": "Mail.Read", "lease": true})
	m.mustWrite("roles/arm", map[string]any{"scopes": "https://management.azure.com//user_impersonation"})
	m.loginWith("alice", "alice", map[string]any{"roles": "mail,arm"})
	return m
}

// mustLease reads a token, and is its lease, nil for none.
func (m *mount) mustLease(path string) (map[string]any, *logical.Secret) {
	m.t.Helper()
	resp, err := m.read(path)
	if err != nil || resp.IsError() {
		m.t.Fatalf("%s: %s", path, describe(resp, err))
	}
	return resp.Data, resp.Secret
}

// TestRoleLease: off unless written, kept by a write that does not name it.
func TestRoleLease(t *testing.T) {
	t.Parallel()
	m := withRoles(t, entratest.Options{})
	want := func(lease bool, scopes ...string) {
		t.Helper()
		role := m.mustRead("roles/mail")
		if role["lease"] != lease || !slices.Equal(role["scopes"].([]string), scopes) {
			t.Errorf("the role is %v, want lease=%v scopes=%v", role, lease, scopes)
		}
	}
	want(false, "Mail.Read")
	m.mustWrite("roles/mail", map[string]any{"lease": true})
	want(true, "Mail.Read")
	m.mustWrite("roles/mail", map[string]any{"scopes": "Mail.Send"})
	want(true, "Mail.Send")
	m.mustWrite("roles/mail", map[string]any{"lease": false})
	want(false, "Mail.Send")
	resp, err := m.write("roles/new", map[string]any{"lease": true})
	wantProblem(t, resp, err, 400, "invalid_request: scopes: ")
}

// TestRoleOfAnOlderVersion has no lease.
func TestRoleOfAnOlderVersion(t *testing.T) {
	t.Parallel()
	m := leased(t)
	err := m.storage.Put(context.Background(), &logical.StorageEntry{Key: "role/arm", Value: []byte(
		`{"version":1,"scopes":["https://management.azure.com//user_impersonation"]}`)})
	if err != nil {
		t.Fatal(err)
	}
	m.restart()
	if role := m.mustRead("roles/arm"); role["lease"] != false {
		t.Errorf("the role is %v", role)
	}
	if _, lease := m.mustLease("token/alice/arm"); lease != nil {
		t.Errorf("a lease: %+v", lease)
	}
}

// TestLease: it lasts as long as the token and cannot be renewed, and the data are those of
// any read. Nothing else carries one.
func TestLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testLease)
}

func testLease(t *testing.T) {
	m := leased(t)
	for _, path := range []string{"token/alice", "token/alice/arm"} {
		if _, lease := m.mustLease(path); lease != nil {
			t.Errorf("%s has a lease: %+v", path, lease)
		}
	}
	first, _ := m.mustLease("token/alice/mail")
	time.Sleep(20*time.Minute + time.Second/2)
	want := func(data map[string]any, lease *logical.Secret, ttl time.Duration) {
		t.Helper()
		if lease == nil || lease.TTL != ttl || lease.Renewable || lease.MaxTTL != 0 || lease.InternalData["secret_type"] != leaseType {
			t.Errorf("the lease is %+v, want a ttl of %s", lease, ttl)
		}
		if len(data) != 11 || data["expire_time"] != first["expire_time"] {
			t.Errorf("the data are %v", data)
		}
	}
	data, lease := m.mustLease("token/alice/mail")
	want(data, lease, 40*time.Minute-time.Second)
	resp, err := m.write("token/alice/mail", nil)
	if err != nil {
		t.Fatal(err)
	}
	want(resp.Data, resp.Secret, 40*time.Minute-time.Second)

	// A token that cannot be refreshed has a lease up to its end, too.
	m.refreshFault(entratest.Fault{Status: 503})
	time.Sleep(35 * time.Minute)
	data, lease = m.mustLease("token/alice/mail")
	want(data, lease, 5*time.Minute-time.Second)
	m.sim.Faults.Clear()
	time.Sleep(time.Minute) // the backoff
	resp, err = m.write("refresh/alice/mail", nil)
	if err != nil || resp.IsError() || resp.Secret != nil {
		t.Errorf("a refresh is answered %s, %+v", describe(resp, err), resp)
	}
	_, lease = m.mustLease("token/alice/mail")
	if lease == nil || lease.TTL != time.Hour {
		t.Errorf("after a refresh the lease is %+v", lease)
	}
	m.mustWrite("roles/mail", map[string]any{"lease": false})
	if _, lease := m.mustLease("token/alice/mail"); lease != nil {
		t.Errorf("lease=false, and there is one: %+v", lease)
	}
}

// TestLeaseEnds: the revocation of a lease, which the end of the reader's Vault token brings
// about, changes nothing; and it cannot be renewed.
func TestLeaseEnds(t *testing.T) {
	t.Parallel()
	m := leased(t)
	data, lease := m.mustLease("token/alice/mail")
	requests, stored := len(m.sim.Requests()), m.stored()
	end := func(op logical.Operation) (*logical.Response, error) {
		return m.b.HandleRequest(context.Background(), &logical.Request{
			Operation: op, Path: "token/alice/mail", MountPoint: "entra/", Storage: m.storage, Secret: lease, Data: data,
		})
	}
	if resp, err := end(logical.RenewOperation); !errors.Is(err, logical.ErrUnsupportedOperation) {
		t.Errorf("a renewal is answered %v, %v", resp, err)
	}
	for range 2 {
		if resp, err := end(logical.RevokeOperation); resp != nil || err != nil {
			t.Errorf("a revocation is answered %v, %v", resp, err)
		}
	}
	if len(m.sim.Requests()) != requests || !maps.Equal(m.stored(), stored) {
		t.Error("a revocation asked Entra, or wrote")
	}
	if again, _ := m.mustLease("token/alice/mail"); again["access_token"] != data["access_token"] {
		t.Error("after a revocation there is another token")
	}
	m.mustDo(logical.DeleteOperation, "account/alice", nil)
	m.mustDo(logical.DeleteOperation, "roles/mail", nil)
	// Else the mount could not be disabled.
	if resp, err := end(logical.RevokeOperation); resp != nil || err != nil {
		t.Errorf("without account and role a revocation is answered %v, %v", resp, err)
	}
	if state := m.stored()[account.StoragePrefix+"alice"]; state != "" {
		t.Errorf("a revocation brought the account back: %s", state)
	}
}

// TestLeaseOnAStandby: a performance standby has fresh tokens, but registers no leases.
func TestLeaseOnAStandby(t *testing.T) {
	t.Parallel()
	m := leased(t)
	m.mustRead("token/alice/mail")
	m.mustRead("token/alice/arm")
	m.system.setState(consts.ReplicationPerformanceStandby)
	resp, err := m.read("token/alice/mail")
	if resp != nil || err != logical.ErrReadOnly { // core compares, it does not unwrap
		t.Errorf("answered %v, %v", resp, err)
	}
	m.mustRead("token/alice/arm")
	m.mustRead("check/alice/mail") // no lease, no write
	m.system.setState(consts.ReplicationPerformanceSecondary)
	if _, lease := m.mustLease("token/alice/mail"); lease == nil { // it has leases of its own
		t.Error("no lease on a secondary")
	}
}
