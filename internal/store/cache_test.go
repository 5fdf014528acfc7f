// SPDX-License-Identifier: MPL-2.0

package store

import "testing"

// TestCacheKeepsNothingOld: what was read before a write or an invalidation is not
// cached after it.
func TestCacheKeepsNothingOld(t *testing.T) {
	c := NewCache[string](Limit{Entries: 8})
	mark := c.Mark("alice")
	c.Drop("alice") // another node has written
	c.Keep("alice", "old", 1, mark)
	if got, cached := c.Get("alice"); cached {
		t.Errorf("%q is cached", got)
	}
	c.Keep("alice", "new", 1, c.Mark("alice"))
	if got, _ := c.Get("alice"); got != "new" {
		t.Errorf("%q is cached", got)
	}
}

// TestCacheIsBounded: the one that was not used for longest makes room, by number and by size;
// a new limit counts at once.
func TestCacheIsBounded(t *testing.T) {
	for name, test := range map[string]struct {
		limit Limit
		want  string // of a to e, after a was used once more
	}{
		"by number":        {Limit{Entries: 3}, "ade"},
		"by size":          {Limit{Bytes: 25}, "ae"},
		"by both":          {Limit{Entries: 3, Bytes: 100}, "ade"},
		"not at all":       {Limit{}, "abcde"},
		"smaller than one": {Limit{Bytes: 1}, "e"},
	} {
		c := NewCache[string](Limit{})
		for i, name := range []string{"a", "b", "c", "d", "e"} {
			c.Keep(name, "old", 99, c.Mark(name))
			c.Keep(name, name, 10, c.Mark(name)) // replaces it
			if i == 3 {
				c.Get("a")
			}
		}
		c.SetLimit(test.limit)
		got := ""
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			if e, found := c.Get(name); found {
				got += e
			}
		}
		if got != test.want || c.bytes != 10*len(got) {
			t.Errorf("%s: %s are cached, %d bytes, want %s", name, got, c.bytes, test.want)
		}
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			c.Drop(name)
		}
		if c.bytes != 0 || len(c.byName) != 0 || c.used.newer != &c.used || c.used.older != &c.used {
			t.Errorf("%s: the empty cache is %+v", name, c.byName)
		}
	}
}
