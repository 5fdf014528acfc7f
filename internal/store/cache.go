// SPDX-License-Identifier: MPL-2.0

package store

import (
	"hash/maphash"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"
)

// cacheStripes is how many counters stand guard over cache inserts.
const cacheStripes = 256

// Cache keeps storage entries in memory, bounded by count. What was read
// before an entry was written or invalidated is not cached after it.
type Cache[E any] struct {
	entries *lru.Cache[string, E]
	seed    maphash.Seed
	stamps  [cacheStripes]atomic.Uint64 // by name: counts writes and invalidations
}

// NewCache returns a cache of so many entries, at least one.
func NewCache[E any](size int) *Cache[E] {
	entries, err := lru.New[string, E](size)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &Cache[E]{entries: entries, seed: maphash.MakeSeed()}
}

func (c *Cache[E]) stamp(name string) *atomic.Uint64 {
	return &c.stamps[maphash.String(c.seed, name)%cacheStripes]
}

// Get returns what is cached under name.
func (c *Cache[E]) Get(name string) (E, bool) { return c.entries.Get(name) }

// Mark is taken before a read of storage, and given to Keep with its result.
func (c *Cache[E]) Mark(name string) uint64 { return c.stamp(name).Load() }

// Keep caches e unless its entry was written or invalidated since mark.
func (c *Cache[E]) Keep(name string, e E, mark uint64) {
	stamp := c.stamp(name)
	if stamp.Load() != mark {
		return
	}
	c.entries.Add(name, e)
	// An invalidation between the look and the insert has left its mark by now.
	if stamp.Load() != mark {
		c.entries.Remove(name)
	}
}

// Drop forgets what is cached of name. It never waits for storage.
func (c *Cache[E]) Drop(name string) {
	c.stamp(name).Add(1)
	c.entries.Remove(name)
}
