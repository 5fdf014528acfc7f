// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

const (
	// cachedAccounts bounds the entries kept in memory, by count: about 6 KiB each.
	cachedAccounts = 8192

	saveRetryMin = time.Second
	saveRetryMax = 30 * time.Second
)

// errNoChange, returned by a change, leaves the entry as it is stored.
var errNoChange = errors.New("no change")

// accountStore keeps the account entries: one storage entry per account is the
// atomic unit, and every change of one is read, changed and written under the
// account's lock. Reads of cached entries take no lock that is held across
// storage or network.
type accountStore struct {
	b     *backend
	cache *entryCache[*accountEntry]
	locks *nameLocks // held across storage, never across a call to Entra

	mu      sync.Mutex // guards the fields below; not held across storage
	unsaved map[string]*unsavedChanges
	saving  bool // whether saveUnsaved runs
}

// unsavedChanges is what Entra gave to an account and storage would not take: a
// rotated refresh token exists nowhere else. It is laid over what is stored at
// every read, and written as soon as storage works.
type unsavedChanges struct {
	generation string
	apply      []func(*accountEntry) // oldest first
}

func newAccountStore(b *backend) *accountStore {
	return &accountStore{
		b:       b,
		cache:   newEntryCache[*accountEntry](cachedAccounts),
		locks:   newNameLocks(),
		unsaved: map[string]*unsavedChanges{},
	}
}

// get returns the account's entry from memory, else from storage; nil if there
// is none. The entry must not be changed.
func (a *accountStore) get(ctx context.Context, s logical.Storage, name string) (*accountEntry, error) {
	if e, ok := a.cache.get(name); ok {
		return e, nil
	}
	return a.read(ctx, s, name)
}

// read returns the account's entry as it is stored, with what storage has not
// taken yet, and caches it.
func (a *accountStore) read(ctx context.Context, s logical.Storage, name string) (*accountEntry, error) {
	mark := a.cache.mark(name)
	e, err := a.peek(ctx, s, name)
	if e != nil {
		a.cache.keep(name, e, mark)
	}
	return e, err
}

// peek is read without caching.
func (a *accountStore) peek(ctx context.Context, s logical.Storage, name string) (*accountEntry, error) {
	stored := &accountEntry{}
	found, err := readEntry(ctx, s, accountStoragePrefix+name, stored)
	if err != nil {
		return nil, err
	}
	return a.withUnsaved(name, stored, found), nil
}

// update changes the account's entry under its lock: change gets a copy as it is
// stored now, nil if there is none, and returns what to store. It returns the
// entry as it is afterwards.
func (a *accountStore) update(ctx context.Context, s logical.Storage, name string, change func(*accountEntry) (*accountEntry, error)) (*accountEntry, error) {
	unlock, err := a.locks.lock(ctx, name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return a.updateLocked(ctx, s, name, change)
}

func (a *accountStore) updateLocked(ctx context.Context, s logical.Storage, name string, change func(*accountEntry) (*accountEntry, error)) (*accountEntry, error) {
	before, err := a.read(ctx, s, name)
	if err != nil {
		return nil, err
	}
	var copied *accountEntry
	if before != nil {
		copied = before.clone()
	}
	after, err := change(copied)
	if errors.Is(err, errNoChange) {
		return before, nil
	}
	if err != nil {
		return nil, err
	}
	after.dropRoles(func(role string) bool {
		stored, err := a.b.role(ctx, s, role)
		return err == nil && stored == nil
	})
	if err := a.write(ctx, s, name, after); err != nil {
		return after, err
	}
	a.b.noteTransition(name, before, after)
	return after, nil
}

// write stores e and caches it. It is called under the account's lock. What a
// reader took from storage before the write was over is not cached after it.
func (a *accountStore) write(ctx context.Context, s logical.Storage, name string, e *accountEntry) error {
	err := writeEntry(ctx, s, accountStoragePrefix+name, e)
	a.cache.drop(name)
	if err != nil {
		return err
	}
	mark := a.cache.mark(name)
	a.forgetUnsaved(name)
	a.cache.keep(name, e, mark)
	a.b.worker.accountWritten(name, e)
	return nil
}

// delete removes the account and everything that waits to be saved for it.
func (a *accountStore) delete(ctx context.Context, s logical.Storage, name string) error {
	unlock, err := a.locks.lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	e, err := a.read(ctx, s, name)
	if err != nil {
		return err
	}
	if e != nil {
		for _, p := range e.PendingLogins {
			if err := deleteLogin(ctx, s, p.StateHash); err != nil {
				return err
			}
		}
	}
	a.cache.drop(name)
	defer a.cache.drop(name)
	if err := s.Delete(ctx, accountStoragePrefix+name); err != nil {
		return fmt.Errorf("delete %s%s: %w", accountStoragePrefix, name, err)
	}
	a.forgetUnsaved(name)
	a.b.worker.accountDeleted(name)
	a.b.sendAccountEvent(eventAccountDeleted, name)
	return nil
}

// list returns the names of all accounts.
func (a *accountStore) list(ctx context.Context, s logical.Storage) ([]string, error) {
	names, err := s.List(ctx, accountStoragePrefix)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", strings.TrimSuffix(accountStoragePrefix, "/"), err)
	}
	return names, nil
}

