// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

var ci = vaultclient.Target{Mount: "entra", Account: "ci"}

// reader answers reads: with the n-th token, or with an error.
type reader struct {
	reads atomic.Int32
	fails error
	ttl   time.Duration
	life  time.Duration
	wait  time.Duration // before it answers
}

func (r *reader) read(ctx context.Context, t vaultclient.Target) (*vaultclient.Token, error) {
	n := r.reads.Add(1)
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(r.wait):
	}
	if r.fails != nil {
		return nil, r.fails
	}
	now := time.Now()
	return &vaultclient.Token{
		Target: t, AccessToken: fmt.Sprintf("%s-%d", t.Path(), n), Obtained: now,
		Expiry: now.Add(r.life), TTL: r.ttl,
	}, nil
}

// expect reads the cache and compares the token.
func expect(t *testing.T, c *Cache, target vaultclient.Target, want string) {
	t.Helper()
	token, err := c.Token(t.Context(), target)
	if err != nil || token.AccessToken != want {
		t.Errorf("%v, %v; want %s", token, err, want)
	}
}

// TestCache checks that a token is read again when its ttl is over, and others are others.
func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{ttl: 50 * time.Minute, life: time.Hour}
		c := NewCache(r.read)
		arm := vaultclient.Target{Mount: "entra", Account: "ci", Role: "arm"}
		expect(t, c, ci, "entra/token/ci-1")
		expect(t, c, arm, "entra/token/ci/arm-2")
		time.Sleep(50*time.Minute - time.Second)
		expect(t, c, ci, "entra/token/ci-1")
		time.Sleep(2 * time.Second)
		expect(t, c, ci, "entra/token/ci-3")
		expect(t, c, ci, "entra/token/ci-3")
	})
}

// TestShortLife checks that no token is served at the end of its life, whatever its ttl says.
func TestShortLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{ttl: time.Hour, life: 10 * time.Second}
		c := NewCache(r.read)
		expect(t, c, ci, "entra/token/ci-1")
		time.Sleep(7 * time.Second)
		expect(t, c, ci, "entra/token/ci-2")
	})
}

// TestHerd checks that a thousand callers at once are one read of Vault, before and after a ttl.
func TestHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{ttl: time.Minute, life: time.Hour, wait: time.Second}
		c := NewCache(r.read)
		for round := range 2 {
			var callers sync.WaitGroup
			for range 1000 {
				callers.Go(func() { expect(t, c, ci, fmt.Sprintf("entra/token/ci-%d", round+1)) })
			}
			callers.Wait()
			time.Sleep(time.Minute)
		}
		if n := r.reads.Load(); n != 2 {
			t.Errorf("%d reads of Vault", n)
		}
	})
}

// TestCallerLeaves checks that the read goes on for the others when the first caller has left.
func TestCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{ttl: time.Minute, life: time.Hour, wait: time.Second}
		c := NewCache(r.read)
		ctx, leave := context.WithTimeout(t.Context(), time.Millisecond)
		defer leave()
		if _, err := c.Token(ctx, ci); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the first: %v", err)
		}
		expect(t, c, ci, "entra/token/ci-1")
	})
}

// TestTrouble checks that the token before is served while Vault or Entra is in trouble and the
// token lives, that Vault is not asked for every caller meanwhile, and that it recovers.
func TestTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{ttl: 50 * time.Minute, life: time.Hour}
		told := 0
		c := NewCache(r.read)
		c.Failed = func(vaultclient.Target, error) { told++ }
		expect(t, c, ci, "entra/token/ci-1")
		r.fails = vaultclient.Errorf(vaultclient.Sealed, "sealed")
		time.Sleep(51 * time.Minute)
		for range 100 {
			expect(t, c, ci, "entra/token/ci-1")
		}
		if n := r.reads.Load(); n != 2 || told != 1 {
			t.Errorf("%d reads, %d told", n, told)
		}
		time.Sleep(retryAfter)
		expect(t, c, ci, "entra/token/ci-1")
		if n := r.reads.Load(); n != 3 {
			t.Errorf("%d reads after a while", n)
		}
		time.Sleep(9 * time.Minute) // the end of its life
		if token, err := c.Token(t.Context(), ci); !errors.Is(err, r.fails) {
			t.Errorf("an expired token: %v, %v", token, err)
		}
		r.fails = nil
		expect(t, c, ci, "entra/token/ci-5")
	})
}

// TestRefusal checks that a token which Vault refuses is not served from memory: the account may be
// disabled, or the policy taken away.
func TestRefusal(t *testing.T) {
	for _, class := range []vaultclient.Class{
		vaultclient.Disabled, vaultclient.Forbidden, vaultclient.LoginRequired,
		vaultclient.UnknownAccount, vaultclient.NoVaultToken,
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &reader{ttl: time.Minute, life: time.Hour}
			c := NewCache(r.read)
			expect(t, c, ci, "entra/token/ci-1")
			r.fails = vaultclient.Errorf(class, "refused")
			time.Sleep(time.Minute)
			if token, err := c.Token(t.Context(), ci); !errors.Is(err, r.fails) {
				t.Errorf("class %d: %v, %v", class, token, err)
			}
		})
	}
}
