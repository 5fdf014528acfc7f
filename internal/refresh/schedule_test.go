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
		key, urgency := fmt.Sprint(random.IntN(200)), urgency(0)
		at := start.Add(time.Duration(random.IntN(1000)) * time.Second)
		switch random.IntN(4) {
		case 0:
			s.set(key, at, urgency)
			want[key] = at
		case 1:
			s.setEarlier(key, at, urgency)
			if old, ok := want[key]; !ok || at.Before(old) {
				want[key] = at
			}
		case 2:
			s.drop(key)
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
		if len(s.byKey) != len(want) {
			t.Fatalf("%d are scheduled, want %d", len(s.byKey), len(want))
		}
	}
}

// TestScheduleUrgency: of what is due, tokens in use come first; what is parked is known
// and never due.
func TestScheduleUrgency(t *testing.T) {
	s, now := newSchedule(), time.Unix(1_800_000_000, 0)
	s.set("idle", now.Add(-time.Hour), idle)
	s.set("used", now, inUse)
	s.set("parked", time.Time{}, idle)
	if !s.next().Equal(now.Add(-time.Hour)) {
		t.Errorf("next is %s", s.next())
	}
	for _, want := range []string{"used", "idle", ""} {
		if got, _ := s.take(now); got != want {
			t.Errorf("took %q, want %q", got, want)
		}
	}
	if !s.has("parked") || s.has("used") {
		t.Error("what is parked is lost, or what was taken is not")
	}
	s.setEarlier("parked", now, inUse)
	if got, _ := s.take(now); got != "parked" {
		t.Errorf("took %q", got)
	}
}
