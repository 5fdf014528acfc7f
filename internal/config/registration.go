// SPDX-License-Identifier: MPL-2.0

package config

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/lifecycle"
	"vault-plugin-secrets-entra/internal/problem"
	"vault-plugin-secrets-entra/internal/store"
)

const (
	// lookAgainAfter is how long after a write that failed storage is looked at once more, and how
	// often while it cannot be.
	lookAgainAfter = 5 * time.Second

	// lookLimit is how long whose write failed waits for the first look.
	lookLimit = 2 * time.Second
)

// Registration is the app registration as of one config write: the stored config
// and the client made from it. It does not change.
type Registration struct {
	*Entry
	Client *entra.Client

	// Generation counts the config's writes, as seen on this node. What began under
	// another generation says nothing about this one.
	Generation uint64
}

// Store keeps the app registration, and holds the one in use in memory: a read of a
// fresh token needs neither storage nor a lock.
type Store struct {
	Roles *Roles

	// OnChange is called after the config was written or deleted on this node.
	OnChange func()

	// OnLoad is called with each config that is held in memory from now on, on any node. It
	// calls nothing of this store.
	OnLoad func(*Entry)

	entries   *store.Entries
	work      *lifecycle.Work
	transport http.RoundTripper // of the client; nil is its own
	writing   sync.Mutex        // one config write at a time; no reader takes it
	current   atomic.Pointer[Registration]
	doubts    atomic.Int64 // writes that failed since storage was last looked at

	mu         sync.Mutex    // orders inserts and drops of current; not held across storage
	generation atomic.Uint64 // counts drops: what was read before one is not kept after it
}

// NewStore returns the config of a mount. transport carries what is sent to Entra;
// nil is a pooled transport of the client's own.
func NewStore(entries *store.Entries, work *lifecycle.Work, transport http.RoundTripper) *Store {
	return &Store{
		Roles:     newRoles(entries),
		OnChange:  func() {},
		OnLoad:    func(*Entry) {},
		entries:   entries,
		work:      work,
		transport: transport,
	}
}

// Registration returns the app registration, or a problem that there is none.
func (s *Store) Registration(ctx context.Context) (*Registration, error) {
	if reg := s.current.Load(); reg != nil {
		return reg, nil
	}
	generation := s.Generation()
	entry, err := s.Entry(ctx)
	if err != nil {
		return nil, err
	}
	if entry == nil {
		return nil, problem.NoConfig()
	}
	client, err := s.client(entry)
	if err != nil {
		return nil, err
	}
	reg := &Registration{Entry: entry, Client: client, Generation: generation}
	s.keep(reg)
	return reg, nil
}

// Current is the registration in memory, nil where there is none.
func (s *Store) Current() *Registration { return s.current.Load() }

// Generation is that of the registration now.
func (s *Store) Generation() uint64 { return s.generation.Load() }

// keep holds reg in memory unless the config changed since it was read.
func (s *Store) keep(reg *Registration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Generation() == reg.Generation {
		s.current.Store(reg)
		s.OnLoad(reg.Entry)
	}
}

// Drop forgets the registration with its client, discovery document and keys.
// Exchanges under way keep theirs to the end. It never waits for storage.
func (s *Store) Drop() {
	s.mu.Lock()
	s.generation.Add(1)
	old := s.current.Swap(nil)
	s.mu.Unlock()
	if old != nil {
		old.Client.Close()
	}
}

// Entry reads the stored config, nil if there is none.
func (s *Store) Entry(ctx context.Context) (*Entry, error) {
	entry := &Entry{}
	found, err := s.entries.Read(ctx, StorageKey, entry)
	if err != nil || !found {
		return nil, err
	}
	return entry, nil
}

// Write changes the config: change gets the stored one, or the defaults. Nothing is
// stored where change or validation fails, nor, with verify, where the authority
// cannot be verified.
func (s *Store) Write(ctx context.Context, verify bool, change func(*Entry) error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	entry, err := s.Entry(ctx)
	if err != nil {
		return err
	}
	if entry == nil {
		entry = NewEntry()
	}
	if err := change(entry); err != nil {
		return err
	}
	if err := entry.Validate(); err != nil {
		return err
	}
	if verify {
		if err := s.verify(ctx, entry); err != nil {
			return err
		}
	}
	return s.changed(ctx, s.entries.Write(ctx, StorageKey, entry))
}

// Delete removes the config. Accounts stay.
func (s *Store) Delete(ctx context.Context) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.changed(ctx, s.entries.Delete(ctx, StorageKey))
}

// changed is what follows a write. One that failed may have happened, or may happen yet.
func (s *Store) changed(ctx context.Context, failed error) error {
	if failed != nil {
		_ = s.look(ctx, lookLimit) // again in a while
		s.doubt()
		return failed
	}
	s.Drop()
	s.OnChange()
	return nil
}

// doubt looks after a while at what is stored, until storage says it.
func (s *Store) doubt() {
	if s.doubts.Add(1) > 1 {
		return // somebody does
	}
	s.work.Go(func() {
		ctx := context.Background()
		for seen := s.doubts.Load(); s.work.Sleep(ctx, lookAgainAfter); seen = s.doubts.Load() {
			if s.look(ctx, lifecycle.StorageGrace) == nil && s.doubts.CompareAndSwap(seen, 0) {
				return
			}
		}
	})
}

// look goes on with the config that is stored, if it is another one than that in memory and
// nobody has written meanwhile.
func (s *Store) look(ctx context.Context, limit time.Duration) error {
	ctx, cancel := lifecycle.Detach(ctx, limit)
	defer cancel()
	generation := s.Generation()
	stored, err := s.Entry(ctx)
	if err != nil {
		return err
	}
	reg := s.Current()
	if generation == s.Generation() && (reg == nil || !reflect.DeepEqual(reg.Entry, stored)) {
		s.Drop()
		s.OnChange()
	}
	return nil
}

func (s *Store) client(entry *Entry) (*entra.Client, error) {
	cfg := entry.clientConfig()
	cfg.Transport = s.transport
	return entra.New(cfg)
}

// verify fetches the discovery document before anything is stored.
func (s *Store) verify(ctx context.Context, entry *Entry) error {
	client, err := s.client(entry)
	if err != nil {
		return problem.Invalid("%s", err)
	}
	defer client.Close()
	err = client.Verify(ctx)
	if err == nil {
		return nil
	}
	field := "tenant_id"
	if entry.AuthorityURL != "" {
		field = "authority_url"
	}
	p := problem.Invalid("%s: the authority could not be verified and nothing was stored: %s "+
		"(verify=false stores without asking)", field, err)
	var e *entra.Error
	if errors.As(err, &e) && e.NoAnswer() {
		p.Code = problem.EntraUnavailable
	}
	return p
}
