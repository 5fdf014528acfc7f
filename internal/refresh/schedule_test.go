// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestSchedule against what it is meant to be: a map of times.
func TestSchedule(t *testing.T) {
	s := newSchedule()
	want := map[string]time.Time{}
	start := time.Unix(1_800_000_000, 0)
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		key := fmt.Sprint(random.IntN(200))
		at := start.Add(time.Duration(random.IntN(1000)) * time.Second)
		switch random.IntN(4) {
		case 0:
			s.set(key, at)
			want[key] = at
		case 1:
			s.setEarlier(key, at)
			if old, ok := want[key]; !ok || at.Before(old) {
				want[key] = at
			}
		case 2:
			s.set(key, time.Time{})
			delete(want, key)
		case 3:
			earliest := time.Time{}
			for _, due := range want {
				if earliest.IsZero() || due.Before(earliest) {
					earliest = due
				}
			}
			if !s.next().Equal(earliest) {
				t.Fatalf("next is %s, want %s", s.next(), earliest)
			}
			key, ok := s.take(at)
			if due := !earliest.IsZero() && !earliest.After(at); ok != due || ok && !want[key].Equal(earliest) {
				t.Fatalf("took %q %v, earliest %s, now %s", key, ok, earliest, at)
			}
			delete(want, key)
		}
		if s.len() != len(want) {
			t.Fatalf("%d are scheduled, want %d", s.len(), len(want))
		}
	}
}

