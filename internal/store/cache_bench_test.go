// SPDX-License-Identifier: MPL-2.0

package store

import (
	"fmt"
	"testing"
)

// BenchmarkCache is the cache of account entries, full.
func BenchmarkCache(b *testing.B) {
	const size = 8192
	names := make([]string, 2*size)
	for i := range names {
		names[i] = fmt.Sprintf("account-%06d", i)
	}
	e := "entry"
	fill := func() *Cache[string] {
		c := NewCache[string](Limit{Entries: size})
		for _, name := range names[:size] {
			c.Keep(name, e, 1, c.Mark(name))
		}
		return c
	}
	b.Run("get", func(b *testing.B) {
		c := fill()
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if _, ok := c.Get(names[i%size]); !ok {
					b.Error("it is not cached")
					return
				}
			}
		})
	})
	b.Run("keep", func(b *testing.B) {
		c := fill()
		b.ReportAllocs()
		b.ResetTimer()
		for i := 0; b.Loop(); i++ {
			name := names[i%len(names)]
			c.Keep(name, e, 1, c.Mark(name))
		}
	})
}
