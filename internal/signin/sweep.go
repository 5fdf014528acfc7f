// SPDX-License-Identifier: MPL-2.0

package signin

import (
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

	mu     sync.Mutex           // guards the fields below; not held across storage
	due    map[string]time.Time // by the state's hash
	listed bool                 // whether storage was looked through
}

func newSweeper() *sweeper {
	return &sweeper{wake: make(chan struct{}, 1), due: map[string]time.Time{}}
}

func (w *sweeper) notify() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *sweeper) add(login *account.Login) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due[login.Hash()] = login.Expiry.Add(sweepGrace)
	w.notify()
}

// expired takes what is due, the earliest first, and returns how long nothing else is.
func (w *sweeper) expired(now time.Time) (hashes []string, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wait = time.Hour
	for hash, due := range w.due {
		if due.After(now) {
			wait = min(wait, due.Sub(now))
			continue
		}
		hashes = append(hashes, hash)
	}
	slices.SortFunc(hashes, func(a, b string) int { return w.due[a].Compare(w.due[b]) })
	for _, hash := range hashes {
		delete(w.due, hash)
	}
	return hashes, wait
}

// again makes a login due at a time.
func (w *sweeper) again(hash string, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due[hash] = at
}

// mustList reports whether storage has to be looked through, from now on not.
func (w *sweeper) mustList() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	must := !w.listed
	w.listed = true
	return must
}

// forget drops everything: other nodes write while this one may not.
func (w *sweeper) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due, w.listed = map[string]time.Time{}, false
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
	if s.sweeper.mustList() {
		if err := s.resume(ctx); err != nil {
			s.log.Warn("pending logins could not be listed, it is tried again", "error", err)
			s.sweeper.forget()
			return storageRetry
		}
	}
	hashes, wait := s.sweeper.expired(now)
	for _, hash := range hashes {
		if s.work.Stopping() {
			break
		}
		if err := s.sweepOne(ctx, hash, now); err != nil {
			s.log.Warn("an expired login could not be deleted yet", "error", err)
			s.sweeper.again(hash, now.Add(storageRetry))
			wait = min(wait, storageRetry)
		}
	}
	return wait
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
	s.sweeper.add(login)
	if login.DeviceCode != "" {
		s.follow(login)
	}
	return nil
}

// LoginInvalidated looks at a login that another node has changed while this one took itself
// for the node that writes. It never waits for storage.
func (s *SignIns) LoginInvalidated(hash string) {
	if s.sweeper.active.Load() {
		s.sweeper.again(hash, time.Now())
		s.sweeper.notify()
	}
}

// resume takes over the logins that are pending in storage.
func (s *SignIns) resume(ctx context.Context) error {
	hashes, err := s.logins.List(ctx)
	if err != nil {
		return err
	}
	for _, hash := range hashes {
		if err := s.sweepOne(ctx, hash, time.Now()); err != nil {
			return err
		}
	}
	return nil
}
