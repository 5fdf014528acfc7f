// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"context"
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
		backoff:        newBackoff(conf.Generation),
	}
}

// Refresh gets the account a new token, or joins whoever is at it. The caller may
// leave; the exchange goes on, because what Entra answers must be kept.
func (r *Refresher) Refresh(ctx context.Context, reg *config.Registration, req TokenRequest) (*account.Entry, error) {
	if !r.node.MayWrite() {
		return nil, logical.ErrReadOnly // the active node answers; nothing was spent
	}
	for attempt := 0; ; attempt++ {
		done := r.flights.DoChan(req.flightKey(reg.Generation), func() (any, error) {
			return r.flight(ctx, reg, req)
		})
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case result := <-done:
			if result.Err != nil {
				return nil, result.Err
			}
			e := result.Val.(*account.Entry)
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
}

// flight is one refresh, on a context of its own.
func (r *Refresher) flight(ctx context.Context, reg *config.Registration, req TokenRequest) (*account.Entry, error) {
	if !r.work.Begin() {
		return nil, lifecycle.ErrStopping
	}
	defer r.work.End()
	// Its turn may come after another role's two calls, and it may make two.
	ctx, cancel := lifecycle.Detach(ctx, 4*reg.RequestTimeout+lifecycle.StorageGrace)
	defer cancel()
	unlock, err := r.locks.Lock(ctx, req.Account)
	if err != nil {
		return nil, fmt.Errorf("account %q waits for its refresh lock: %w", req.Account, err)
	}
	defer unlock()

	e, err := r.accounts.Read(ctx, req.Account)
	switch {
	case err != nil:
		return nil, err
	case e == nil:
		return nil, problem.NoAccount(req.Account)
	case e.Disabled:
		return nil, problem.Disabled(req.Account)
	}
	now := time.Now()
	done := req.Force && r.backoff.justForced(req.backoffKey(), e, now)
	if done || req.SatisfiedBy(e.Token(req.Role, req.Scopes), reg, now) {
		return e, nil
	}
	if err := mismatch(reg, req, e, now); err != nil {
		return nil, err
	}
	if refused := r.backoff.blocked(e, req, true, now); refused != nil {
		return nil, refused.Problem(req.Account, req.Role, e)
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
	return r.exchange(ctx, reg, req, e)
}

// AccountChanged forgets what failed under a credential that is gone: a sign-in or
// a delete lets everything be tried again.
func (r *Refresher) AccountChanged(name string, before, after *account.Entry) {
	if after == nil || before != nil && before.Generation != after.Generation {
		r.backoff.forgetAccount(name)
	}
}

// ConfigChanged lets everything be tried again: a config write may have mended it.
func (r *Refresher) ConfigChanged() { r.backoff.forgetAll() }

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
	last := r.backoff.last(name)
	if last == nil || e.LastError != nil && e.LastError.Time.After(last.Time) {
		return e.LastError
	}
	return last
}
