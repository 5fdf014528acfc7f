// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"context"
	"errors"
	"slices"
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

	// auditInterval is how often the schedule is held against the index, and auditPart how
	// many accounts are looked at before others have their turn.
	auditInterval = time.Hour
	auditPart     = 1000

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

	switching sync.Mutex    // one SetActive at a time; taken before mu
	active    atomic.Uint64 // which term of this node as the one that may write; 0: it may not
	terms     uint64        // so far; guarded by switching
	wake      chan struct{} // something may be due earlier
	build     chan struct{} // the schedule must be made anew

	mu       sync.Mutex // guards the fields below; not held across storage or network
	schedule *schedule  // by account name
	use      map[string]*use
	busy     map[string]*job // refreshes under way
}

// use is what is known of an account's readers since its last refresh.
type use struct {
	lastRead time.Time
	tokens   map[string]time.Time // by role: when the token that was read was obtained
}

// job is a refresh under way. What becomes of its account meanwhile is scheduled when it
// ends.
type job struct {
	latest *account.Entry // nil: it did not change
	gone   bool
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
		busy:      map[string]*job{},
	}
}

// Start runs the worker until the backend stops.
func (w *Worker) Start() {
	w.work.Go(w.run)
	w.work.Go(w.runBuilds)
	w.work.Go(w.runAudits)
}

// SetActive starts or stops the work, as the node may write or not.
func (w *Worker) SetActive(active bool) {
	w.switching.Lock()
	defer w.switching.Unlock()
	switch {
	case active == w.isActive():
	case active:
		w.terms++
		w.active.Store(w.terms)
		w.accounts.Index.Keep()
		w.Rebuild()
	default:
		w.rest()
	}
}

// endTerm ends the work of a term in which this node has learned that it may not write; a later
// one goes on.
func (w *Worker) endTerm(term uint64) {
	w.switching.Lock()
	defer w.switching.Unlock()
	if term != 0 && w.active.Load() == term {
		w.rest()
	}
}

// rest forgets what there is to do. The caller holds switching.
func (w *Worker) rest() {
	w.active.Store(0)
	w.mu.Lock()
	w.schedule, w.use = newSchedule(), map[string]*use{}
	w.mu.Unlock()
	w.accounts.Index.Forget()
}

func (w *Worker) isActive() bool { return w.active.Load() != 0 }

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
	if term := w.active.Load(); term == 0 || !t.FirstRead(term) {
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
	if reg.BackgroundRefresh && w.busy[req.Account] == nil { // else when its refresh ends
		w.schedule.setEarlier(req.Account, t.RefreshAt(reg.RefreshMargin, jitter(req.Account, t.ObtainedAt)), inUse)
		notify(w.wake)
	}
}

