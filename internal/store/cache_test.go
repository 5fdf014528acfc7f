// SPDX-License-Identifier: MPL-2.0

package store

import "testing"

// TestCacheKeepsNothingOld: what was read before a write or an invalidation is not
// cached after it.
func TestCacheKeepsNothingOld(t *testing.T) {
	c := NewCache[string](8)
	mark := c.Mark("alice")
	c.Drop("alice") // another node has written
	c.Keep("alice", "old", mark)
	if got, cached := c.Get("alice"); cached {
		t.Errorf("%q is cached", got)
	}
	c.Keep("alice", "new", c.Mark("alice"))
	if got, _ := c.Get("alice"); got != "new" {
		t.Errorf("%q is cached", got)
	}
}

// TestCacheIsBounded: the one that was not used for longest makes room.
func TestCacheIsBounded(t *testing.T) {
	c := NewCache[int](2)
	for i, name := range []string{"a", "b", "c"} {
		c.Keep(name, i, c.Mark(name))
	}
	if _, cached := c.Get("a"); cached {
		t.Error("the oldest is still cached")
	}
	if _, cached := c.Get("c"); !cached {
		t.Error("the newest is not cached")
	}
}
