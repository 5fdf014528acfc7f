// SPDX-License-Identifier: MPL-2.0

package store

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// cacheStripes is how many counters stand guard over cache inserts.
const cacheStripes = 4096

// Limit bounds what a cache keeps.
type Limit struct {
	Entries int // 0: their number is not bounded
	Bytes   int // of them as they are stored; 0: not bounded
}

// Cache keeps storage entries in memory, those that were used last. What was read
// before an entry was written or invalidated is not cached after it.
type Cache[E any] struct {
	seed   maphash.Seed
	stamps [cacheStripes]atomic.Uint64 // by name: counts writes and invalidations

	mu     sync.Mutex // guards the fields below
	limit  Limit
	gets   uint64
	bytes  int
	byName map[string]*cached[E]
	used   cached[E] // the ring of all: after it the one used last, before it the first
}

// cached is an entry in the ring.
type cached[E any] struct {
	name         string
	entry        E
	bytes        int
	newer, older *cached[E]
}

// NewCache returns an empty cache.
func NewCache[E any](limit Limit) *Cache[E] {
	c := &Cache[E]{limit: limit, seed: maphash.MakeSeed(), byName: map[string]*cached[E]{}}
	c.used.newer, c.used.older = &c.used, &c.used
	return c
}

func (c *Cache[E]) stamp(name string) *atomic.Uint64 {
	return &c.stamps[maphash.String(c.seed, name)%cacheStripes]
}

// Get returns what is cached under name.
func (c *Cache[E]) Get(name string) (e E, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gets++
	item := c.byName[name]
	if item == nil {
		return e, false
	}
	if c.used.older != item {
		c.unlink(item)
		c.link(item)
	}
	return item.entry, true
}

// Gets is how often Get was called so far.
func (c *Cache[E]) Gets() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gets
}

// Mark is taken before a read of storage, and given to Keep with its result.
func (c *Cache[E]) Mark(name string) uint64 { return c.stamp(name).Load() }

// Keep caches e, of so many bytes, unless its entry was written or invalidated since mark.
func (c *Cache[E]) Keep(name string, e E, bytes int, mark uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stamp(name).Load() != mark {
		return // and an invalidation that comes now waits to remove it
	}
	c.remove(name)
	item := &cached[E]{name: name, entry: e, bytes: bytes}
	c.byName[name] = item
	c.bytes += bytes
	c.link(item)
	c.shrink()
}

// Drop forgets what is cached of name. It never waits for storage. It returns the mark from now
// on.
func (c *Cache[E]) Drop(name string) (mark uint64) {
	mark = c.stamp(name).Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(name)
	return mark
}

// SetLimit changes what the cache is bounded by, now.
func (c *Cache[E]) SetLimit(limit Limit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = limit
	c.shrink()
}

// shrink makes room, but keeps the entry used last. The caller holds mu, as for all below.
func (c *Cache[E]) shrink() {
	for len(c.byName) > 1 && (c.limit.Entries > 0 && len(c.byName) > c.limit.Entries ||
		c.limit.Bytes > 0 && c.bytes > c.limit.Bytes) {
		c.remove(c.used.newer.name)
	}
}

func (c *Cache[E]) remove(name string) {
	item := c.byName[name]
	if item == nil {
		return
	}
	delete(c.byName, name)
	c.bytes -= item.bytes
	c.unlink(item)
}

// link makes item the one used last.
func (c *Cache[E]) link(item *cached[E]) {
	item.newer, item.older = &c.used, c.used.older
	item.older.newer, c.used.older = item, item
}

func (c *Cache[E]) unlink(item *cached[E]) {
	item.newer.older, item.older.newer = item.older, item.newer
}
