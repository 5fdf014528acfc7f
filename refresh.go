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

	// forced ignores the held token, and asks with claims: what a resource
	// challenged its caller with.
	forced bool
	claims string

	// background comes from the worker: no reader waits. Tokens obtained before
	// newer are to be replaced, even if they are fresh.
	background bool
	newer      time.Time
	lastRead   time.Time // of the token, as far as it is known
}

// wishFor is the wish for an account's token as it is configured now.
func (b *backend) wishFor(ctx context.Context, s logical.Storage, reg *registration, e *accountEntry, account, role string) (wish, error) {
	want := wish{account: account, role: role}
	if role == "" {
		want.scopes = e.wanted(reg.configEntry)
		return want, nil
	}
	var err error
	want.scopes, err = b.roleScopes(ctx, s, role)
	return want, err
}

// key names a wish among those that one refresh fulfils alike. minTTL does not
// count: every new token satisfies it, capped as it is. A forced refresh is for
// those alone who ask for just that.
func (w wish) key() string {
	key := w.account + "\x00" + w.role + "\x00" + strings.Join(w.scopes, " ")
	if w.forced {
		key += "\x00forced\x00" + w.claims
	}
	return key
}

// satisfiedBy reports whether the token, which may be nil, is what is wanted.
func (w wish) satisfiedBy(t *heldToken, reg *registration, now time.Time) bool {
	return t != nil && !w.forced && t.ObtainedAt.After(w.newer) && t.fresh(now, reg.RefreshMargin, w.minTTL)
}

// refresher brings it about that an account is refreshed once, however many ask.
type refresher struct {
	flights  singleflight.Group // by wish: who asks while it runs gets its result
	turns    *nameLocks         // by account: one call to Entra at a time; held across it
	failures *failureMemory
	forced   *forcedMemory
}

func newRefresher() *refresher {
	return &refresher{turns: newNameLocks(), failures: newFailureMemory(), forced: newForcedMemory()}
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
	if !b.mayWrite() {
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
			good := want.forced || want.satisfiedBy(e.held(want.role, want.scopes), reg, time.Now())
			if good || attempt > 0 {
				return e, nil
			}
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
	if want.satisfiedBy(e.held(want.role, want.scopes), reg, now) || want.forced && b.refreshes.forced.justDone(want.key(), e.Generation, now) {
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
	if r := e.refusalFor(want.role, now); r != nil && !(want.forced && now.After(r.Time.Add(forcedRetry))) {
		return r.refreshFault(want, e)
	}
	if r := b.refreshes.failures.standing(want.account, want.role, now); r != nil {
		return r.refreshFault(want, e)
	}
	if r := b.refreshes.forced.refused(want.key(), now); want.forced && r != nil {
		return r.refreshFault(want, e)
	}
	return nil
}

// exchange asks Entra for want and stores what it gives. It is called in the
// account's turn; the entry may have changed by the time Entra answers, and a
// sign-in, an import or a delete meanwhile wins.
func (b *backend) exchange(ctx context.Context, s logical.Storage, reg *registration, want wish, e *accountEntry) (*accountEntry, error) {
	tokens, used, err := b.callEntra(ctx, s, reg, want, e)
	if err != nil {
		return nil, b.noteRefusal(ctx, s, want, e, err)
	}
	if b.refreshes.failures.forget(want.account, want.role) {
		b.sendAccountEvent(eventRefreshRecovered, want.account)
	}
	lastRead := want.lastRead
	if !want.background {
		lastRead = time.Now()
	}
	after, err := b.accounts.merge(ctx, s, want.account, e, func(e *accountEntry) {
		e.refreshed(want.role, want.scopes, used, tokens)
		e.noteRead(lastRead)
	})
	if err != nil {
		return nil, err
	}
	if want.forced {
		b.refreshes.forced.done(want.key(), after.Generation, time.Now())
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
func (b *backend) callEntra(ctx context.Context, s logical.Storage, reg *registration, want wish, e *accountEntry) (tokens *entra.Tokens, used entra.Secret, err error) {
	ask := entra.RefreshRequest{
		RefreshToken: e.RefreshToken,
		Scopes:       want.scopes,
		Claims:       want.claims,
		User:         e.User,
	}
	if want.role == "" {
		ask.Scopes = e.asks(want.scopes)
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
	if !b.unchanged(ctx, s, want.account, e.Generation) {
		return nil, "", err
	}
	tokens, err = reg.client.Refresh(ctx, ask)
	return tokens, ask.RefreshToken, err
}

// unchanged reports whether storage answers and the account is still the same. A
// plugin process outlives a Vault that is killed: it must not go on spending
// refresh tokens that the next active node has.
func (b *backend) unchanged(ctx context.Context, s logical.Storage, account, generation string) bool {
	e, err := b.accounts.read(ctx, s, account)
	return err == nil && e != nil && e.Generation == generation
}

// neverIssued tells Entra's refusal of a refresh token it does not know. Other
// providers do not speak in AADSTS numbers, and must not see a predecessor:
// presenting a used token can revoke the whole grant.
func neverIssued(e *entra.Error) bool {
	return e.AADSTS == 70000 || e.AADSTS == 9002313
}

// noteRefusal remembers a failed refresh, each class where it belongs, and
// returns its fault. The tokens stay as they are.
func (b *backend) noteRefusal(ctx context.Context, s logical.Storage, want wish, e *accountEntry, err error) error {
	r := refusalOf(err, time.Now())
	var answer *entra.Error
	retryAfter := time.Duration(0)
	if errors.As(err, &answer) {
		retryAfter = answer.RetryAfter
	}
	failures := b.refreshes.failures
	switch {
	case r.Class == entra.ClassClient:
		if failures.noteClient(r, retryAfter) {
			b.sendEvent(eventClientRejected, logical.EventMetadataPath, configStorageKey, "code", r.code())
		}
	case want.claims != "" && (r.Class == entra.ClassResource || r.Class == entra.ClassBlocked || r.Class == entra.ClassRequest):
		// It is the challenge that Entra refuses: an ordinary refresh may work.
		b.refreshes.forced.refuse(want.key(), r)
	case r.lasts():
		if err := b.storeRefusal(ctx, s, want, e.Generation, r); err != nil {
			b.Logger().Warn("a refusal by Entra could not be stored", "account", want.account, "error", err)
			failures.note(want.account, want.role, r, retryAfter)
		}
	default:
		failures.note(want.account, want.role, r, retryAfter)
	}
	b.Logger().Warn("refresh failed", "account", want.account, "role", want.role, "word", r.word(), "code", r.code(), "correlation_id", r.CorrelationID)
	f := r.refreshFault(want, e)
	f.retryAfter = retryAfter
	return f
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
