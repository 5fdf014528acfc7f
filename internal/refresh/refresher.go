// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/singleflight"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/config"
	"vault-plugin-secrets-entra/internal/lifecycle"
	"vault-plugin-secrets-entra/internal/problem"
	"vault-plugin-secrets-entra/internal/store"
)

// Refresher brings it about that an account is refreshed once, however many ask.
type Refresher struct {
	// Recovered is called when a token is refreshed again after failures.
	Recovered func(account string)
	// ClientRejected is called when Entra begins to refuse the client.
	ClientRejected func(entraCode string)

	config   *config.Store
	accounts *account.Store
	node     *lifecycle.Node
	work     *lifecycle.Work
	log      hclog.Logger

	flights singleflight.Group // by request: who asks while it runs gets its result
	locks   *store.Locks       // by account: one call to Entra at a time; held across it
	calls   *calls             // of all accounts: who may call next
	backoff *backoff
}

// New returns the refresher of a mount.
func New(conf *config.Store, accounts *account.Store, node *lifecycle.Node, work *lifecycle.Work, log hclog.Logger) *Refresher {
	return &Refresher{
		Recovered:      func(string) {},
		ClientRejected: func(string) {},
		config:         conf,
		accounts:       accounts,
		node:           node,
		work:           work,
		log:            log,
		locks:          store.NewLocks(),
		calls:          newCalls(),
		backoff:        newBackoff(conf.Generation),
	}
}

// Refresh gets the account a new token, or joins whoever is at it. The caller may
// leave; the exchange goes on, because what Entra answers must be kept.
func (r *Refresher) Refresh(ctx context.Context, reg *config.Registration, req TokenRequest) (*account.Entry, error) {
	if !r.node.MayWrite() {
		return nil, logical.ErrReadOnly // the active node answers; nothing was spent
	}
	key := req.flightKey(reg.Generation)
	for attempt := 0; ; attempt++ {
		result, err := r.outcome(ctx, req, key, r.flights.DoChan(key, func() (any, error) {
			return r.flight(ctx, reg, req)
		}))
		if err != nil {
			return nil, err
		}
		e := result.(*account.Entry)
		if e.Disabled {
			return nil, problem.Disabled(req.Account)
		}
		// What came out may not be for this caller: the flight began for
		// somebody with a smaller MinTTL and found the token good enough,
		// or a sign-in won over it.
		good := req.Force || req.SatisfiedBy(e.Token(req.Role, req.Scopes), reg, time.Now())
		if good || attempt > 0 {
			return e, nil
		}
	}
}

// outcome waits for a flight; while its turn has not come, no longer than the caller has
// patience. The flight keeps its place.
func (r *Refresher) outcome(ctx context.Context, req TokenRequest, key string, done <-chan singleflight.Result) (any, error) {
	timer := time.NewTimer(patienceValid)
	defer timer.Stop()
	for last := false; ; last = true {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case result := <-done:
			return result.Val, result.Err
		case <-timer.C:
			now := time.Now()
			b := r.calls.waits(key, now)
			if b != nil && (last || r.servable(ctx, req, now)) {
				return nil, b.problem(req.Account)
			}
			if !last {
				early := jitter(req.Account, now) * float64(patienceSpread)
				timer.Reset(patience - patienceValid - time.Duration(early))
			}
		}
	}
}

// servable reports whether the caller can be served the cached token meanwhile.
func (r *Refresher) servable(ctx context.Context, req TokenRequest, now time.Time) bool {
	e, err := r.accounts.Get(ctx, req.Account)
	if err != nil || e == nil || req.Force {
		return false
	}
	t := e.Token(req.Role, req.Scopes)
	return t != nil && t.Usable(now)
}

