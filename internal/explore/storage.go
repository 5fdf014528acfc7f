// SPDX-License-Identifier: MPL-2.0

package explore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

var (
	errStorage = errors.New("storage is down")
	errGone    = errors.New("this node's Vault is gone")
	errTerm    = errors.New("leadership lost while committing log") // Raft's words
)

// storage is what both nodes share.
type storage struct {
	entries map[string][]byte
	numbers map[string]int // of keys that differ from run to run, in the order of their creation
	storm   storm
	wrote   map[string]time.Duration // when a key was last written
}

// storm is a time in which storage fails or hangs for all.
type storm struct {
	until      time.Duration
	hangs      bool
	writesOnly bool

	deletesOnly bool
}

func newStorage() *storage {
	return &storage{entries: map[string][]byte{}, numbers: map[string]int{},
		wrote: map[string]time.Duration{}}
}

// alias is a key as the trace shows it: the hash in a login's key is random.
func (s *storage) alias(key string) string {
	if !strings.HasPrefix(key, "login/") || key == "login/" {
		return key
	}
	if s.numbers[key] == 0 {
		s.numbers[key] = len(s.numbers) + 1
	}
	return fmt.Sprintf("login/#%d", s.numbers[key])
}

// list returns the names under a prefix, in an order that does not depend on random keys.
func (s *storage) list(prefix string) []string {
	var names []string
	for key := range s.entries {
		if name, found := strings.CutPrefix(key, prefix); found {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return strings.Compare(s.alias(prefix+a), s.alias(prefix+b))
	})
	return names
}

// view is storage as one instance sees it. It implements logical.Storage.
type view struct {
	w *world
	i *instance
}

// fate is what becomes of one call.
type fate struct {
	before, after time.Duration // it happens in between
	fails         bool          // before anything happens
	failsLate     bool          // after it happened
	stale         bool          // a Get may see what an undelivered invalidation is about
}

// fate decides about the next call. The caller holds mu.
func (v view) fate(ctx context.Context, op, alias string) (fate, *caller) {
	w := v.w
	who := callerOf(ctx, v.i)
	r := w.roll(who, op+" "+alias)
	f := fate{before: between(r, time.Microsecond, 300*time.Microsecond)}
	if chance(r, w.climate.storageSlow) {
		long := between(r, 0, pick(r, 50*time.Millisecond, 2*time.Second, 20*time.Second,
			100*time.Second))
		if r.IntN(2) == 0 {
			f.before += long
		} else {
			f.after += long
		}
	}
	if chance(r, w.climate.storageFail) {
		f.fails = r.IntN(3) > 0
		f.failsLate = !f.fails
	}
	f.stale = r.IntN(2) == 0
	v.i.count(who == v.i.background)
	return f, who
}

// call makes one storage call; apply is what it does.
func (v view) call(ctx context.Context, op, key string, apply func(f fate) error) error {
	w := v.w
	w.mu.Lock()
	alias := w.storage.alias(key)
	f, who := v.fate(ctx, op, alias)
	term := v.i.term
	w.mu.Unlock()
	if !sleep(ctx, f.before) || !v.weather(ctx, f, op) {
		return v.done(who, f, op, alias, ctx.Err())
	}
	w.mu.Lock()
	err := v.trouble(f, op, term)
	if err == nil {
		err = apply(f)
	}
	w.mu.Unlock()
	if err == nil && f.after > 0 && !sleep(ctx, f.after) {
		err = ctx.Err()
	}
	if err == nil && f.failsLate {
		err = errStorage
	}
	return v.done(who, f, op, alias, err)
}

func (v view) done(who *caller, f fate, op, alias string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		time.Sleep(f.before) // who waits for the same context comes first
	}
	if v.w.options.Trace {
		v.w.mu.Lock()
		defer v.w.mu.Unlock()
		result := ""
		if err != nil {
			result = ": " + err.Error()
		}
		v.w.note(who.name, op, alias+result)
	}
	return err
}

// weather waits while storage hangs for all, as long as ctx allows.
func (v view) weather(ctx context.Context, f fate, op string) bool {
	v.w.mu.Lock()
	s := v.w.storage.storm
	wait := s.until - v.w.now()
	hangs := s.hangs && s.hits(op) && !v.i.dead
	v.w.mu.Unlock()
	return !hangs || sleep(ctx, wait+f.before) // not all at the same moment
}

// hits reports whether the storm is one for this kind of call.
func (s storm) hits(op string) bool {
	return (!s.writesOnly || writes(op)) && (!s.deletesOnly || op == "delete")
}

func writes(op string) bool { return op == "put" || op == "delete" }

// trouble is why a call that began in a term fails before anything happens: a write of an
// earlier term is refused, as Raft and Consul refuse it. The caller holds mu.
func (v view) trouble(f fate, op string, term int) error {
	s := v.w.storage.storm
	switch {
	case v.i.dead || v.i.stopped:
		return errGone
	case writes(op) && !v.i.mayWrite():
		return logical.ErrReadOnly
	case writes(op) && v.i.term != term:
		return errTerm
	case !s.hangs && v.w.now() < s.until && s.hits(op):
		return errStorage
	case f.fails:
		return errStorage
	}
	return nil
}

// Get implements logical.Storage.
func (v view) Get(ctx context.Context, key string) (e *logical.StorageEntry, err error) {
	err = v.call(ctx, "get", key, func(f fate) error {
		value, found := v.w.storage.entries[key]
		if p := v.i.oldest(key); p != nil && f.stale {
			value, found = p.old, p.old != nil
		}
		if found {
			e = &logical.StorageEntry{Key: key, Value: value}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Put implements logical.Storage.
func (v view) Put(ctx context.Context, e *logical.StorageEntry) error {
	return v.call(ctx, "put", e.Key, func(fate) error {
		v.change(e.Key, e.Value)
		return nil
	})
}

// Delete implements logical.Storage.
func (v view) Delete(ctx context.Context, key string) error {
	return v.call(ctx, "delete", key, func(fate) error {
		v.change(key, nil)
		return nil
	})
}

// change writes or deletes an entry and tells the other node, later. The caller holds mu.
func (v view) change(key string, value []byte) {
	s := v.w.storage
	old := s.entries[key]
	if value == nil {
		delete(s.entries, key)
	} else {
		s.entries[key] = value
		if strings.HasPrefix(key, accountPrefix) {
			v.w.authority.stored(string(value))
		}
	}
	s.wrote[key] = v.w.now()
	for _, n := range v.w.nodes {
		if n.instance != nil && n.instance != v.i {
			n.instance.invalidateLater(key, old)
		}
	}
}

// List implements logical.Storage.
func (v view) List(ctx context.Context, prefix string) (names []string, err error) {
	err = v.call(ctx, "list", prefix, func(fate) error {
		names = v.w.storage.list(prefix)
		return nil
	})
	return names, err
}

// shuffled is items in a seeded order.
func shuffled[T any](r *rand.Rand, items []T) []T {
	items = slices.Clone(items)
	r.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	return items
}
