// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"context"
	"strings"
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
	entries, work := store.New(&logical.InmemStorage{}), lifecycle.NewWork()
	conf := config.NewStore(entries, nil)
	accounts := account.NewStore(entries, conf.Roles, work, logger)
	w := NewWorker(New(conf, accounts, nil, work, logger))
	for _, name := range []string{"alice", "bob", "busy"} {
		_, err := accounts.Update(context.Background(), name, func(*account.Entry) (*account.Entry, error) {
			return account.NewEntry(time.Now()), nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.active.Store(true)
	accounts.Index.Keep()
	if _, err := w.buildOnce(context.Background()); err != nil {
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