// merge lays a change that must not be lost over the account's entry as it is
// now: a rotated refresh token exists nowhere else. If storage refuses it, it is
// kept in memory and the write retried. Another generation than before's wins:
// somebody signed in meanwhile, and there is nothing to merge.
func (a *accountStore) merge(ctx context.Context, s logical.Storage, name string, before *accountEntry, change func(*accountEntry)) (*accountEntry, error) {
	unlock, err := a.locks.lock(ctx, name)
	if err == nil {
		defer unlock()
		var merged *accountEntry
		_, err = a.updateLocked(ctx, s, name, func(e *accountEntry) (*accountEntry, error) {
			if e == nil {
				return nil, unknownAccount(name)
			}
			merged = e
			if e.Generation == before.Generation {
				change(e)
				return e, nil
			}
			return nil, errNoChange
		})
		if !isStorageError(err) {
			return merged, err
		}
		if merged != nil {
			a.remember(name, before.Generation, change, err)
			a.cache.keep(name, merged, a.cache.mark(name))
			a.b.worker.accountWritten(name, merged)
			return merged, nil
		}
	}
	// What is stored cannot be seen just now, so nothing is cached.
	merged := before.clone()
	change(merged)
	a.remember(name, before.Generation, change, err)
	return merged, nil
}

// remember keeps a change of an entry of the given generation until storage takes it.
func (a *accountStore) remember(name, generation string, change func(*accountEntry), why error) {
	a.b.Logger().Warn("a refreshed account could not be stored, the write is retried", "account", name, "error", why)
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.unsaved[name]
	if u == nil || u.generation != generation {
		u = &unsavedChanges{generation: generation}
		a.unsaved[name] = u
	}
	u.apply = append(u.apply, change)
	a.cache.drop(name)
	if !a.saving && a.b.work.begin() {
		a.saving = true
		go a.saveUnsaved()
	}
}

func (a *accountStore) forgetUnsaved(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.unsaved, name)
}

func (a *accountStore) unsavedNames() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	names := make([]string, 0, len(a.unsaved))
	for name := range a.unsaved {
		names = append(names, name)
	}
	return names
}

// withUnsaved lays what storage has not taken yet over what is stored. A stored
// entry of another generation, or none, wins: somebody signed in or deleted.
func (a *accountStore) withUnsaved(name string, stored *accountEntry, found bool) *accountEntry {
	if !found {
		a.forgetUnsaved(name)
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.unsaved[name]
	switch {
	case u == nil:
	case u.generation != stored.Generation:
		delete(a.unsaved, name)
	default:
		for _, apply := range u.apply {
			apply(stored)
		}
	}
	return stored
}

// saveUnsaved writes what is unsaved until nothing is, or the backend stops: then
// it tries once more, and Clean waits for that.
func (a *accountStore) saveUnsaved() {
	defer a.b.work.end()
	ctx := context.Background()
	for wait := saveRetryMin; ; wait = min(2*wait, saveRetryMax) {
		goOn := a.b.work.sleep(ctx, wait)
		for _, name := range a.unsavedNames() {
			if err := a.saveOne(ctx, name); err != nil {
				a.b.Logger().Error("a refreshed account is kept in memory only, storage refuses it", "account", name, "error", err)
			}
		}
		a.mu.Lock()
		if len(a.unsaved) == 0 || !goOn {
			a.saving = false
			a.mu.Unlock()
			return
		}
		a.mu.Unlock()
	}
}

func (a *accountStore) saveOne(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, storageGrace)
	defer cancel()
	_, err := a.update(ctx, a.b.storage, name, func(e *accountEntry) (*accountEntry, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if e == nil || a.unsaved[name] == nil {
			return nil, errNoChange
		}
		return e, nil
	})
	return err
}
