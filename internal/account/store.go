// SPDX-License-Identifier: MPL-2.0

package account

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"vault-plugin-secrets-entra/internal/config"
	"vault-plugin-secrets-entra/internal/lifecycle"
	"vault-plugin-secrets-entra/internal/problem"
	"vault-plugin-secrets-entra/internal/store"
)

const (
	// cachedBytes bounds the entries kept in memory where the config does not.
	cachedBytes = 64 << 20

	// buildReads is how many storage reads a build has under way, and politeReads how many
	// while others ask for accounts: they come first. It looks after each buildPart accounts
	// whether at least busyReads were asked for meanwhile.
	buildReads  = 32
	politeReads = 2
	buildPart   = 256
	busyReads   = 4
)

// ErrNoChange, returned by a change, leaves the entry as it is stored.
var ErrNoChange = errors.New("no change")

// Change gets a copy of the account's entry as it is stored now, nil if there is
// none, and returns what to store.
type Change func(*Entry) (*Entry, error)

// Store keeps the account entries: one storage entry per account is the atomic unit,
// and every change of one is read, changed and written under the account's lock.
// Reads of cached entries take no lock that is held across storage or network.
type Store struct {
	Logins *Logins
	Index  *Index

	// OnChange is called after an entry changed, under the account's lock. before
	// is nil for a new account, after for one that was deleted.
	OnChange func(name string, before, after *Entry)

	entries *store.Entries
	roles   *config.Roles
	work    *lifecycle.Work
	log     hclog.Logger
	cache   *store.Cache[*Entry]
	locks   *store.Locks // held across storage, never across a call to Entra
	unsaved *unsaved
	doubts  *doubts
}

// NewStore returns the accounts of a mount.
func NewStore(entries *store.Entries, roles *config.Roles, work *lifecycle.Work, log hclog.Logger) *Store {
	return &Store{
		Logins:   NewLogins(entries),
		Index:    newIndex(),
		OnChange: func(string, *Entry, *Entry) {},
		entries:  entries,
		roles:    roles,
		work:     work,
		log:      log,
		cache:    store.NewCache[*Entry](store.Limit{Bytes: cachedBytes}),
		locks:    store.NewLocks(),
		unsaved:  newUnsaved(),
		doubts:   newDoubts(),
	}
}

// Get returns the account's entry from memory, else from storage; nil if there is
// none. The entry must not be changed.
func (s *Store) Get(ctx context.Context, name string) (*Entry, error) {
	if e, ok := s.cache.Get(name); ok {
		return e, nil
	}
	return s.Read(ctx, name)
}

// Read returns the account's entry as it is stored, with what storage has not taken
// yet, and caches it.
func (s *Store) Read(ctx context.Context, name string) (*Entry, error) {
	e, _, mark, err := s.load(ctx, name)
	if err != nil {
		return nil, err
	}
	if e != nil {
		s.keep(name, e, mark)
	}
	return e, nil
}

// keep caches an entry that was just decoded and that nobody has yet.
func (s *Store) keep(name string, e *Entry, mark uint64) {
	e.pack()
	s.cache.Keep(name, e, e.StoredSize(), mark)
}

// SetCacheSize bounds the accounts kept in memory: so many, or as many as fit 64 MiB for 0.
func (s *Store) SetCacheSize(accounts int) {
	if accounts <= 0 {
		s.cache.SetLimit(store.Limit{Bytes: cachedBytes})
		return
	}
	s.cache.SetLimit(store.Limit{Entries: accounts})
}

