// SPDX-License-Identifier: MPL-2.0

package signin

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/lifecycle"
	"vault-plugin-secrets-entra/internal/store"
)

// sweepGrace lets an expired login be answered with what it was, for a while.
const sweepGrace = time.Minute

// sweeper knows when each login has expired without a callback. It works only on a
// node that may write.
type sweeper struct {
	active atomic.Bool
	wake   chan struct{} // something may be due earlier, or must be found in storage

	mu     sync.Mutex          // guards the fields below; not held across storage
	due    map[string]dueLogin // by the state's hash
	looks  int                 // that were asked for so far
	listed bool                // whether storage was looked through
	listAt time.Time           // it is not before then
}

// dueLogin is a login that is looked at from a time on, and in which order.
type dueLogin struct {
	at    time.Time
	order int
}

func (d dueLogin) compare(other dueLogin) int {
	return cmp.Or(d.at.Compare(other.at), cmp.Compare(d.order, other.order))
}

func newSweeper() *sweeper {
	return &sweeper{wake: make(chan struct{}, 1), due: map[string]dueLogin{}}
}

func (w *sweeper) notify() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *sweeper) add(login *account.Login) {
	w.look(login.Hash(), login.Expiry.Add(sweepGrace))
	w.notify()
}

// expired takes what is due, the earliest first.
func (w *sweeper) expired(now time.Time) (hashes []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for hash, due := range w.due {
		if !due.at.After(now) {
			hashes = append(hashes, hash)
		}
	}
	slices.SortFunc(hashes, func(a, b string) int { return w.due[a].compare(w.due[b]) })
	for _, hash := range hashes {
		delete(w.due, hash)
	}
	return hashes
}

// wait is how long nothing is to be done.
func (w *sweeper) wait(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	wait := time.Hour
	if !w.listed {
		wait = w.listAt.Sub(now)
	}
	for _, due := range w.due {
		wait = min(wait, due.at.Sub(now))
	}
	return max(0, wait)
}

// look makes a login due at a time, without a word: for the sweeper itself.
func (w *sweeper) look(hash string, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	w.due[hash] = dueLogin{at, w.looks}
}

// mustList reports whether storage has to be looked through now, and then no more.
func (w *sweeper) mustList(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listed || now.Before(w.listAt) {
		return false
	}
	w.listed = true
	return true
}

// listAgain has storage looked through at a time.
func (w *sweeper) listAgain(at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listed, w.listAt = false, at
}

// forget drops everything: other nodes write while this one may not.
func (w *sweeper) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due, w.listed, w.listAt = map[string]dueLogin{}, false, time.Time{}
}

// Run sweeps expired logins until the backend stops.
func (s *SignIns) Run() { s.work.Go(s.run) }

// SetActive starts or stops sweeping and polling, as the node may write or not.
func (s *SignIns) SetActive(active bool) {
	if s.sweeper.active.Swap(active) == active {
		return
	}
	if !active {
		s.sweeper.forget()
	}
	s.sweeper.notify()
}

func (s *SignIns) run() {
	for {
		wait := time.Hour
		if s.sweeper.active.Load() {
			wait = s.sweep(time.Now())
		}
		timer := time.NewTimer(wait)
		select {
		case <-s.work.Done():
			timer.Stop()
			return
		case <-s.sweeper.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// sweep deletes the logins that expired without a callback, and returns how long
// there is nothing more to do.
func (s *SignIns) sweep(now time.Time) time.Duration {
	ctx, cancel := context.WithTimeout(context.Background(), lifecycle.StorageGrace)
	defer cancel()
	if s.sweeper.mustList(now) {
		if err := s.resume(ctx, now); err != nil {
			s.log.Warn("pending logins could not be listed, it is tried again", "error", err)
			s.sweeper.listAgain(now.Add(storageRetry))
		}
	}
	left, why := 0, error(nil)
	for _, hash := range s.sweeper.expired(now) {
		if s.work.Stopping() {
			break
		}
		if err := s.sweepOne(ctx, hash, now); err != nil {
			s.sweeper.look(hash, now.Add(storageRetry))
			left, why = left+1, err
		}
	}
	if left > 0 {
		s.log.Warn("logins could not be looked at or deleted yet", "logins", left, "error", why)
	}
	return s.sweeper.wait(time.Now())
}

// sweepOne deletes a login if it has expired, else takes it over.
func (s *SignIns) sweepOne(ctx context.Context, hash string, now time.Time) error {
	login, err := s.logins.Get(ctx, hash)
	switch {
	case errors.Is(err, store.ErrUnreadable):
		s.log.Error("a login cannot be read and stays where it is: roll the plugin forward")
		return nil
	case err != nil || login == nil:
		return err
	case !now.Before(login.Expiry.Add(sweepGrace)):
		return s.logins.Delete(ctx, hash)
	}
	s.sweeper.look(hash, login.Expiry.Add(sweepGrace))
	if login.DeviceCode != "" {
		s.follow(login)
	}
	return nil
}

// LoginInvalidated looks at a login that another node has changed while this one took itself
// for the node that writes. It never waits for storage.
func (s *SignIns) LoginInvalidated(hash string) {
	if s.sweeper.active.Load() {
		s.sweeper.look(hash, time.Now())
		s.sweeper.notify()
	}
}

// resume takes over the logins that are pending in storage: each is looked at now, and again by
// itself where storage does not give it.
func (s *SignIns) resume(ctx context.Context, now time.Time) error {
	hashes, err := s.logins.List(ctx)
	if err != nil {
		return err
	}
	for _, hash := range hashes {
		s.sweeper.look(hash, now)
	}
	return nil
}
