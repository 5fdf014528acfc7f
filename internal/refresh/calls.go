// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"container/list"
	"context"
	"sync"
	"time"

	"vault-plugin-secrets-entra/internal/lifecycle"
)

const (
	// readerCalls is how many calls to Entra are under way at once beside the
	// max_concurrent_refreshes that the background may have.
	readerCalls = 64

	// turnLimit is how long a refresh keeps its place: longer than the callers who asked for
	// it, who come back.
	turnLimit = 5 * time.Minute

	// maxWaiting is how many refreshes wait for their turn at most, and maxOfOne those of one
	// account.
	maxWaiting = 16 * 1024
	maxOfOne   = 256

	// retrySpread is how much later than Retry-After a mount calls again at most.
	retrySpread = 5 * time.Second
)

// calls lets calls to Entra begin in order of arrival: so many at once, one for each account, and
// after Entra has throttled at a pace that works.
type calls struct {
	mu       sync.Mutex       // guards the fields below; nothing is called under it
	ceiling  int              // of calls under way, as of the latest config
	underWay map[string]bool  // by account
	waiting  list.List        // of *turn, in order of arrival
	byKey    map[string]*turn // those that wait
	ofOne    map[string]int   // how many wait, by account
	arrived  uint64           // counts turns that had to wait
	served   uint64           // the number of the latest whose time came
	pace     pace
	timer    *time.Timer // for the next one, while it waits for the pace
}

// turn is the right to one call to Entra, with its one repetition.
type turn struct {
	calls   *calls
	account string
	key     string
	number  uint64
	place   *list.Element // nil: it does not wait
	begun   time.Time
	over    bool
	came    chan error // gets nil when the call may begin
}

func newCalls() *calls {
	return &calls{underWay: map[string]bool{}, byKey: map[string]*turn{}, ofOne: map[string]int{}}
}

// take returns a turn of the account at once if nothing stands against it, else nil.
func (c *calls) take(account string, ceiling int, now time.Time) *turn {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ceiling = ceiling
	if c.waiting.Len() > 0 || !c.mayBegin(account) || c.pace.wait(now) > 0 {
		return nil
	}
	t := &turn{calls: c, account: account}
	c.begin(t, now)
	return t
}

// await waits for a turn of the account, as long as ctx and work allow. key is the refresh's, whose
// callers ask busy for it meanwhile.
func (c *calls) await(ctx context.Context, work *lifecycle.Work, account, key string) (*turn, error) {
	t := &turn{calls: c, account: account, key: key, came: make(chan error, 1)}
	if err := c.join(t, time.Now()); err != nil {
		return nil, err
	}
	select {
	case err := <-t.came:
		return t, err
	case <-work.Done():
		t.end()
		return nil, lifecycle.ErrStopping
	case <-ctx.Done():
		defer t.end()
		return nil, c.busy(t.number, time.Now())
	}
}

// join puts a turn at the end of those that wait.
func (c *calls) join(t *turn, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pace.closedUntil.Sub(now) > patience || c.waiting.Len() >= maxWaiting || c.ofOne[t.account] >= maxOfOne {
		return c.busyLocked(c.arrived+1, now)
	}
	c.arrived++
	t.number, t.place = c.arrived, c.waiting.PushBack(t)
	c.byKey[t.key] = t
	c.ofOne[t.account]++
	c.dispatch(now)
	return nil
}

// dispatch lets begin what may begin. The caller holds mu.
func (c *calls) dispatch(now time.Time) {
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	for next := c.waiting.Front(); next != nil && len(c.underWay) < c.ceiling; {
		t := next.Value.(*turn)
		next = next.Next()
		if !c.mayBegin(t.account) {
			continue // when the call under way ends
		}
		if wait := c.pace.wait(now); wait > 0 {
			c.timer = time.AfterFunc(wait, func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.dispatch(time.Now())
			})
			return
		}
		c.leave(t)
		c.served = max(c.served, t.number)
		c.begin(t, now)
		t.came <- nil
	}
}

// mayBegin reports whether a call of the account may begin but for the pace. The caller holds mu.
func (c *calls) mayBegin(account string) bool {
	return len(c.underWay) < c.ceiling && !c.underWay[account]
}

func (c *calls) begin(t *turn, now time.Time) {
	c.underWay[t.account] = true
	t.begun = now
	c.pace.begin(now)
}

// leave takes a turn out of those that wait. The caller holds mu.
func (c *calls) leave(t *turn) {
	c.waiting.Remove(t.place)
	t.place = nil
	delete(c.byKey, t.key)
	if c.ofOne[t.account]--; c.ofOne[t.account] == 0 {
		delete(c.ofOne, t.account)
	}
}

// end gives the turn up, if that has not been done: nothing was called.
func (t *turn) end() {
	t.finish(func(now time.Time) { t.calls.pace.withdraw(t.begun) })
}

// answered ends the turn: Entra has answered the call, or did not in time.
func (t *turn) answered(byEntra bool) {
	t.finish(func(now time.Time) { t.calls.pace.answer(t.begun, now, byEntra) })
}

// throttled ends the turn: Entra wants to be left alone for a time. It reports whether that is
// news.
func (t *turn) throttled(retryAfter time.Duration) (news bool) {
	c := t.calls
	t.finish(func(now time.Time) {
		news = c.pace.throttle(t.begun, now, retryAfter)
		if retryAfter > patience { // nobody waits that long
			for e := c.waiting.Front(); e != nil; e = c.waiting.Front() {
				left := e.Value.(*turn)
				c.leave(left)
				left.over = true
				left.came <- c.busyLocked(left.number, now)
			}
			c.served = c.arrived
		}
	})
	return news
}

// finish ends the turn once, and lets the next begin.
func (t *turn) finish(note func(now time.Time)) {
	c, now := t.calls, time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case t.over:
		return
	case t.place != nil:
		c.leave(t)
	default:
		delete(c.underWay, t.account)
		note(now)
	}
	t.over = true
	c.dispatch(now)
}

// closedUntil is when Entra may be asked again, by its Retry-After.
func (c *calls) closedUntil() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pace.closedUntil
}

// forget drops what is known of Entra's limits: they may be another registration's.
func (c *calls) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pace = pace{}
	c.dispatch(time.Now())
}

// closed is what callers are told while Entra wants to be left alone for longer than they have
// patience; nil where they may wait for their turn.
func (c *calls) closed(now time.Time) *busy {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pace.closedUntil.Sub(now) <= patience && c.waiting.Len() < maxWaiting {
		return nil
	}
	return c.busyLocked(c.arrived+1, now)
}

// waits reports whether the refresh of that key waits for its turn, and what its callers are
// told who do not want to.
func (c *calls) waits(key string, now time.Time) *busy {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.byKey[key]
	if t == nil {
		return nil
	}
	return c.busyLocked(t.number, now)
}

func (c *calls) busy(number uint64, now time.Time) *busy {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busyLocked(number, now)
}

// busyLocked says how long it is until the turn of that number comes, as far as can be known.
// The caller holds mu.
func (c *calls) busyLocked(number uint64, now time.Time) *busy {
	rate := c.pace.rate(now)
	if rate == 0 {
		rate = max(1, c.pace.worked.perSecond())
	}
	before := max(0, int64(number)-int64(c.served)-1)
	wait := time.Duration(float64(before) / rate * float64(time.Second))
	return &busy{wait + max(0, c.pace.closedUntil.Sub(now)), c.pace.rate(now) > 0}
}
