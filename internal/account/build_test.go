// SPDX-License-Identifier: MPL-2.0

package account

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/config"
	"vault-plugin-secrets-entra/internal/lifecycle"
	"vault-plugin-secrets-entra/internal/store"
)

// slowStorage answers each read after 10 ms, and counts how many it has under way.
type slowStorage struct {
	logical.InmemStorage
	now, most atomic.Int64
}

func (s *slowStorage) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	if now := s.now.Add(1); now > s.most.Load() {
		s.most.Store(now)
	}
	defer s.now.Add(-1)
	time.Sleep(10 * time.Millisecond)
	return s.InmemStorage.Get(ctx, key)
}

// TestBuildMakesRoom: a build of the index reads many accounts at once while nobody asks for
// one, and a few while others do.
func TestBuildMakesRoom(t *testing.T) {
	for _, test := range []struct {
		name  string
		every time.Duration // between two reads of a reader; 0: there is none
		most  int64
	}{
		{"nobody reads", 0, buildReads},
		{"a read now and then", 10 * time.Second, buildReads},
		{"a busy mount", 5 * time.Millisecond, politeReads},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, accounts := t.Context(), 4*buildPart
				storage := &slowStorage{}
				entries := store.New(storage)
				work := lifecycle.NewWork()
				roles := config.NewStore(entries, work, nil).Roles
				s := NewStore(entries, roles, work, hclog.NewNullLogger())
				for i := range accounts {
					if _, err := s.write(ctx, fmt.Sprintf("a%d", i), NewEntry(time.Now()), 0); err != nil {
						t.Fatal(err)
					}
				}
				s.Index.Keep()
				var ended atomic.Bool
				var reader sync.WaitGroup
				if test.every > 0 {
					reader.Go(func() {
						for !ended.Load() {
							s.cache.Get("a1")
							time.Sleep(test.every)
						}
					})
				}
				time.Sleep(time.Second)
				var found atomic.Int64
				n, err := s.BuildIndex(ctx, func(_ string, _ *Entry, note func() bool) {
					if !note() {
						t.Error("nobody has written meanwhile")
					}
					if found.Add(1) == 2*buildPart { // by now it has seen who reads
						storage.most.Store(0)
					}
				})
				ended.Store(true)
				reader.Wait()
				if err != nil || n != accounts || found.Load() != int64(accounts) {
					t.Fatalf("%d accounts, %d found, %v; want %d", n, found.Load(), err, accounts)
				}
				if most := storage.most.Load(); most != test.most {
					t.Errorf("at most %d reads under way, want %d", most, test.most)
				}
			})
		})
	}
}
