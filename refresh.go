// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/singleflight"

	"vault-plugin-secrets-entra/internal/entra"
)

// wish is the token somebody wants.
type wish struct {
	account string
	role    string        // "" is the default token
	scopes  []string      // what the token is for: the config's, the account's or the role's
	minTTL  time.Duration // beyond the refresh margin
}

// key names a wish among those that one refresh fulfils alike. minTTL does not
// count: every new token satisfies it, capped as it is.
func (w wish) key() string { return w.account + "\x00" + w.role + "\x00" + strings.Join(w.scopes, " ") }

// refresher brings it about that an account is refreshed once, however many ask.
type refresher struct {
	flights  singleflight.Group // by wish: who asks while it runs gets its result
	turns    *nameLocks         // by account: one call to Entra at a time; held across it
	failures *failureMemory
}

func newRefresher() *refresher {
	return &refresher{turns: newNameLocks(), failures: newFailureMemory()}
}

// held is the token for role, if it was obtained for just these scopes.
func (e *accountEntry) held(role string, scopes []string) *heldToken {
	t := e.Tokens[role]
	if t == nil || !slices.Equal(t.Wanted, scopes) {
		return nil
	}
	return t
}

// refresh gets the account a new token for want, or joins whoever is at it. The
// caller may leave; the exchange goes on, because what Entra answers must be kept.
func (b *backend) refresh(ctx context.Context, s logical.Storage, reg *registration, want wish) (*accountEntry, error) {
	if !b.WriteSafeReplicationState() {
		return nil, logical.ErrReadOnly // the active node answers; nothing was spent
	}
	for attempt := 0; ; attempt++ {
		done := b.refreshes.flights.DoChan(want.key(), func() (any, error) {
			return b.flight(ctx, s, reg, want)
		})
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case result := <-done:
			if result.Err != nil {
				return nil, result.Err
			}
			e := result.Val.(*accountEntry)
			if e.Disabled {
				return nil, errDisabled(want.account)
			}
			// What came out may not be for this caller: the flight began for
			// somebody with a smaller minTTL and found the token good enough,
			// or a sign-in won over it.
			t := e.held(want.role, want.scopes)
			if attempt == 0 && (t == nil || !t.fresh(time.Now(), reg.RefreshMargin, want.minTTL)) {
				continue
			}
			return e, nil
		}
	}
}

// flight is one refresh, on a context of its own.
func (b *backend) flight(ctx context.Context, s logical.Storage, reg *registration, want wish) (*accountEntry, error) {
	if !b.work.begin() {
		return nil, errStopping
	}
	defer b.work.end()
	// Its turn may come after another role's two calls, and it may make two.
	ctx, cancel := detach(ctx, 4*reg.RequestTimeout+storageGrace)
	defer cancel()
	unlock, err := b.refreshes.turns.lock(ctx, want.account)
	if err != nil {
		return nil, fmt.Errorf("account %q waits for its turn: %w", want.account, err)
	}
	defer unlock()
	if b.work.isStopping() {
		return nil, errStopping
	}

	e, err := b.accounts.read(ctx, s, want.account)
	switch {
	case err != nil:
		return nil, err
	case e == nil:
		return nil, unknownAccount(want.account)
	case e.Disabled:
		return nil, errDisabled(want.account)
	}
	now := time.Now()
	if t := e.held(want.role, want.scopes); t != nil && t.fresh(now, reg.RefreshMargin, want.minTTL) {
		return e, nil
	}
	if f := b.standsAgainst(e, reg, want, now); f != nil {
		return nil, f
	}
	return b.exchange(ctx, s, reg, want, e)
}

// standsAgainst is what is known to make a refresh pointless now, nil if nothing is.
func (b *backend) standsAgainst(e *accountEntry, reg *registration, want wish, now time.Time) error {
	if why := e.detached(reg.configEntry, now); why != "" {
		return &fault{
			word: loginRequired,
			text: fmt.Sprintf("account %q must sign in: %s", want.account, why),
			next: loginCommand(want.account),
		}
	}
	if r := e.refusalFor(want.role, now); r != nil {
		return r.refreshFault(want.account, want.role)
	}
	if r := b.refreshes.failures.standing(want.account, want.role, now); r != nil {
		return r.refreshFault(want.account, want.role)
	}
	return nil
}

