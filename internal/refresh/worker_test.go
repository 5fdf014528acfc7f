// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/config"
	"vault-plugin-secrets-entra/internal/lifecycle"
	"vault-plugin-secrets-entra/internal/store"
)

// TestAudit: an account that the schedule has lost is put back, and told of.
func TestAudit(t *testing.T) {
	var log strings.Builder
	logger := hclog.New(&hclog.LoggerOptions{Output: &log})
	w, accounts := newTestWorker(t, logger)
	accounts.OnChange = func(string, *account.Entry, *account.Entry) {}
	for _, name := range []string{"alice", "bob", "busy"} {
		w.putAccount(t, name, false)
	}
	w.active.Store(1)
	accounts.Index.Keep()
	if _, err := w.buildOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.audit()
	if log.Len() > 0 {
		t.Fatalf("nobody is lost, and it says %s", log.String())
	}
	w.schedule.drop("alice")
	w.schedule.drop("busy")
	w.busy["busy"] = &job{}
	w.schedule.set("bob", time.Time{}, idle) // parked is not lost
	w.audit()
	if !w.schedule.has("alice") || w.schedule.has("busy") || !w.schedule.byKey["bob"].due.IsZero() {
		t.Errorf("the schedule became %v", w.schedule.byKey)
	}
	if said := log.String(); strings.Count(said, "lost from the schedule") != 1 || !strings.Contains(said, "alice") {
		t.Errorf("it says %s", said)
	}
}

// newTestWorker is a worker with its accounts, at a mount that is configured.
func newTestWorker(t *testing.T, logger hclog.Logger) (*Worker, *account.Store) {
	t.Helper()
	entries, work := store.New(&logical.InmemStorage{}), lifecycle.NewWork()
	conf := config.NewStore(entries, work, nil)
	accounts := account.NewStore(entries, conf.Roles, work, logger)
	w := NewWorker(New(conf, accounts, nil, work, logger))
	accounts.OnChange = w.AccountChanged
	err := conf.Write(t.Context(), false, func(c *config.Entry) error {
		c.TenantID, c.ClientID = "22222222-2222-3333-4444-555555555555", "client"
		c.RedirectURIs = []string{"https://vault.example/callback"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return w, accounts
}

// putAccount stores an account that somebody has signed in to, or nobody.
func (w *Worker) putAccount(t *testing.T, name string, signedIn bool) {
	t.Helper()
	reg, err := w.config.Registration(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.accounts.Update(t.Context(), name, func(e *account.Entry) (*account.Entry, error) {
		now := time.Now()
		if e == nil {
			e = account.NewEntry(now)
		}
		if signedIn {
			e.RefreshToken, e.RefreshTokenTime, e.LastReadTime = "refresh", now, now
			e.ClientID, e.Authority = reg.ClientID, reg.Authority()
		}
		return e, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSignInDuringTheBuild: what a build of the index has read does not park an account that
// somebody signs in to meanwhile.
func TestSignInDuringTheBuild(t *testing.T) {
	for round := range 100 {
		w, _ := newTestWorker(t, hclog.NewNullLogger())
		w.SetActive(true)
		names := make([]string, 64)
		for i := range names {
			names[i] = fmt.Sprint("account-", i)
			w.putAccount(t, names[i], false)
		}
		var build sync.WaitGroup
		build.Go(func() {
			if _, err := w.buildOnce(t.Context()); err != nil {
				t.Error(err)
			}
		})
		for _, name := range names {
			w.putAccount(t, name, true)
		}
		build.Wait()
		for _, name := range names {
			if w.schedule.byKey[name].due.IsZero() {
				t.Fatalf("round %d: somebody signed in to %s, and it is parked", round, name)
			}
		}
	}
}

// TestSetActiveOneAtATime: a node that loses the right to write and gets it back at once goes on
// with an index that is kept.
func TestSetActiveOneAtATime(t *testing.T) {
	w, accounts := newTestWorker(t, hclog.NewNullLogger())
	w.SetActive(true)
	w.mu.Lock() // somebody looks at the schedule
	var both sync.WaitGroup
	both.Go(func() { w.SetActive(false) })
	for w.isActive() {
		time.Sleep(time.Millisecond)
	}
	both.Go(func() { w.SetActive(true) })
	time.Sleep(20 * time.Millisecond)
	w.mu.Unlock()
	both.Wait()
	if !w.isActive() || !accounts.Index.Kept() {
		t.Errorf("active is %t, and the index is kept is %t", w.isActive(), accounts.Index.Kept())
	}
}

// TestKeepaliveAfterAClockThatWasAhead: accounts whose refresh tokens were used at times that are
// yet to come are kept alive soon, and not all at once.
func TestKeepaliveAfterAClockThatWasAhead(t *testing.T) {
	w, _ := newTestWorker(t, hclog.NewNullLogger())
	reg, err := w.config.Registration(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	now, atOnce := time.Now(), 0
	for i := range 1000 {
		e := account.NewEntry(now)
		e.RefreshToken, e.RefreshTokenTime, e.LastReadTime = "refresh", now.Add(10*time.Minute), now
		e.ClientID, e.Authority = reg.ClientID, reg.Authority()
		w.mu.Lock()
		next := w.nextDue(fmt.Sprint(i), e, nil, now)
		w.mu.Unlock()
		if next.at.IsZero() || next.at.After(now.Add(maxSpread)) {
			t.Fatalf("it is kept alive at %s", next.at)
		}
		if next.at.Sub(now) < time.Second {
			atOnce++
		}
	}
	if atOnce > 10 {
		t.Errorf("%d of 1000 are due within a second", atOnce)
	}
}
