// SPDX-License-Identifier: MPL-2.0

package account

import (
	"testing"
	"time"

	"vault-plugin-secrets-entra/internal/config"
)

// TestRefreshAt: in the last tenth of the rotation period, before a reader waits.
func TestRefreshAt(t *testing.T) {
	now := time.Now()
	token := &CachedToken{ObtainedAt: now, Expiry: now.Add(70 * time.Minute)} // period 60 m
	if got := token.RefreshAt(10*time.Minute, 0).Sub(now); got != 60*time.Minute {
		t.Errorf("without jitter after %s", got)
	}
	if got := token.RefreshAt(10*time.Minute, 1).Sub(now); got != 54*time.Minute {
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
		cfg := config.NewEntry()
		cfg.KeepaliveInterval, cfg.KeepaliveMax = test.interval, test.max
		e := testEntry(now, nil)
		at := e.KeepaliveAt(cfg, now.Add(-test.lastRead), 0, now)
		switch {
		case test.want == 0 && !at.IsZero():
			t.Errorf("%s: kept alive at %s", name, at)
		case test.want != 0 && !at.Equal(e.RefreshTokenTime.Add(test.want)):
			t.Errorf("%s: kept alive at %s", name, at)
		}
	}
	cfg := config.NewEntry()
	early := testEntry(now, func(e *Entry) { e.RefreshTokenTime = now.Add(1000 * day) })
	if at := early.KeepaliveAt(cfg, now, 0, now); !at.Equal(now) {
		t.Errorf("with a time from a clock that was ahead it is kept alive at %s", at)
	}
	if got := testEntry(now, nil).KeepaliveAt(cfg, now, 1, now).Sub(testEntry(now, nil).RefreshTokenTime); got < 21*time.Hour+35*time.Minute || got > 21*time.Hour+37*time.Minute {
		t.Errorf("with all jitter after %s, want 21h36m", got)
	}
	if at := NewEntry(now).KeepaliveAt(cfg, now, 0, now); !at.IsZero() {
		t.Error("an account that never signed in is kept alive")
	}
}