// AccountChanged schedules an account as it is stored now; after is nil where it was
// deleted. It is called under the account's lock.
func (w *Worker) AccountChanged(name string, _, after *account.Entry) {
	if !w.isActive() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if after == nil {
		delete(w.use, name)
		w.schedule.drop(name)
	} else {
		w.forgetReplaced(name, after)
	}
	if running := w.busy[name]; running != nil {
		running.latest, running.gone = after, after == nil
		return
	}
	if after != nil {
		next := w.nextDue(name, after, nil, time.Now())
		w.schedule.set(name, next.at, next.urgency)
		notify(w.wake)
	}
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
	if !w.isActive() {
		return idleWait
	}
	closedUntil, oneAtATime := w.refresher.backoff.gate()
	closedUntil = later(closedUntil, w.refresher.calls.closedUntil())
	if closedUntil.After(now) {
		return closedUntil.Sub(now)
	}
	limit := w.ceiling()
	if oneAtATime {
		limit = 1
	}
	for len(w.busy) < limit {
		name, ok := w.schedule.take(now)
		if !ok {
			break
		}
		w.busy[name] = &job{}
		w.work.Go(func() { w.refreshAccount(name) })
	}
	if next := w.schedule.next(); !next.IsZero() && len(w.busy) < limit {
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

// refreshAccount does what is due for one account and schedules what comes next. It is the
// one way back onto the schedule for whom dispatch took off it.
func (w *Worker) refreshAccount(name string) {
	ctx, cancel := context.WithTimeout(context.Background(), jobTimeout)
	defer cancel()
	generation := w.config.Generation()
	e, worked, err := w.refreshDue(ctx, name)
	var scopes roleScopes
	if err == nil && e != nil {
		scopes, err = w.scopesOf(ctx, e)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	running := w.busy[name]
	delete(w.busy, name)
	defer notify(w.wake)
	now := time.Now()
	if running.latest != nil {
		e = running.latest
	}
	switch {
	case !w.isActive() || running.gone:
	case err != nil && !problem.Internal(err) && generation == w.config.Generation():
		// Not configured: a config write makes the schedule anew.
		w.schedule.set(name, time.Time{}, idle)
	case err != nil:
		w.log.Warn("background refresh put off", "account", name, "error", err)
		w.schedule.set(name, now.Add(storageRetry), idle)
	case e != nil:
		next := w.nextDue(name, e, scopes, now)
		if !worked && !next.at.IsZero() {
			next.at = later(next.at, now.Add(backoffMin)) // never into the past
		}
		w.schedule.set(name, next.at, next.urgency)
	}
}

// refreshDue refreshes what is due for the account, if anything is, and reports whether
// that worked. It returns the account as it is afterwards, nil if it is gone.
func (w *Worker) refreshDue(ctx context.Context, name string) (e *account.Entry, worked bool, err error) {
	term := w.active.Load()
	reg, err := w.config.Registration(ctx)
	if err != nil {
		return nil, false, err
	}
	if e, err = w.accounts.Get(ctx, name); err != nil || e == nil {
		return nil, false, err
	}
	scopes, err := w.scopesOf(ctx, e)
	if err != nil {
		return nil, false, err
	}
	w.mu.Lock()
	role, due := w.dueRole(name, e, reg.Entry, scopes, time.Now())
	req := TokenRequest{Account: name, Role: role, Scopes: scopes[role], background: true}
	if u := w.use[name]; u != nil {
		req.lastRead = u.lastRead
	}
	w.mu.Unlock()
	if !due {
		return e, false, nil
	}
	if role == "" {
		req.Scopes = e.EffectiveScopes(reg.Entry)
	}
	if t := e.Tokens[role]; t != nil {
		req.newer = t.ObtainedAt
	}
	after, err := w.refresher.Refresh(ctx, reg, req)
	switch {
	case err == nil:
		return after, true, nil
	case errors.Is(err, logical.ErrReadOnly):
		w.endTerm(term)
		return nil, false, err
	case problem.Internal(err):
		return nil, false, err
	}
	e, err = w.accounts.Get(ctx, name)
	return e, false, err
}

// scopesOf looks up the account's roles, those that somebody read included.
func (w *Worker) scopesOf(ctx context.Context, e *account.Entry) (roleScopes, error) {
	scopes := roleScopes{}
	for _, role := range e.Roles {
		stored, err := w.config.Roles.Get(ctx, role)
		if err != nil {
			return nil, err
		}
		if stored != nil {
			scopes[role] = stored.Scopes
		}
	}
	return scopes, nil
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
		for w.isActive() {
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
	accounts, err = w.accounts.BuildIndex(ctx, func(name string, e *account.Entry, note func() bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !note() || w.busy[name] != nil {
			return
		}
		next := w.nextDue(name, e, nil, time.Now())
		w.schedule.set(name, next.at, next.urgency)
	})
	notify(w.wake)
	return accounts, err
}

// runAudits looks every hour for accounts that the schedule has lost.
func (w *Worker) runAudits() {
	for w.work.Sleep(context.Background(), auditInterval) {
		if w.isActive() {
			w.audit()
		}
	}
}

// audit puts back every account that the index knows and the schedule does not. There is
// none, unless this file has a fault: so it says whom it finds.
func (w *Worker) audit() {
	names, complete := w.accounts.Index.Names()
	if !complete {
		return
	}
	for part := range slices.Chunk(names, auditPart) {
		w.mu.Lock()
		for _, name := range part {
			if !w.schedule.has(name) && w.busy[name] == nil && w.accounts.Index.Has(name) {
				w.log.Error("an account was lost from the schedule and is put back", "account", name)
				w.schedule.set(name, time.Now(), idle)
			}
		}
		w.mu.Unlock()
	}
	notify(w.wake)
}
