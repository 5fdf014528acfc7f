// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// BenchmarkSchedule is the worker's schedule with 100,000 accounts in it.
func BenchmarkSchedule(b *testing.B) {
	const accounts = 100_000
	names := benchNames(accounts)
	start := time.Now()
	day := func(random *rand.Rand) time.Time {
		return start.Add(time.Duration(random.Int64N(int64(24 * time.Hour))))
	}
	fill := func() (*schedule, *rand.Rand) {
		s, random := newSchedule(), rand.New(rand.NewPCG(1, 2))
		for _, name := range names {
			s.set(name, day(random), idle)
		}
		return s, random
	}
	b.Run("set", func(b *testing.B) {
		s, random := fill()
		b.ReportAllocs()
		b.ResetTimer()
		for b.Loop() {
			s.set(names[random.IntN(accounts)], day(random), idle)
		}
	})
	b.Run("take and set", func(b *testing.B) {
		s, random := fill()
		b.ReportAllocs()
		b.ResetTimer()
		for b.Loop() {
			name, ok := s.take(start.Add(48 * time.Hour))
			if !ok {
				b.Fatal("nothing is due")
			}
			s.set(name, day(random), idle)
		}
	})
	b.Run("nothing due", func(b *testing.B) {
		s, _ := fill()
		b.ReportAllocs()
		b.ResetTimer()
		for b.Loop() {
			if _, ok := s.take(start.Add(-time.Hour)); ok {
				b.Fatal("something is due")
			}
			s.next()
		}
	})
}

func benchNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("account-%06d", i)
	}
	return names
}
