// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"math"
	"time"
)

const (
	// paceSlack is how far calls lag behind the pace and catch up: timers are late at times.
	paceSlack = 50 * time.Millisecond

	// paceFirst is the least pace after a first throttling, in calls a second: a mount that was
	// quiet until then has shown little of what works.
	paceFirst = 10

	// paceLeast is the least pace ever, paceMost the one that counts as none.
	paceLeast, paceMost = 1, 100_000

	// paceBelow is the part of what has worked that calls go on with.
	paceBelow = 0.9

	// paceCut is the least part of a pace that was too fast that the next one is measured by: what
	// has worked is counted across a Retry-After, and comes out too low where a burst is small.
	paceCut = 0.75

	// paceGrowth says how the pace grows: by 2 to the square of the time in this unit. It is
	// below what has worked for a minute, twice that after 2.7 and ten times after 4.7.
	paceGrowth = 150 * time.Second

	// probeLimit is how long the one call after a Retry-After keeps the others waiting.
	probeLimit = 5 * time.Second
)

// pace is how soon calls to Entra may follow each other. They come as they are asked for until
// Entra throttles. Then none comes before its Retry-After is over, one tries whether it is, and
// the others follow at a little less than the rate that has worked. Since nobody says what Entra
// allows, that rate grows, slowly at first; when it is too high, the same begins again.
type pace struct {
	closedUntil time.Time // Entra said Retry-After
	throttledAt time.Time // when it last said so to a call that had begun after the time before
	tooFast     float64   // the pace then; 0: there was none
	perSecond   float64   // the pace at closedUntil; 0: there is none
	next        time.Time // of the next call at the pace
	probing     bool      // nothing was answered since closedUntil
	probeAt     time.Time // when the call that tries began, zero where none does
	worked      goodput
}

// wait is how long it is until the next call may begin; 0 is now.
func (p *pace) wait(now time.Time) time.Duration {
	at := p.closedUntil
	switch {
	case !p.probing:
		at = later(at, p.next)
	case !p.probeAt.IsZero():
		at = later(at, p.probeAt.Add(probeLimit))
	}
	return max(0, at.Sub(now))
}

// rate is the pace in calls a second; 0 where there is none.
func (p *pace) rate(now time.Time) float64 {
	grown := max(0, now.Sub(p.closedUntil).Seconds()/paceGrowth.Seconds())
	if rate := p.perSecond * math.Exp2(grown*grown); rate < paceMost {
		return rate
	}
	return 0
}

// begin notes that a call begins.
func (p *pace) begin(now time.Time) {
	if p.probing {
		p.probeAt = now
	}
	rate := p.rate(now)
	if rate == 0 {
		p.perSecond, p.next = 0, time.Time{}
		return
	}
	interval := time.Duration(float64(time.Second) / rate)
	p.next = later(p.next, now.Add(-paceSlack)).Add(interval)
}

// withdraw takes back a begin: there was nothing to call for.
func (p *pace) withdraw(began time.Time) {
	if p.probeAt.Equal(began) {
		p.probeAt = time.Time{}
	}
}

// answer notes that a call is over that was not throttled; byEntra is whether Entra has said
// something.
func (p *pace) answer(began, now time.Time, byEntra bool) {
	if byEntra {
		p.worked.add(now)
	}
	if !began.Before(p.closedUntil) {
		p.probing = false
	} else if p.probing { // it passed before Entra throttled
		p.slowDown()
	}
}

// throttle notes that Entra throttled a call and wants to be left alone for a time. It reports
// whether that is news: calls that were under way at the last time say the same once more.
func (p *pace) throttle(began, now time.Time, retryAfter time.Duration) (news bool) {
	if news = began.After(p.throttledAt); news {
		p.throttledAt, p.tooFast = now, p.rate(now)
		p.slowDown()
	}
	p.closedUntil = later(p.closedUntil, now.Add(retryAfter))
	p.probing, p.probeAt, p.next = true, time.Time{}, time.Time{}
	return news
}

// slowDown sets the pace to a little less than what has worked, and than what was too fast.
func (p *pace) slowDown() {
	rate := max(paceFirst, p.worked.perSecond())
	if p.tooFast > 0 {
		rate = min(p.tooFast, max(paceCut*p.tooFast, p.worked.perSecond()))
	}
	p.perSecond = max(paceLeast, paceBelow*rate)
}

// goodput counts the answers of the ten seconds up to the latest one, in tenths of a second.
type goodput struct {
	tenths [100]int
	start  time.Time // of the first answer: the clock may be set back, the time since then is not
	latest int64     // tenth of a second, since then
}

// add counts an answer.
func (g *goodput) add(now time.Time) {
	if g.start.IsZero() {
		g.start = now
	}
	tenth, length := now.Sub(g.start).Milliseconds()/100, int64(len(g.tenths))
	for t := max(g.latest+1, tenth-length+1); t <= tenth; t++ {
		g.tenths[t%length] = 0 // those of long ago
	}
	g.latest = max(g.latest, tenth)
	g.tenths[g.latest%length]++
}

// perSecond is the best mean from any moment on until the latest answer, over one second at least:
// so much a throttle counts over. A mount that was quiet before its calls came has shown less.
func (g *goodput) perSecond() (best float64) {
	length := int64(len(g.tenths))
	sum := 0
	for back := range length {
		sum += g.tenths[(g.latest-back+length)%length]
		best = max(best, float64(sum)/max(1, float64(back+1)/10))
	}
	return best
}