// flight is one refresh, on a context of its own.
func (r *Refresher) flight(ctx context.Context, reg *config.Registration, req TokenRequest) (*account.Entry, error) {
	if !r.work.Begin() {
		return nil, lifecycle.ErrStopping
	}
	defer r.work.End()
	t, err := r.turn(ctx, reg, req)
	if err != nil {
		return nil, err
	}
	defer t.end()
	// It may make two calls, and wait until the answer to another role's is stored.
	ctx, cancel := lifecycle.Detach(ctx, 4*reg.RequestTimeout+lifecycle.StorageGrace)
	defer cancel()
	unlock, err := r.locks.Lock(ctx, req.Account)
	if err != nil {
		return nil, fmt.Errorf("account %q waits for its refresh lock: %w", req.Account, err)
	}
	defer unlock()

	e, err := r.accounts.Read(ctx, req.Account)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if e != nil && !e.Disabled {
		done := req.Force && r.backoff.justForced(req.backoffKey(), e, now)
		if done || req.SatisfiedBy(e.Token(req.Role, req.Scopes), reg, now) {
			return e, nil
		}
	}
	if err := r.refusal(reg, req, e, true, now); err != nil {
		return nil, err
	}
	if e.CheckRole(req.Account, req.Role) != nil { // unless roles that it has are gone
		if e, err = r.accounts.Prune(ctx, req.Account); err != nil {
			return nil, err
		}
		if err := e.CheckRole(req.Account, req.Role); err != nil {
			return nil, err
		}
	}
	switch { // it has waited for the lock and for storage: could the answer be stored?
	case r.work.Stopping():
		return nil, lifecycle.ErrStopping
	case !r.node.MayWrite():
		return nil, logical.ErrReadOnly
	}
	return r.exchange(ctx, reg, req, e, t)
}

// turn waits for the request's turn to call Entra. What can be said without a call is said at
// once.
func (r *Refresher) turn(ctx context.Context, reg *config.Registration, req TokenRequest) (*turn, error) {
	if t := r.calls.take(req.Account, readerCalls+reg.MaxConcurrentRefreshes, time.Now()); t != nil {
		return t, nil
	}
	limit := turnLimit
	if req.Force {
		limit = patience // its claims are its caller's choice, and nobody else's
	}
	ctx, cancel := lifecycle.Detach(ctx, limit)
	defer cancel()
	e, err := r.accounts.Get(ctx, req.Account)
	if err != nil {
		return nil, err
	}
	if err := r.refusal(reg, req, e, false, time.Now()); err != nil {
		return nil, err
	}
	t, err := r.calls.await(ctx, r.work, req.Account, req.flightKey(reg.Generation))
	var b *busy
	switch {
	case errors.As(err, &b):
		return nil, b.problem(req.Account)
	case err != nil:
		return nil, err
	case reg.Generation != r.config.Generation(): // it has not seen the config as it is now
		t.end()
		return nil, (&busy{}).problem(req.Account)
	}
	return t, nil
}

// refusal is why the account e, nil where there is none, is not refreshed; nil if it may be. tries
// says that it will be.
func (r *Refresher) refusal(reg *config.Registration, req TokenRequest, e *account.Entry, tries bool, now time.Time) error {
	switch {
	case e == nil:
		return problem.NoAccount(req.Account)
	case e.Disabled:
		return problem.Disabled(req.Account)
	}
	if err := mismatch(reg, req, e, now); err != nil {
		return err
	}
	if refused := r.backoff.blocked(e, req, tries, now); refused != nil {
		return refused.Problem(req.Account, req.Role, e)
	}
	return nil
}

// AccountChanged forgets what failed under a credential that is gone: a sign-in or
// a delete lets everything be tried again.
func (r *Refresher) AccountChanged(name string, before, after *account.Entry) {
	if after == nil || before != nil && before.Generation != after.Generation {
		r.backoff.forgetAccount(name)
	}
}

// ConfigChanged lets everything be tried again: a config write may have mended it.
func (r *Refresher) ConfigChanged() {
	r.backoff.forgetAll()
	r.calls.forget()
}

// ShowClientError shows a refusal of the client at a sign-in, which stops nobody's
// refresh: anyone who may start a login could otherwise stop the mount.
func (r *Refresher) ShowClientError(refused *account.RefreshError, generation uint64) {
	r.backoff.showClient(refused, generation)
}

// ClientError is what Entra says while it refuses the client, and since when; nil if
// it does not.
func (r *Refresher) ClientError() (refused *account.RefreshError, since time.Time) {
	return r.backoff.clientError()
}

// LastError is the latest failed refresh of the account: stored with it, or
// remembered since it is transient; nil if the latest one worked.
func (r *Refresher) LastError(name string, e *account.Entry) *account.RefreshError {
	last := r.backoff.last(name, e.Generation)
	if last == nil || e.LastError != nil && e.LastError.Time.After(last.Time) {
		return e.LastError
	}
	return last
}
