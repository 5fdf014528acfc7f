// SPDX-License-Identifier: MPL-2.0

package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
)

const (
	// allowedCalls is how many calls a second the simulator lets pass after the outage, and
	// throttleWait what it says in Retry-After to the others.
	allowedCalls = 100
	throttleWait = 5 * time.Second

	// callsAtOnce is the engine's ceiling: one such round may be in vain, however few accounts
	// there are.
	callsAtOnce = 72

	freshAccounts = 100

	// bigHerd is from how many accounts on the time counts: a smaller one is over before it is
	// known how much Entra lets pass, which costs a Retry-After or two.
	bigHerd = 5_000
)

// comeBack is when an answer asks its reader to come back.
var comeBack = regexp.MustCompile(`try again in ((?:\d+m)?\d+s)`)

// recovery is what the readers of an outage's accounts saw.
type recovery struct {
	mu      sync.Mutex
	back    time.Duration // the last of them has a token
	longest time.Duration // an answer took
	told    int           // answers without a token
}

// outage lets the tokens of many accounts end, and a reader for each come at once when Entra is
// back and throttles.
func (b *bench) outage() error {
	n := b.outageAccounts
	requests, fresh, err := b.outageAccountsOf(n)
	if err != nil {
		return err
	}
	alone, err := load(b.vault.addr, fresh, 1, 2*b.length)
	if err != nil {
		return err
	}
	throttle, err := b.sim.throttle(allowedCalls, throttleWait, entraLatency)
	if err != nil {
		return err
	}
	before, err := b.sim.refreshes()
	if err != nil {
		return err
	}
	b.doing("after an outage: %s readers, some %.0f s", count(n), 1.2*float64(n)/allowedCalls)
	meanwhile := make(chan roundOrError, 1)
	go func() {
		r, err := load(b.vault.addr, fresh, 1, time.Duration(n)*time.Second/allowedCalls)
		meanwhile <- roundOrError{r, err}
	}()
	seen, err := b.recover(requests)
	during := <-meanwhile
	if err := errors.Join(err, during.err); err != nil {
		return err
	}
	after, err := b.sim.refreshes()
	if err != nil {
		return err
	}
	refused, err := b.sim.fired(throttle)
	if err != nil {
		return err
	}
	b.outageTable(n, seen, after-before, refused, alone, during.round)
	return b.sim.latency(0)
}

type roundOrError struct {
	round
	err error
}

// outageAccountsOf makes n accounts whose tokens have ended, and some with fresh ones.
func (b *bench) outageAccountsOf(n int) (requests, fresh [][]byte, err error) {
	b.doing("after an outage: make %s accounts", count(n))
	if err := b.sim.lifetime(shortLife); err != nil {
		return nil, nil, err
	}
	// Nothing but a reader is to refresh here.
	err = b.mountEngine("outage", "entra", map[string]any{"background_refresh": false})
	if err != nil {
		return nil, nil, err
	}
	if err := b.copyAccounts("outage", n); err != nil {
		return nil, nil, err
	}
	time.Sleep(shortLife)
	if err := b.sim.lifetime(tokenLifetime); err != nil {
		return nil, nil, err
	}
	for i := range freshAccounts {
		name := fmt.Sprintf("fresh-%03d", i)
		if err := b.importAccount("outage", name); err != nil {
			return nil, nil, err
		}
		fresh = append(fresh, b.vault.get("outage/token/"+name))
	}
	return b.tokenRequests("outage", n), fresh, nil
}

// recover reads each account's token, on a connection of its own, until it is there. Readers come
// back when they are told to.
func (b *bench) recover(requests [][]byte) (*recovery, error) {
	readers, err := dialAll(b.vault.addr, len(requests))
	if err != nil {
		return nil, err
	}
	defer closeAll(readers)
	seen, start := &recovery{}, time.Now()
	failed := make(chan error, len(readers))
	var done sync.WaitGroup
	for i, r := range readers {
		done.Go(func() {
			for {
				began := time.Now()
				err := r.do(requests[i])
				seen.note(start, began, err)
				if err == nil {
					return
				}
				if !strings.Contains(err.Error(), "entra_unavailable") {
					failed <- err
					return
				}
				wait := throttleWait
				if found := comeBack.FindStringSubmatch(err.Error()); found != nil {
					wait, _ = time.ParseDuration(found[1])
				}
				time.Sleep(wait)
			}
		})
	}
	done.Wait()
	close(failed)
	return seen, <-failed
}

func (r *recovery) note(start, began time.Time, err error) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.longest = max(r.longest, now.Sub(began))
	if err != nil {
		r.told++
	} else {
		r.back = max(r.back, now.Sub(start))
	}
}

func (b *bench) outageTable(n int, seen *recovery, calls, refused int, alone, during round) {
	b.title("After an outage: %s expired accounts, a reader for each on its own connection", count(n))
	b.say("The simulator is %s away and throttles above %d calls/s, with Retry-After %s.\n",
		entraLatency, allowedCalls, throttleWait)
	allowed := float64(n) / allowedCalls
	b.table([]string{"token requests", "in vain", "all back", "allowed", "longest read", "told to come back"},
		[]string{count(calls), count(refused), inSeconds(seen.back), fmt.Sprintf("%.2f s", allowed),
			inSeconds(seen.longest), count(seen.told)})
	b.say("Fresh tokens on one connection: p50 %s and p99 %s alone, %s and %s meanwhile.",
		milliseconds(alone.p50), milliseconds(alone.p99), milliseconds(during.p50),
		milliseconds(during.p99))
	inVain := max(callsAtOnce, calls/50)
	b.judge("after an outage, calls in vain", count(refused), "at most "+count(inVain), refused <= inVain)
	if n >= bigHerd {
		b.atMost("after an outage, all back / allowed by the throttle", seen.back.Seconds()/allowed, 1.3, "")
	}
	b.atMost("after an outage, the longest read", seen.longest.Seconds(), 35, " s")
	b.atMost("after an outage, p99 of fresh reads / alone",
		float64(during.p99)/float64(alone.p99), 1.2, "")
}
