// SPDX-License-Identifier: MPL-2.0

package main

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

// TestAheadAt: in the last tenth of the rotation period, before a reader waits.
func TestAheadAt(t *testing.T) {
	now := time.Now()
	token := &heldToken{ObtainedAt: now, Expiry: now.Add(70 * time.Minute)} // rotation period 60 m
	if got := token.aheadAt(10*time.Minute, 0).Sub(now); got != 60*time.Minute {
		t.Errorf("without jitter after %s", got)
	}
	if got := token.aheadAt(10*time.Minute, 1).Sub(now); got != 54*time.Minute {
		t.Errorf("with all of it after %s", got)
	}
}

func TestKeepaliveAt(t *testing.T) {
	now := time.Now()
	day := 24 * time.Hour
	for name, test := range map[string]struct {
		interval, max time.Duration
		lastRead      time.Duration // ago
		want          time.Duration // after the refresh token was last used; 0 = never
	}{
		"a day after its last use":       {day, 180 * day, 0, day},
		"off":                            {0, 180 * day, 0, 0},
		"nobody reads it any more":       {day, 180 * day, 180 * day, 0},
		"somebody did lately":            {day, 180 * day, 178 * day, day},
		"without a limit":                {day, 0, 1000 * day, day},
		"the interval is beyond the max": {30 * day, 10 * day, 0, 0},
	} {
		cfg := newConfigEntry()
		cfg.KeepaliveInterval, cfg.KeepaliveMax = test.interval, test.max
		e := testEntry(now, nil)
		at := e.keepaliveAt(cfg, now.Add(-test.lastRead), 0)
		switch {
		case test.want == 0 && !at.IsZero():
			t.Errorf("%s: kept alive at %s", name, at)
		case test.want != 0 && !at.Equal(e.RefreshTokenTime.Add(test.want)):
			t.Errorf("%s: kept alive at %s", name, at)
		}
	}
	cfg := newConfigEntry()
	if got := testEntry(now, nil).keepaliveAt(cfg, now, 1).Sub(testEntry(now, nil).RefreshTokenTime); got < 21*time.Hour+35*time.Minute || got > 21*time.Hour+37*time.Minute {
		t.Errorf("with all jitter after %s, want 21h36m", got)
	}
	if at := newAccountEntry(now).keepaliveAt(cfg, now, 0); !at.IsZero() {
		t.Error("an account that never signed in is kept alive")
	}
}