// load returns what is stored with what storage has not taken yet laid over it, nil if there is
// none, the sequence number up to which that is done, and the cache's mark for it. Where this
// node or another one writes meanwhile it reads again: what storage gave may be the old entry.
func (s *Store) load(ctx context.Context, name string) (e *Entry, upTo, mark uint64, err error) {
	for {
		mark = s.cache.Mark(name)
		e = &Entry{}
		found, err := s.entries.Read(ctx, StoragePrefix+name, e)
		switch {
		case err != nil:
			return nil, 0, 0, err
		case s.cache.Mark(name) == mark:
			if !found {
				e = nil
			}
			return e, s.unsaved.overlay(name, e), mark, nil
		case ctx.Err() != nil:
			return nil, 0, 0, ctx.Err()
		}
	}
}

// Update changes the account's entry under its lock. It returns the entry as it is
// afterwards.
func (s *Store) Update(ctx context.Context, name string, change Change) (*Entry, error) {
	unlock, err := s.locks.Lock(ctx, name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	after, _, err := s.updateLocked(ctx, name, change)
	return after, err
}

// updateLocked is Update for who holds the lock. mark is the cache's from after the update; 0
// says that somebody else has written or invalidated since the entry was read.
func (s *Store) updateLocked(ctx context.Context, name string, change Change) (after *Entry, mark uint64, err error) {
	before, upTo, read, err := s.load(ctx, name)
	if err != nil {
		return nil, 0, err
	}
	// Under the lock it is certain: what is of another generation is over.
	s.unsaved.drop(name, upTo, func(change unsavedChange) bool {
		return before == nil || change.generation != before.Generation
	})
	var copied *Entry
	if before != nil {
		copied = before.clone()
	}
	after, err = change(copied)
	if errors.Is(err, ErrNoChange) {
		return before, read, nil
	}
	if err != nil {
		return nil, 0, err
	}
	after.prune(func(role string) bool {
		stored, err := s.roles.Get(ctx, role)
		return err == nil && stored == nil
	}, time.Now())
	written, err := s.write(ctx, name, after, upTo)
	if written == read+1 { // by this write
		mark = written
	}
	if err != nil {
		return after, mark, err
	}
	s.changed(name, before, after)
	return after, mark, nil
}

// Prune drops from the account's entry what is over, as every write does.
func (s *Store) Prune(ctx context.Context, name string) (*Entry, error) {
	return s.Update(ctx, name, func(e *Entry) (*Entry, error) {
		if e == nil {
			return nil, problem.NoAccount(name)
		}
		return e, nil
	})
}

// changed tells who depends on it that an entry is other than before.
func (s *Store) changed(name string, before, after *Entry) {
	s.Index.set(name, after)
	s.OnChange(name, before, after)
}

// write stores e, which holds the unsaved changes up to a sequence number, and caches
// it. It is called under the account's lock. What a reader took from storage before the
// write was over is not cached after it. It returns the cache's mark from then on.
func (s *Store) write(ctx context.Context, name string, e *Entry, upTo uint64) (mark uint64, err error) {
	stored := &Entry{} // what is kept shares nothing with e, which holds on to the one before
	err = s.entries.WriteCopy(ctx, StoragePrefix+name, e, stored)
	mark = s.cache.Drop(name)
	if err != nil {
		s.doubt(name)
		return mark, err
	}
	s.unsaved.drop(name, upTo, func(unsavedChange) bool { return true })
	if !s.unsaved.has(name) { // else a reader lays it over
		s.keep(name, stored, mark)
	}
	return mark, nil
}

// Delete removes the account and everything that waits to be saved for it.
func (s *Store) Delete(ctx context.Context, name string) error {
	unlock, err := s.locks.Lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	before, upTo, _, err := s.load(ctx, name)
	if err != nil && !errors.Is(err, store.ErrUnreadable) {
		return err
	}
	if before != nil {
		for _, p := range before.PendingLogins {
			if err := s.Logins.Delete(ctx, p.StateHash); err != nil {
				return err
			}
		}
	}
	s.cache.Drop(name)
	defer s.cache.Drop(name)
	if err := s.entries.Delete(ctx, StoragePrefix+name); err != nil {
		s.doubt(name)
		return err
	}
	s.unsaved.drop(name, upTo, func(unsavedChange) bool { return true })
	s.changed(name, before, nil)
	return nil
}

// Merge lays a change that must not be lost over the account's entry as it is now: a
// rotated refresh token exists nowhere else. If storage refuses it, it is kept in
// memory and the write retried. Another generation than before's wins: somebody
// signed in meanwhile, and there is nothing to merge. It is called by work that has
// begun.
func (s *Store) Merge(ctx context.Context, name string, before *Entry, change func(*Entry)) (*Entry, error) {
	unlock, err := s.locks.Lock(ctx, name)
	var merged *Entry
	var mark uint64
	if err == nil {
		defer unlock()
		merged, mark, err = s.updateLocked(ctx, name, func(e *Entry) (*Entry, error) {
			if e == nil {
				return nil, problem.NoAccount(name)
			}
			if e.Generation == before.Generation {
				change(e)
				return e, nil
			}
			return nil, ErrNoChange
		})
		if !problem.Internal(err) {
			return merged, err
		}
	}
	known, ok := s.cache.Get(name)
	remembered := s.remember(name, before.Generation, change, err)
	if mark != 0 && remembered == mark+1 { // nobody has touched what was read
		s.cache.Keep(name, merged, merged.StoredSize(), remembered)
		s.changed(name, before, merged)
		return merged, nil
	}
	// What is stored cannot be seen just now, so nothing is cached. The account is what this
	// node knows of it: it may have been switched off or deleted meanwhile.
	if !ok {
		return nil, err
	}
	merged = known.clone()
	if known.Generation == before.Generation {
		change(merged)
	}
	return merged, nil
}

// List returns the names of all accounts, from storage.
func (s *Store) List(ctx context.Context) ([]string, error) {
	return s.entries.List(ctx, StoragePrefix)
}

// Invalidate forgets what is cached of an account, for another node has changed it. Where this
// one takes itself for the node that writes, its index and schedule have to be told as well. It
// never waits for storage.
func (s *Store) Invalidate(name string) {
	s.cache.Drop(name)
	if s.Index.Kept() {
		s.doubt(name)
	}
}

// BuildIndex reads every account once and completes the index. found is called for each, from
// several goroutines. It calls note, which notes the account in the index and reports whether it
// is still as it was read: where found holds a lock of OnChange meanwhile, a change comes before
// both or after both.
func (s *Store) BuildIndex(ctx context.Context, found func(name string, e *Entry, note func() bool)) (accounts int, err error) {
	build := s.Index.beginBuild()
	defer func() { s.Index.endBuild(build, err == nil) }()
	names, err := s.List(ctx)
	if err != nil {
		return 0, err
	}
	reads := s.cache.Gets()
	for part := range slices.Chunk(names, buildPart) {
		limit := buildReads
		before := reads
		if reads = s.cache.Gets(); reads-before >= busyReads {
			limit = politeReads
		}
		if err := s.buildPart(ctx, build, part, limit, found); err != nil {
			return 0, err
		}
	}
	return len(names), nil
}

// buildPart is BuildIndex for some of the names, so many at a time: most of a read is waiting for
// Vault.
func (s *Store) buildPart(ctx context.Context, build uint64, names []string, limit int, found func(string, *Entry, func() bool)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(limit)
	for _, name := range names {
		if ctx.Err() != nil {
			break // one of them failed
		}
		group.Go(func() error {
			if s.work.Stopping() {
				return lifecycle.ErrStopping
			}
			e, _, _, err := s.load(ctx, name)
			switch {
			case errors.Is(err, store.ErrUnreadable):
				if s.Index.foundUnreadable(build, name) {
					s.log.Error("an account cannot be read; delete it, or roll the plugin forward",
						"account", name, "error", err)
				}
			case err != nil:
				return err
			case e != nil:
				found(name, e, func() bool { return s.Index.found(build, name, e) })
			}
			return nil
		})
	}
	return group.Wait()
}
