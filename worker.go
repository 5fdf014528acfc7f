// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/errgroup"

	"vault-plugin-secrets-entra/internal/entra"
)

const (
	// buildRetry is how long a build that storage interrupted waits.
	buildRetry = 5 * time.Second

	// buildReads is how many storage reads a build has under way: readers of tokens
	// come first.
	buildReads = 4

	// sweepGrace lets an expired login be answered with what it was, for a while.
	sweepGrace = time.Minute

	// maxPolling is how many device codes are polled at once.
	maxPolling = 8

	// idleWait is how long the worker sleeps when nothing is scheduled.
	idleWait = time.Hour
)

// worker does what is due when nobody asks: it refreshes tokens in use ahead of
// their expiry, keeps idle refresh tokens alive, and sweeps expired logins. It
// works only on a node that may write.
type worker struct {
	b      *backend
	active atomic.Bool   // whether this node may write
	wake   chan struct{} // something may be due earlier
	build  chan struct{} // the schedule must be made anew

	mu          sync.Mutex               // guards the fields below; not held across storage or network
	accounts    *schedule                // by account name
	logins      *schedule                // by the state's hash: when an expired one is swept
	devices     *schedule                // by the state's hash: when a device code is polled
	slower      map[string]time.Duration // of those: how much longer Entra wants each wait to be
	use         map[string]*accountUse
	running     int // refreshes under way
	polling     int // device codes likewise
	sweeping    bool
	pausedUntil time.Time // Entra said Retry-After
}

// accountUse is what is known of an account's readers since its last refresh.
type accountUse struct {
	lastRead time.Time
	tokens   map[string]time.Time // by role: when the token that was read was obtained
}

func newWorker(b *backend) *worker {
	return &worker{
		b:        b,
		wake:     make(chan struct{}, 1),
		build:    make(chan struct{}, 1),
		accounts: newSchedule(),
		logins:   newSchedule(),
		devices:  newSchedule(),
		slower:   map[string]time.Duration{},
		use:      map[string]*accountUse{},
	}
}

// start runs the worker until the backend stops.
func (w *worker) start() {
	for _, run := range []func(){w.run, w.runBuilds} {
		if w.b.work.begin() {
			go func() {
				defer w.b.work.end()
				run()
			}()
		}
	}
}

// setActive starts or stops the work, as the node may write or not.
func (w *worker) setActive(active bool) {
	if w.active.Swap(active) == active {
		return
	}
	if active {
		w.rebuild()
		return
	}
	w.mu.Lock()
	w.accounts, w.logins, w.devices, w.use = newSchedule(), newSchedule(), newSchedule(), map[string]*accountUse{}
	w.mu.Unlock()
	w.b.index.forget()
}

// rebuild makes the schedule anew, in the background: the config may have changed.
func (w *worker) rebuild() { poke(w.build) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is poked already
	}
}

// tokenRead notes that somebody was served a token: the first time it is, the
// account is scheduled to be refreshed ahead. Any other time it costs one load.
func (w *worker) tokenRead(want wish, t *heldToken, reg *registration, now time.Time) {
	if t.wasRead.Load() || !t.wasRead.CompareAndSwap(false, true) || !w.active.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	u := w.use[want.account]
	if u == nil {
		u = &accountUse{tokens: map[string]time.Time{}}
		w.use[want.account] = u
	}
	u.lastRead = now
	u.tokens[want.role] = t.ObtainedAt
	if reg.BackgroundRefresh {
		w.accounts.setEarlier(want.account, t.aheadAt(reg.RefreshMargin, rand.Float64()))
		poke(w.wake)
	}
}

// accountWritten notes an account as it is stored now. It is called under the
// account's lock.
func (w *worker) accountWritten(name string, e *accountEntry) {
	if !w.active.Load() {
		return
	}
	w.b.index.set(name, e.status())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forgetReplaced(name, e)
	w.accounts.set(name, w.nextDue(name, e, time.Now()))
	for _, p := range e.PendingLogins {
		w.logins.set(p.StateHash, p.Expiry.Add(sweepGrace))
	}
	poke(w.wake)
}

