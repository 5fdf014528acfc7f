// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/config"
	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/problem"
)

// exchange asks Entra for a token, in its turn, and stores what it gives. It is called under
// the account's refresh lock; the entry may have changed by the time Entra answers, and
// a sign-in, an import or a delete meanwhile wins.
func (r *Refresher) exchange(ctx context.Context, reg *config.Registration, req TokenRequest, e *account.Entry, t *turn) (*account.Entry, error) {
	tokens, used, err := r.callEntra(ctx, reg, req, e)
	r.endTurn(t, reg, req, err)
	if err != nil {
		return nil, r.noteFailure(ctx, reg, req, e, err)
	}
	if r.backoff.succeeded(req.backoffKey(), reg.Generation) {
		r.Recovered(req.Account)
	}
	lastRead := req.lastRead
	if !req.background {
		lastRead = time.Now()
	}
	current := e.RefreshToken
	after, err := r.accounts.Merge(ctx, req.Account, e, func(e *account.Entry) {
		e.Refreshed(req.Role, req.Scopes, current, used, tokens)
		e.NoteRead(lastRead)
	})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if req.Force {
		r.backoff.noteForced(req.backoffKey(), after.Generation, now)
	}
	if t := after.Token(req.Role, req.Scopes); t != nil && !t.Usable(now) {
		r.note(ctx, backoffKey{req.Account, req.Role, ""}, failure{
			RefreshError: &account.RefreshError{
				Class:   entra.ClassTransient,
				Message: ShortLived(req.Account).Text,
				Time:    now.UTC(),
			},
			account:    after.Generation,
			generation: reg.Generation,
		})
	}
	return after, nil
}

// endTurn ends the turn of a call with what its outcome says of the next ones. What another
// registration was told does not count.
func (r *Refresher) endTurn(t *turn, reg *config.Registration, req TokenRequest, err error) {
	var answer *entra.Error
	said := errors.As(err, &answer)
	if !said || !throttles(answer) || reg.Generation != r.config.Generation() {
		t.answered(err == nil || said && !answer.NoAnswer())
		return
	}
	wait := answer.RetryAfter
	if wait == 0 {
		wait = backoffMin
	}
	// Mounts that were throttled together do not come back together.
	spread := jitter(req.Account, time.Now()) * float64(min(wait/10, retrySpread))
	if t.throttled(wait + time.Duration(spread)) {
		r.log.Warn("Entra throttles this mount, no calls for a while", "duration", wait.String())
	}
}

// throttles tells an answer that asks for fewer calls, not only of this account.
func throttles(e *entra.Error) bool {
	return e.RetryAfter > 0 || e.Status == http.StatusTooManyRequests
}

// ShortLived answers where Entra gives a token that cannot be served.
func ShortLived(name string) *problem.Error {
	return &problem.Error{
		Code: problem.EntraUnavailable,
		Text: fmt.Sprintf("Entra gave account %q an access token with less than %s to live",
			name, account.MinServedLife),
	}
}

// callEntra makes at most two requests: a second one after a network error or a 5xx
// without a Retry-After, or with the predecessor of a refresh token that has never
// worked. used is the refresh token that was accepted.
func (r *Refresher) callEntra(ctx context.Context, reg *config.Registration, req TokenRequest, e *account.Entry) (tokens *entra.Tokens, used entra.Secret, err error) {
	ask := entra.RefreshRequest{
		RefreshToken: e.RefreshToken,
		Scopes:       req.Scopes,
		Claims:       req.Claims,
		User:         e.User,
	}
	if req.Role == "" {
		ask.Scopes = e.RequestedScopes(req.Scopes, reg.Entry)
	}
	client := account.Client(reg, e.ClientAuth)
	tokens, err = client.Refresh(ctx, ask)
	if err == nil || r.work.Stopping() {
		return tokens, ask.RefreshToken, err
	}
	var refused *entra.Error
	switch {
	case !errors.As(err, &refused):
		return nil, "", err
	case mayRepeat(refused):
	case neverIssued(refused) && e.PreviousRefreshToken != "":
		ask.RefreshToken = e.PreviousRefreshToken
	default:
		return nil, "", err
	}
	if !r.unchanged(ctx, req.Account, e) {
		return nil, "", err
	}
	tokens, err = client.Refresh(ctx, ask)
	return tokens, ask.RefreshToken, err
}

