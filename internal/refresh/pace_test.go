// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vault-plugin-secrets-entra/internal/lifecycle"
)

// limiter says whether a call may pass, at a time since the start.
type limiter func(at time.Duration) bool

// window lets so many calls pass in each stretch of time.
func window(length time.Duration, most int) limiter {
	current, passed := time.Duration(-1), 0
	return func(at time.Duration) bool {
		if w := at.Truncate(length); w != current {
			current, passed = w, 0
		}
		passed++
		return passed <= most
	}
}

// bucket lets so many calls pass in a second on average, and a burst of so many at once.
func bucket(perSecond, burst float64) limiter {
	level, last := burst, time.Duration(0)
	return func(at time.Duration) bool {
		level = min(burst, level+(at-last).Seconds()*perSecond)
		last = at
		if level < 1 {
			return false
		}
		level--
		return true
	}
}

// shifted is what another limiter allows, so much later.
func shifted(by time.Duration, allows limiter) limiter {
	return func(at time.Duration) bool { return allows(at + by) }
}

// TestPace: ten thousand calls are due at once, 200 ms each, at authorities that allow a hundred a
// second in ways of their own. They are done within 1.3 of the time that this allows, and at most
// 2 % of the calls are throttled.
func TestPace(t *testing.T) {
	for name, test := range map[string]struct {
		allows     limiter
		retryAfter time.Duration
		before     time.Duration // in which there is a call a second
	}{
		"in each second":               {window(time.Second, 100), 5 * time.Second, 0},
		"in each second, longer away":  {window(time.Second, 100), 10 * time.Second, 0},
		"in each second, not at first": {window(time.Second, 100), 5 * time.Second, 20 * time.Second},
		"in each second, begun in one": {shifted(900*time.Millisecond, window(time.Second, 100)), 5 * time.Second, 0},
		"in each minute":               {window(time.Minute, 6000), 20 * time.Second, 0},
		"a burst of a second":          {bucket(100, 100), 5 * time.Second, 0},
		"a burst of ten seconds":       {bucket(100, 1000), 5 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				paced(t, test.allows, test.retryAfter, test.before)
			})
		})
	}
}

func paced(t *testing.T, allows limiter, retryAfter, before time.Duration) {
	const due, allowed = 10_000, 100 * time.Second
	var mu sync.Mutex
	start, passed, refused := time.Now(), 0, 0
	pass := func() bool {
		mu.Lock()
		defer mu.Unlock()
		if allows(time.Since(start)) {
			passed++
			return true
		}
		refused++
		return false
	}
	c, work := newCalls(), lifecycle.NewWork()
	for time.Since(start) < before {
		turn := turnOf(t, c, work, 0)
		time.Sleep(time.Second)
		turn.answered(true)
	}
	start = time.Now()
	var calls sync.WaitGroup
	for i := range due {
		calls.Go(func() {
			for again := true; again; {
				turn := turnOf(t, c, work, i)
				time.Sleep(100 * time.Millisecond)
				again = !pass()
				time.Sleep(100 * time.Millisecond)
				if again {
					turn.throttled(retryAfter)
					time.Sleep(retryAfter)
				} else {
					turn.answered(true)
				}
			}
		})
	}
	calls.Wait()
	took := time.Since(start)
	t.Logf("%d passed, %d refused, in %s", passed, refused, took)
	if took > allowed*13/10 {
		t.Errorf("it took %s, and %s are allowed", took, allowed)
	}
	if refused > due/50 {
		t.Errorf("%d of %d calls were refused", refused, passed+refused)
	}
}

// turnOf is a turn at once, or after as many waits as it takes.
func turnOf(t *testing.T, c *calls, work *lifecycle.Work, i int) *turn {
	turn := c.take(fmt.Sprint(i), readerCalls, time.Now())
	for turn == nil {
		var err error
		var b *busy
		turn, err = c.await(t.Context(), work, fmt.Sprint(i), fmt.Sprint(i))
		if errors.As(err, &b) {
			turn = nil
			time.Sleep(advice(b.wait))
		} else if err != nil {
			t.Error(err)
		}
	}
	return turn
}

// TestPaceRecovers: after a throttling of a quiet mount the pace is low, and soon there is none.
func TestPaceRecovers(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	var p pace
	p.begin(now)
	if !p.throttle(now, now, time.Minute) {
		t.Error("a throttling is no news")
	}
	if p.throttle(now, now, time.Second) {
		t.Error("what another call was told at the same time is news")
	}
	if wait := p.wait(now); wait != time.Minute {
		t.Errorf("it waits for %s", wait)
	}
	now = now.Add(time.Minute)
	if wait, rate := p.wait(now), p.rate(now); wait != 0 || rate != 9 {
		t.Errorf("after Retry-After it waits for %s, at %.0f/s", wait, rate)
	}
	p.begin(now)
	if wait := p.wait(now); wait != probeLimit {
		t.Errorf("while one call tries, others wait for %s", wait)
	}
	p.withdraw(now)
	if wait := p.wait(now); wait != 0 {
		t.Errorf("when it did not, others wait for %s", wait)
	}
	p.begin(now)
	p.answer(now, now.Add(time.Second), true)
	for minutes, want := range map[time.Duration]float64{1: 10, 3: 24, 5: 144, 60: 0} {
		if rate := p.rate(now.Add(minutes * time.Minute)); rate < want || rate > want+1 {
			t.Errorf("after %d minutes %.1f/s, want %.0f", minutes, rate, want)
		}
	}
	began := now.Add(time.Second)
	p.throttle(began, now.Add(2*time.Second), time.Second)
	if want := paceBelow * paceCut * p.tooFast; math.Abs(p.perSecond-want) > 1e-9 || p.tooFast < 9 {
		t.Errorf("after the next throttling at %.2f/s the pace is %.2f/s, want %.2f", p.tooFast,
			p.perSecond, want)
	}
}

// TestGoodput: of the ten seconds up to the latest answer, and of one second at least.
func TestGoodput(t *testing.T) {
	var g goodput
	start := time.Unix(1_800_000_000, 0)
	if g.perSecond() != 0 {
		t.Error("there was no answer")
	}
	for i := range 50 { // in half a second
		g.add(start.Add(time.Duration(i) * 10 * time.Millisecond))
	}
	if got := g.perSecond(); got != 50 {
		t.Errorf("%.1f/s, want 50", got)
	}
	for i := range 200 { // ten a second, for twenty
		g.add(start.Add(time.Hour + time.Duration(i)*100*time.Millisecond))
	}
	if got := g.perSecond(); got != 10 {
		t.Errorf("%.1f/s, want 10", got)
	}
}
