// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/config"
	"vault-plugin-secrets-entra/internal/lifecycle"
	"vault-plugin-secrets-entra/internal/problem"
)

const (
	// storageRetry is how long what storage interrupted waits.
	storageRetry = 5 * time.Second

	// idleWait is how long the worker sleeps when nothing is scheduled.
	idleWait = time.Hour

	// jobTimeout bounds one account's refresh in the background, with its storage.
	jobTimeout = 2*lifecycle.StorageGrace + 2*time.Minute
)

// Worker refreshes when nobody asks: tokens in use ahead of their expiry, and idle
// refresh tokens before they end. It works only on a node that may write.
type Worker struct {
	refresher *Refresher
	config    *config.Store
	accounts  *account.Store
	work      *lifecycle.Work
	log       hclog.Logger

	active atomic.Bool   // whether this node may write
	wake   chan struct{} // something may be due earlier
	build  chan struct{} // the schedule must be made anew

	mu       sync.Mutex // guards the fields below; not held across storage or network
	schedule *schedule  // by account name
	use      map[string]*use
	running  int // refreshes under way
}

// use is what is known of an account's readers since its last refresh.
type use struct {
	lastRead time.Time
	tokens   map[string]time.Time // by role: when the token that was read was obtained
}

// NewWorker returns a worker that rests until it is started and set active.
func NewWorker(refresher *Refresher) *Worker {
	return &Worker{
		refresher: refresher,
		config:    refresher.config,
		accounts:  refresher.accounts,
		work:      refresher.work,
		log:       refresher.log,
		wake:      make(chan struct{}, 1),
		build:     make(chan struct{}, 1),
		schedule:  newSchedule(),
		use:       map[string]*use{},
	}
}

// Start runs the worker until the backend stops.
func (w *Worker) Start() {
	w.work.Go(w.run)
	w.work.Go(w.runBuilds)
}

// SetActive starts or stops the work, as the node may write or not.
func (w *Worker) SetActive(active bool) {
	if w.active.Swap(active) == active {
		return
	}
	if active {
		w.Rebuild()
		return
	}
	w.mu.Lock()
	w.schedule, w.use = newSchedule(), map[string]*use{}
	w.mu.Unlock()
	w.accounts.Index.Forget()
}

// Rebuild makes the schedule and the index anew, in the background: the config may
// have changed.
func (w *Worker) Rebuild() { notify(w.build) }

// notify leaves a word for the receiver, which may have one already.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// TokenRead notes that somebody is served a token: the first time it is, the account
// is scheduled to be refreshed ahead.
func (w *Worker) TokenRead(req TokenRequest, t *account.CachedToken, reg *config.Registration, now time.Time) {
	if !t.FirstRead() || !w.active.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	u := w.use[req.Account]
	if u == nil {
		u = &use{tokens: map[string]time.Time{}}
		w.use[req.Account] = u
	}
	u.lastRead = now
	u.tokens[req.Role] = t.ObtainedAt
	if reg.BackgroundRefresh {
		w.schedule.setEarlier(req.Account, t.RefreshAt(reg.RefreshMargin, rand.Float64()))
		notify(w.wake)
	}
}

// AccountChanged schedules an account as it is stored now; after is nil where it was
// deleted. It is called under the account's lock.
func (w *Worker) AccountChanged(name string, _, after *account.Entry) {
	if !w.active.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if after == nil {
		delete(w.use, name)
		w.schedule.set(name, time.Time{})
		return
	}
	w.forgetReplaced(name, after)
	w.schedule.set(name, w.nextDue(name, after, time.Now()))
	notify(w.wake)
}

// forgetReplaced drops what was noted of the readers of tokens that are not cached
// any more.
func (w *Worker) forgetReplaced(name string, e *account.Entry) {
	u := w.use[name]
	if u == nil {
		return
	}
	for role, obtained := range u.tokens {
		if t := e.Tokens[role]; t == nil || !t.ObtainedAt.Equal(obtained) {
			delete(u.tokens, role)
		}
	}
	if len(u.tokens) == 0 && !u.lastRead.After(e.LastReadTime) {
		delete(w.use, name)
	}
}

