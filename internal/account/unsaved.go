// SPDX-License-Identifier: MPL-2.0

package account

import (
	"context"
	"sync"
	"time"

	"vault-plugin-secrets-entra/internal/lifecycle"
)

const (
	saveRetryMin = time.Second
	saveRetryMax = 30 * time.Second
)

// unsaved is what Entra gave to accounts and storage would not take: a rotated
// refresh token exists nowhere else. It is laid over what is stored at every read,
// and written as soon as storage works.
type unsaved struct {
	mu     sync.Mutex // guards the fields below; not held across storage
	byName map[string]*unsavedChanges
	saving bool // whether saveUnsaved runs
}

// unsavedChanges are those of one account, of one generation.
type unsavedChanges struct {
	generation string
	apply      []func(*Entry) // oldest first
}

func newUnsaved() *unsaved { return &unsaved{byName: map[string]*unsavedChanges{}} }

func (u *unsaved) forget(name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.byName, name)
}

func (u *unsaved) names() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	names := make([]string, 0, len(u.byName))
	for name := range u.byName {
		names = append(names, name)
	}
	return names
}

func (u *unsaved) has(name string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.byName[name] != nil
}

// overlay lays what storage has not taken yet over what is stored. A stored entry of
// another generation, or none, wins: somebody signed in or deleted.
func (u *unsaved) overlay(name string, stored *Entry, found bool) *Entry {
	u.mu.Lock()
	defer u.mu.Unlock()
	changes := u.byName[name]
	switch {
	case !found:
		delete(u.byName, name)
		return nil
	case changes == nil:
	case changes.generation != stored.Generation:
		delete(u.byName, name)
	default:
		for _, apply := range changes.apply {
			apply(stored)
		}
	}
	return stored
}

// add keeps a change and reports whether saving has to begin.
func (u *unsaved) add(name, generation string, change func(*Entry)) (begin bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	changes := u.byName[name]
	if changes == nil || changes.generation != generation {
		changes = &unsavedChanges{generation: generation}
		u.byName[name] = changes
	}
	changes.apply = append(changes.apply, change)
	begin = !u.saving
	u.saving = true
	return begin
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
// It is called by work that has begun.
func (s *Store) remember(name, generation string, change func(*Entry), why error) {
	s.log.Warn("a refreshed account could not be stored, the write is retried",
		"account", name, "error", why)
	begin := s.unsaved.add(name, generation, change)
	s.cache.Drop(name)
	if begin {
		s.work.Continue(s.saveUnsaved)
	}
}

// saveUnsaved writes what is unsaved until nothing is, or the backend stops: then it
// tries once more, and Clean waits for that.
func (s *Store) saveUnsaved() {
	ctx := context.Background()
	for wait := saveRetryMin; ; wait = min(2*wait, saveRetryMax) {
		goOn := s.work.Sleep(ctx, wait)
		for _, name := range s.unsaved.names() {
			if err := s.saveOne(ctx, name); err != nil {
				s.log.Error("a refreshed account is kept in memory only, storage refuses it",
					"account", name, "error", err)
			}
		}
		if s.unsaved.done(!goOn) {
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