// exchange asks Entra for want and stores what it gives. It is called in the
// account's turn; the entry may have changed by the time Entra answers, and a
// sign-in, an import or a delete meanwhile wins.
func (b *backend) exchange(ctx context.Context, s logical.Storage, reg *registration, want wish, e *accountEntry) (*accountEntry, error) {
	tokens, used, err := b.callEntra(ctx, reg, want, e)
	if err != nil {
		return nil, b.noteRefusal(ctx, s, want, e.Generation, err)
	}
	b.refreshes.failures.forget(want.account, want.role)
	after, err := b.accounts.merge(ctx, s, want.account, e, func(e *accountEntry) {
		e.refreshed(want.role, want.scopes, used, tokens)
	})
	if err != nil {
		return nil, err
	}
	if t := after.held(want.role, want.scopes); t != nil && !t.usable(time.Now()) {
		b.refreshes.failures.note(want.account, want.role, &refusal{
			Class:   entra.ClassTransient,
			Message: shortLived(want.account).text,
			Time:    time.Now().UTC(),
		}, 0)
	}
	return after, nil
}

// callEntra makes at most two requests: a second one after a network error or a
// 5xx without a Retry-After, or with the predecessor of a refresh token that has
// never worked. used is the refresh token that was accepted.
func (b *backend) callEntra(ctx context.Context, reg *registration, want wish, e *accountEntry) (tokens *entra.Tokens, used entra.Secret, err error) {
	ask := entra.RefreshRequest{
		RefreshToken: e.RefreshToken,
		Scopes:       e.asks(want.scopes),
		User:         e.User,
	}
	tokens, err = reg.client.Refresh(ctx, ask)
	if err == nil || b.work.isStopping() {
		return tokens, ask.RefreshToken, err
	}
	var refused *entra.Error
	if !errors.As(err, &refused) {
		return nil, "", err
	}
	switch {
	case refused.Class == entra.ClassTransient && refused.RetryAfter == 0 && refused.Status != http.StatusTooManyRequests && refused.NoAnswer():
	case neverIssued(refused) && e.PreviousRefreshToken != "":
		ask.RefreshToken = e.PreviousRefreshToken
	default:
		return nil, "", err
	}
	tokens, err = reg.client.Refresh(ctx, ask)
	return tokens, ask.RefreshToken, err
}

// neverIssued tells Entra's refusal of a refresh token it does not know. Other
// providers do not speak in AADSTS numbers, and must not see a predecessor:
// presenting a used token can revoke the whole grant.
func neverIssued(e *entra.Error) bool {
	return e.AADSTS == 70000 || e.AADSTS == 9002313
}

// noteRefusal remembers a failed refresh, each class where it belongs, and
// returns its fault. The tokens stay as they are.
func (b *backend) noteRefusal(ctx context.Context, s logical.Storage, want wish, generation string, err error) error {
	now := time.Now()
	r := refusalOf(err, now)
	var e *entra.Error
	retryAfter := time.Duration(0)
	if errors.As(err, &e) {
		retryAfter = e.RetryAfter
	}
	switch r.Class {
	case entra.ClassUser, entra.ClassResource, entra.ClassSignIn, entra.ClassBlocked:
		b.refreshes.failures.forget(want.account, want.role)
		if err := b.storeRefusal(ctx, s, want, generation, r); err != nil {
			b.Logger().Warn("a refusal by Entra could not be stored", "account", want.account, "error", err)
			b.refreshes.failures.note(want.account, want.role, r, retryAfter)
		}
	case entra.ClassClient:
		b.refreshes.failures.noteClient(r, retryAfter)
	default:
		b.refreshes.failures.note(want.account, want.role, r, retryAfter)
	}
	b.Logger().Warn("refresh failed", "account", want.account, "role", want.role, "word", r.word(), "code", r.code(), "correlation_id", r.CorrelationID)
	return r.refreshFault(want.account, want.role)
}

func (b *backend) storeRefusal(ctx context.Context, s logical.Storage, want wish, generation string, r *refusal) error {
	_, err := b.accounts.update(ctx, s, want.account, func(e *accountEntry) (*accountEntry, error) {
		if e == nil || e.Generation != generation {
			return nil, errNoChange
		}
		e.refused(want.role, r)
		return e, nil
	})
	return err
}

// forgetFailures lets everything be tried again: a config write may have mended it.
func (r *refresher) forgetFailures() { r.failures.forgetAll() }

// forgetAccount lets the account be tried again after a sign-in.
func (r *refresher) forgetAccount(account string) { r.failures.forgetAccount(account) }

// noteLogin shows a refusal of the client at a login, which stops nobody's
// refresh: anyone who may start a login could otherwise stop the mount.
func (r *refresher) noteLogin(refused *refusal) {
	if refused.Class == entra.ClassClient {
		r.failures.showClient(refused)
	}
}

// clientError is config's client_error.
func (r *refresher) clientError() map[string]any { return r.failures.clientError() }
