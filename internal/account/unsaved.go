// SPDX-License-Identifier: MPL-2.0

package account

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"vault-plugin-secrets-entra/internal/lifecycle"
)

const (
	saveRetryMin = time.Second
	saveRetryMax = 30 * time.Second

	// saveRetryStopping is how often a write is tried while Clean waits for it.
	saveRetryStopping = 200 * time.Millisecond
)

// unsaved is what Entra gave to accounts and storage would not take: a rotated refresh
// token exists nowhere else. It is laid over what is stored at every read, and written
// as soon as storage works.
//
// Every change has a sequence number. Only who holds the account's lock, and so knows
// what is stored, drops changes: those up to the last one that it has seen.
type unsaved struct {
	mu     sync.Mutex // guards the fields below; not held across storage
	last   uint64     // sequence number
	byName map[string][]unsavedChange
	saving bool // whether saveUnsaved runs
}

// unsavedChange is one change of an account's entry of one generation.
type unsavedChange struct {
	sequence   uint64
	generation string
	apply      func(*Entry)
}

func newUnsaved() *unsaved { return &unsaved{byName: map[string][]unsavedChange{}} }

// add keeps a change and reports whether saving has to begin.
func (u *unsaved) add(name, generation string, change func(*Entry)) (begin bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last++
	u.byName[name] = append(u.byName[name], unsavedChange{u.last, generation, change})
	begin = !u.saving
	u.saving = true
	return begin
}

// overlay lays what storage has not taken yet over what is stored, nil for nothing, and
// returns the sequence number up to which that is done. A change of another generation
// than the stored one's has nothing to say: somebody signed in, or deleted.
func (u *unsaved) overlay(name string, stored *Entry) (upTo uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, change := range u.byName[name] {
		if stored != nil && change.generation == stored.Generation {
			change.apply(stored)
		}
	}
	return u.last
}

// drop forgets the changes up to a sequence number of which gone says so.
func (u *unsaved) drop(name string, upTo uint64, gone func(unsavedChange) bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	left := slices.DeleteFunc(u.byName[name], func(change unsavedChange) bool {
		return change.sequence <= upTo && gone(change)
	})
	if len(left) == 0 {
		delete(u.byName, name)
		return
	}
	u.byName[name] = left
}

func (u *unsaved) names() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Sorted(maps.Keys(u.byName))
}

func (u *unsaved) has(name string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.byName[name]) > 0
}

// done reports whether saving may end: nothing is left, or nobody would wait for it.
func (u *unsaved) done(giveUp bool) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.byName) > 0 && !giveUp {
		return false
	}
	u.saving = false
	return true
}

// Unsaved is how many accounts hold something that storage has not taken.
func (s *Store) Unsaved() int { return len(s.unsaved.names()) }

// remember keeps a change of an entry of the given generation until storage takes it.
// It is called by work that has begun. It returns the cache's mark from then on.
func (s *Store) remember(name, generation string, change func(*Entry), why error) (mark uint64) {
	s.log.Warn("a refreshed account could not be stored, the write is retried",
		"account", name, "error", why)
	begin := s.unsaved.add(name, generation, change)
	mark = s.cache.Drop(name)
	if begin {
		s.work.Continue(s.saveUnsaved)
	}
	return mark
}

// saveUnsaved writes what is unsaved until nothing is. Clean waits for it as long as it
// waits for anything, and it tries until then.
func (s *Store) saveUnsaved() {
	ctx := context.Background()
	for wait := saveRetryMin; ; wait = min(2*wait, saveRetryMax) {
		if !s.work.Sleep(ctx, wait) {
			time.Sleep(saveRetryStopping)
		}
		for _, name := range s.unsaved.names() {
			if err := s.saveOne(ctx, name); err != nil {
				s.log.Error("a refreshed account is kept in memory only, storage refuses it",
					"account", name, "error", err)
			}
		}
		if s.unsaved.done(s.work.Over()) {
			return
		}
	}
}

func (s *Store) saveOne(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, lifecycle.StorageGrace)
	defer cancel()
	_, err := s.Update(ctx, name, func(e *Entry) (*Entry, error) {
		if e == nil || !s.unsaved.has(name) {
			return nil, ErrNoChange
		}
		return e, nil
	})
	return err
}