// mayRepeat tells a passing trouble that nobody asked to wait for.
func mayRepeat(e *entra.Error) bool {
	return e.Class == entra.ClassTransient && e.NoAnswer() && !throttles(e)
}

// neverIssued tells Entra's refusal of a refresh token it does not know. Other
// providers do not speak in AADSTS numbers, and must not see a predecessor:
// presenting a used token can revoke the whole grant.
func neverIssued(e *entra.Error) bool {
	return e.AADSTS == 70000 || e.AADSTS == 9002313
}

// unchanged reports whether storage answers, the account has the same refresh token as before,
// this backend goes on, and this node may still write. A plugin process outlives a Vault that is
// killed: it must not go on spending refresh tokens that the next active node has.
func (r *Refresher) unchanged(ctx context.Context, name string, before *account.Entry) bool {
	e, err := r.accounts.Read(ctx, name)
	return err == nil && e != nil && e.Generation == before.Generation &&
		e.RefreshToken == before.RefreshToken && !r.work.Stopping() && r.node.MayWrite()
}

// noteFailure remembers a failed refresh, each class where it belongs, and returns its
// problem. The tokens stay as they are. What a registration that is gone failed at is
// not remembered.
func (r *Refresher) noteFailure(ctx context.Context, reg *config.Registration, req TokenRequest, e *account.Entry, err error) error {
	f := newFailure(reg, req, e, err)
	if r.backoff.noteMount(f) {
		r.ClientRejected(f.EntraCode())
	}
	key := backoffKey{req.Account, req.Role, ""}
	switch {
	case f.aboutClient:
	case req.Claims != "" && f.Class != entra.ClassTransient:
		// The claims are the caller's choice: an ordinary refresh may work, and decides
		// what becomes of the account.
		f.retryAfter = forceRetry
		r.note(ctx, req.backoffKey(), f)
	case f.Lasts() && f.generation == r.config.Generation():
		if err := r.storeFailure(ctx, req, e.Generation, f.RefreshError); err != nil {
			r.log.Warn("a refusal by Entra could not be stored", "account", req.Account, "error", err)
			r.note(ctx, key, f)
		}
	default:
		r.note(ctx, key, f)
	}
	r.log.Warn("refresh failed", "account", req.Account, "role", req.Role,
		"word", f.ProblemCode(), "code", f.EntraCode(), "correlation_id", f.CorrelationID)
	p := f.Problem(req.Account, req.Role, e)
	if f.retryAfter > 0 && p.Code == problem.EntraUnavailable { // its text ends in "try again"
		p.Text += fmt.Sprintf(" in %s", advice(f.retryAfter))
	}
	if req.Claims != "" && p.Code == problem.LoginRequired {
		p.Command = account.ChallengeCommand(req.Account, req.Claims)
	}
	return p
}

// note remembers a failure of one token while its account is there.
func (r *Refresher) note(ctx context.Context, key backoffKey, f failure) {
	r.backoff.note(key, f)
	if e, err := r.accounts.Get(ctx, key.account); err == nil && (e == nil || e.Generation != f.account) {
		r.backoff.forget(key, f.account)
	}
}

func newFailure(reg *config.Registration, req TokenRequest, e *account.Entry, err error) failure {
	refused, retryAfter := account.NewRefreshError(err, time.Now())
	f := failure{
		RefreshError: refused, account: e.Generation, retryAfter: retryAfter, generation: reg.Generation,
	}
	switch refused.Class {
	case entra.ClassResource, entra.ClassBlocked, entra.ClassRequest:
		refused.Scopes = req.Scopes
	}
	var answer *entra.Error
	if errors.As(err, &answer) {
		f.noAnswer = refused.Class == entra.ClassTransient && answer.NoAnswer()
		f.aboutClient = answer.AboutClient()
	}
	return f
}

func (r *Refresher) storeFailure(ctx context.Context, req TokenRequest, generation string, refused *account.RefreshError) error {
	_, err := r.accounts.Update(ctx, req.Account, func(e *account.Entry) (*account.Entry, error) {
		if e == nil || e.Generation != generation {
			return nil, account.ErrNoChange
		}
		e.Refused(req.Role, refused)
		return e, nil
	})
	return err
}