// accountDeleted forgets an account.
func (w *worker) accountDeleted(name string) {
	w.b.index.remove(name)
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.use, name)
	w.accounts.set(name, time.Time{})
}

// forgetReplaced drops what was noted of the readers of tokens that are not held
// any more.
func (w *worker) forgetReplaced(name string, e *accountEntry) {
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

// nextDue is when there is something to do for the account; zero for never.
// Without a config at hand it is now: the job finds out.
func (w *worker) nextDue(name string, e *accountEntry, now time.Time) time.Time {
	reg := w.b.registrations.current.Load()
	if reg == nil {
		return now
	}
	due := time.Time{}
	w.eachTask(name, e, reg.configEntry, now, rand.Float64(), func(_ string, at time.Time) {
		if due.IsZero() || at.Before(due) {
			due = at
		}
	})
	return due
}

// dueRole is the role whose token is to be refreshed now. The jitter has done its
// work by then, so the whole of it counts.
func (w *worker) dueRole(name string, e *accountEntry, cfg *configEntry, now time.Time) (role string, found bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.eachTask(name, e, cfg, now, 1, func(r string, at time.Time) {
		if !found && !at.After(now) {
			role, found = r, true
		}
	})
	return role, found
}

// eachTask names what the background has to do for the account, and when.
func (w *worker) eachTask(name string, e *accountEntry, cfg *configEntry, now time.Time, jitter float64, do func(role string, at time.Time)) {
	if !cfg.BackgroundRefresh || e.Disabled || e.Refusal != nil || e.detached(cfg, now) != "" {
		return
	}
	lastRead := e.LastReadTime
	if u := w.use[name]; u != nil {
		lastRead = u.lastRead
		for role := range u.tokens {
			if t := e.Tokens[role]; t != nil && e.Refusals[role] == nil {
				w.unlessRefused(name, role, t.aheadAt(cfg.RefreshMargin, jitter), 0, do)
			}
		}
	}
	at := e.keepaliveAt(cfg, lastRead, jitter)
	role, usable := e.keepaliveRole()
	if at.IsZero() || !usable {
		return
	}
	if r := e.Refusals[role]; r != nil && at.Before(r.Time.Add(cfg.KeepaliveInterval)) {
		at = r.Time.Add(cfg.KeepaliveInterval)
	}
	w.unlessRefused(name, role, at, cfg.KeepaliveInterval, do)
}

// unlessRefused puts a task off until after what is remembered of its failures. A
// request that Entra refuses as such is not repeated until patience is over:
// nothing but a config write mends it.
func (w *worker) unlessRefused(name, role string, at time.Time, patience time.Duration, do func(string, time.Time)) {
	f := w.b.refreshes.failures.latest(name, role)
	if f == nil {
		do(role, at)
		return
	}
	if f.refusal.Class == entra.ClassRequest {
		if patience == 0 {
			return
		}
		f.until = f.refusal.Time.Add(patience)
	}
	if at.Before(f.until) {
		at = f.until
	}
	do(role, at)
}

// keepaliveRole is the role whose token keeps the refresh token alive: the
// default one, unless it is refused and another is not.
func (e *accountEntry) keepaliveRole() (role string, found bool) {
	if e.Refusals[""] == nil {
		return "", true
	}
	for _, role := range e.Roles {
		if e.Refusals[role] == nil {
			return role, true
		}
	}
	return "", e.Refusals[""].Class == entra.ClassBlocked // an administrator may have acted
}

// run starts what is due.
func (w *worker) run() {
	for {
		timer := time.NewTimer(w.dispatch(time.Now()))
		select {
		case <-w.b.work.stopping:
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
func (w *worker) dispatch(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.active.Load() {
		return idleWait
	}
	next := now.Add(idleWait)
	sooner := func(at time.Time) {
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	if !w.pausedUntil.After(now) {
		for w.running < w.ceiling() {
			name, ok := w.accounts.take(now)
			if !ok {
				sooner(w.accounts.next())
				break
			}
			w.running++
			go w.refreshAccount(name)
		}
	} else {
		sooner(w.pausedUntil)
	}
	for w.polling < maxPolling {
		hash, ok := w.devices.take(now)
		if !ok {
			sooner(w.devices.next())
			break
		}
		w.polling++
		go w.pollDevice(hash)
	}
	if !w.sweeping {
		if hash, ok := w.logins.take(now); ok {
			w.sweeping = true
			go w.sweepLogins(hash)
		} else {
			sooner(w.logins.next())
		}
	}
	return max(0, next.Sub(now))
}

func (w *worker) ceiling() int {
	if reg := w.b.registrations.current.Load(); reg != nil {
		return reg.MaxConcurrentRefreshes
	}
	return 1
}

// refreshAccount does what is due for one account and schedules what comes next.
func (w *worker) refreshAccount(name string) {
	defer func() {
		w.mu.Lock()
		w.running--
		w.mu.Unlock()
		poke(w.wake)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 2*storageGrace+2*time.Minute) // two refreshes and their storage
	defer cancel()
	reg, err := w.b.registration(ctx, w.b.storage)
	if err != nil {
		w.putOff(name, err)
		return
	}
	e, err := w.b.accounts.get(ctx, w.b.storage, name)
	if err != nil {
		w.putOff(name, err)
		return
	}
	if e == nil {
		return // deleted meanwhile
	}
	if role, due := w.dueRole(name, e, reg.configEntry, time.Now()); due {
		if e, err = w.refreshToken(ctx, reg, e, name, role); e == nil {
			w.putOff(name, err)
			return
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.active.Load() {
		w.accounts.set(name, w.nextDue(name, e, time.Now()))
	}
}

// refreshToken replaces the token of one role, fresh as it may be. It returns the
// account as it is afterwards, whether that worked or not.
func (w *worker) refreshToken(ctx context.Context, reg *registration, e *accountEntry, name, role string) (*accountEntry, error) {
	want, err := w.b.wishFor(ctx, w.b.storage, reg, e, name, role)
	if err != nil {
		return nil, err
	}
	want.background = true
	if t := e.Tokens[role]; t != nil {
		want.newer = t.ObtainedAt
	}
	w.mu.Lock()
	if u := w.use[name]; u != nil {
		want.lastRead = u.lastRead
	}
	w.mu.Unlock()
	after, err := w.b.refresh(ctx, w.b.storage, reg, want)
	if err == nil {
		return after, nil
	}
	if errors.Is(err, logical.ErrReadOnly) {
		w.setActive(false)
		return nil, err
	}
	var f *fault
	if !errors.As(err, &f) {
		return nil, err
	}
	if f.retryAfter > 0 {
		w.pause(f.retryAfter)
	}
	return w.b.accounts.get(ctx, w.b.storage, name)
}

// pause holds back the background: whom Entra tells to wait are the others, too.
func (w *worker) pause(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if until := time.Now().Add(d); until.After(w.pausedUntil) {
		w.pausedUntil = until
	}
}

// putOff tries an account again after Vault's own trouble, or leaves it alone
// where there is nothing to serve it with.
func (w *worker) putOff(name string, err error) {
	var f *fault
	if errors.As(err, &f) || err == nil || !w.active.Load() || w.b.work.isStopping() {
		return // not configured: a config write makes the schedule anew
	}
	w.b.Logger().Warn("background refresh put off", "account", name, "error", err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.accounts.setEarlier(name, time.Now().Add(buildRetry))
}

// deviceStarted polls a device code from now on.
func (w *worker) deviceStarted(hash string, interval time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.devices.set(hash, time.Now().Add(interval))
	poke(w.wake)
}

// pollDevice polls one device code and schedules the next poll.
func (w *worker) pollDevice(hash string) {
	w.mu.Lock()
	slower := w.slower[hash]
	w.mu.Unlock()
	again, slower, err := w.b.pollDevice(context.Background(), w.b.storage, hash, slower)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.polling--
	if isStorageError(err) && !w.b.work.isStopping() {
		w.b.Logger().Warn("a device code could not be polled, it is tried again", "error", err)
		again = buildRetry
	}
	delete(w.slower, hash)
	if again > 0 && w.active.Load() {
		if slower > 0 {
			w.slower[hash] = slower
		}
		w.devices.set(hash, time.Now().Add(again))
	}
	poke(w.wake)
}

// sweepLogins deletes the logins that expired without a callback, the first of
// which is known.
func (w *worker) sweepLogins(hash string) {
	ctx, cancel := context.WithTimeout(context.Background(), storageGrace)
	defer cancel()
	for ok := true; ok && !w.b.work.isStopping(); {
		err := sweepLogin(ctx, w.b.storage, hash, time.Now())
		w.mu.Lock()
		if err != nil {
			w.b.Logger().Warn("an expired login could not be deleted yet", "error", err)
			w.logins.set(hash, time.Now().Add(buildRetry))
			w.mu.Unlock()
			break
		}
		hash, ok = w.logins.take(time.Now())
		w.mu.Unlock()
	}
	w.mu.Lock()
	w.sweeping = false
	w.mu.Unlock()
	poke(w.wake)
}

// runBuilds makes the schedule and the index when it is asked to, again and again
// until storage lets it.
func (w *worker) runBuilds() {
	ctx := context.Background()
	for {
		select {
		case <-w.b.work.stopping:
			return
		case <-w.build:
		}
		for w.active.Load() {
			start := time.Now()
			accounts, err := w.buildOnce(ctx)
			if err == nil {
				w.b.Logger().Debug("the account index is complete", "accounts", accounts, "duration", time.Since(start).String())
				break
			}
			w.b.Logger().Warn("the account index could not be completed, it is tried again", "error", err)
			if !w.b.work.sleep(ctx, buildRetry) {
				return
			}
		}
	}
}

// buildOnce reads every account and every pending login once. What is written
// meanwhile counts more.
func (w *worker) buildOnce(ctx context.Context) (accounts int, err error) {
	w.b.index.beginBuild()
	defer func() { w.b.index.endBuild(err == nil) }()
	if _, err := w.b.registration(ctx, w.b.storage); err != nil && !isFault(err) {
		return 0, err
	}
	names, err := w.b.accounts.list(ctx, w.b.storage)
	if err != nil {
		return 0, err
	}
	if err := w.findAccounts(ctx, names); err != nil {
		return 0, err
	}
	if err := w.findLogins(ctx); err != nil {
		return 0, err
	}
	poke(w.wake)
	return len(names), nil
}

// findAccounts reads a few at a time, for most of a read is waiting for Vault.
func (w *worker) findAccounts(ctx context.Context, names []string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(buildReads)
	for _, name := range names {
		if ctx.Err() != nil {
			break // one of them failed
		}
		group.Go(func() error {
			if w.b.work.isStopping() {
				return errStopping
			}
			e, err := w.b.accounts.peek(ctx, w.b.storage, name)
			if err != nil {
				return err
			}
			if e != nil && w.b.index.found(name, e.status()) {
				w.mu.Lock()
				w.accounts.set(name, w.nextDue(name, e, time.Now()))
				w.mu.Unlock()
			}
			return nil
		})
	}
	return group.Wait()
}

func (w *worker) findLogins(ctx context.Context) error {
	hashes, err := w.b.storage.List(ctx, loginStoragePrefix)
	if err != nil {
		return err
	}
	for _, hash := range hashes {
		login, err := getLogin(ctx, w.b.storage, hash)
		if err != nil {
			return err
		}
		if login == nil {
			continue
		}
		w.mu.Lock()
		w.logins.setEarlier(hash, login.Expiry.Add(sweepGrace))
		if login.DeviceCode != "" {
			w.devices.setEarlier(hash, time.Now().Add(login.Interval))
		}
		w.mu.Unlock()
	}
	return nil
}