// run starts what is due.
func (w *Worker) run() {
	for {
		timer := time.NewTimer(w.dispatch(time.Now()))
		select {
		case <-w.work.Done():
			timer.Stop()
			return
		case <-w.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// dispatch starts what is due, as far as the ceiling allows, and returns how long
// there is nothing more to do.
func (w *Worker) dispatch(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.active.Load() {
		return idleWait
	}
	if paused := w.refresher.backoff.pausedUntil(); paused.After(now) {
		return paused.Sub(now)
	}
	for w.running < w.ceiling() {
		name, ok := w.schedule.take(now)
		if !ok {
			break
		}
		w.running++
		go w.refreshAccount(name)
	}
	if next := w.schedule.next(); !next.IsZero() && w.running < w.ceiling() {
		return min(idleWait, max(0, next.Sub(now)))
	}
	return idleWait // a refresh that ends wakes the worker
}

func (w *Worker) ceiling() int {
	if reg := w.config.Current(); reg != nil {
		return reg.MaxConcurrentRefreshes
	}
	return 1
}

// refreshAccount does what is due for one account and schedules what comes next.
func (w *Worker) refreshAccount(name string) {
	defer func() {
		w.mu.Lock()
		w.running--
		w.mu.Unlock()
		notify(w.wake)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), jobTimeout)
	defer cancel()
	e, err := w.refreshDue(ctx, name)
	if e == nil {
		w.postpone(name, err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.active.Load() {
		w.schedule.set(name, w.nextDue(name, e, time.Now()))
	}
}

// refreshDue refreshes what is due for the account, if anything is. It returns the
// account as it is afterwards, whether that worked or not; nil where that is not
// known or the account is gone.
func (w *Worker) refreshDue(ctx context.Context, name string) (*account.Entry, error) {
	reg, err := w.config.Registration(ctx)
	if err != nil {
		return nil, err
	}
	e, err := w.accounts.Get(ctx, name)
	if err != nil || e == nil {
		return nil, err
	}
	w.mu.Lock()
	role, due := w.dueRole(name, e, reg.Entry, time.Now())
	w.mu.Unlock()
	if !due {
		return e, nil
	}
	req, err := w.refresher.Request(ctx, reg, e, name, role)
	if err != nil {
		return nil, err
	}
	req.background = true
	if t := e.Tokens[role]; t != nil {
		req.newer = t.ObtainedAt
	}
	w.mu.Lock()
	if u := w.use[name]; u != nil {
		req.lastRead = u.lastRead
	}
	w.mu.Unlock()
	after, err := w.refresher.Refresh(ctx, reg, req)
	switch {
	case err == nil:
		return after, nil
	case errors.Is(err, logical.ErrReadOnly):
		w.SetActive(false)
		return nil, err
	case problem.Internal(err):
		return nil, err
	}
	return w.accounts.Get(ctx, name)
}

// postpone tries an account again after Vault's own trouble, or leaves it alone where
// there is nothing to serve it with.
func (w *Worker) postpone(name string, err error) {
	if !problem.Internal(err) || !w.active.Load() || w.work.Stopping() {
		return // not configured: a config write makes the schedule anew
	}
	w.log.Warn("background refresh put off", "account", name, "error", err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.schedule.setEarlier(name, time.Now().Add(storageRetry))
}

// runBuilds makes the schedule and the index when it is asked to, again and again
// until storage lets it.
func (w *Worker) runBuilds() {
	ctx := context.Background()
	for {
		select {
		case <-w.work.Done():
			return
		case <-w.build:
		}
		for w.active.Load() {
			start := time.Now()
			accounts, err := w.buildOnce(ctx)
			if err == nil {
				w.log.Debug("the account index is complete",
					"accounts", accounts, "duration", time.Since(start).String())
				break
			}
			w.log.Warn("the account index could not be completed, it is tried again", "error", err)
			if !w.work.Sleep(ctx, storageRetry) {
				return
			}
		}
	}
}

// buildOnce schedules every account. What is written meanwhile counts more.
func (w *Worker) buildOnce(ctx context.Context) (accounts int, err error) {
	if _, err := w.config.Registration(ctx); problem.Internal(err) {
		return 0, err
	}
	accounts, err = w.accounts.BuildIndex(ctx, func(name string, e *account.Entry) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.schedule.set(name, w.nextDue(name, e, time.Now()))
	})
	notify(w.wake)
	return accounts, err
}
