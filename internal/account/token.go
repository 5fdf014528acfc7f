// SPDX-License-Identifier: MPL-2.0

package account

import (
	"slices"
	"sync/atomic"
	"time"

	"vault-plugin-secrets-entra/internal/entra"
)

const (
	// MinServedLife is what a served token has left at the very least.
	MinServedLife = 3 * time.Second

	// ClockSkew is how far two readings of the clock may disagree without meaning.
	ClockSkew = 5 * time.Second
)

// CachedToken is an access token with what is needed to serve it.
type CachedToken struct {
	AccessToken entra.Secret `json:"access_token"`
	TokenType   string       `json:"token_type"`
	Scope       string       `json:"scope"`  // as granted
	Scopes      []string     `json:"wanted"` // the effective scopes it stands for
	ObtainedAt  time.Time    `json:"obtained"`
	Expiry      time.Time    `json:"expiry"`

	// RefreshAfter is when the provider wants the token refreshed (refresh_in), zero where
	// it does not say.
	RefreshAfter time.Time `json:"refresh_after"`

	readIn atomic.Uint64 // the latest term in which it was read, see FirstRead
}

func newCachedToken(t *entra.Tokens, scopes []string) *CachedToken {
	return &CachedToken{
		AccessToken: t.AccessToken,
		TokenType:   t.TokenType,
		Scope:       t.Scope,
		Scopes:      scopes,
		ObtainedAt:  t.Obtained,
		Expiry:      t.Expiry,

		RefreshAfter: t.RefreshAfter,
	}
}

// Token is the cached token for role, if it was obtained for just these scopes.
func (e *Entry) Token(role string, scopes []string) *CachedToken {
	t := e.Tokens[role]
	if t == nil || !slices.Equal(t.Scopes, scopes) {
		return nil
	}
	return t
}

// FirstRead notes that somebody is served the token and reports whether nobody was before in this
// term of the node, a number above 0. Any other time it costs one load.
func (t *CachedToken) FirstRead(term uint64) bool {
	return t.readIn.Load() != term && t.readIn.Swap(term) != term
}

// Life is the token's whole lifetime.
func (t *CachedToken) Life() time.Duration { return t.Expiry.Sub(t.ObtainedAt) }

// Margin is how long before its expiry the token is replaced: refreshMargin, or
// half its life where that is shorter than twice the margin.
func (t *CachedToken) Margin(refreshMargin time.Duration) time.Duration {
	return min(refreshMargin, t.Life()/2)
}

// ServedUntil is the moment from which a reader who asks for minTTL is not served
// this token any more. minTTL counts up to half of the token's life.
func (t *CachedToken) ServedUntil(refreshMargin, minTTL time.Duration) time.Time {
	return t.Expiry.Add(-max(t.Margin(refreshMargin), min(minTTL, t.Life()/2), MinServedLife))
}

// RefreshAt is when a token in use is refreshed before a reader has to wait for it:
// within the last tenth of its rotation period, or when the provider wants it if that is
// earlier. jitter is 0 to 1.
func (t *CachedToken) RefreshAt(refreshMargin time.Duration, jitter float64) time.Time {
	period := t.Life() - t.Margin(refreshMargin)
	at := t.ServedUntil(refreshMargin, 0)
	if !t.RefreshAfter.IsZero() && t.RefreshAfter.Before(at) && t.RefreshAfter.After(t.ObtainedAt) {
		at, period = t.RefreshAfter, t.RefreshAfter.Sub(t.ObtainedAt)
	}
	return at.Add(-time.Duration(jitter * float64(period/10)))
}

// Fresh reports whether the token may be served without a second thought.
func (t *CachedToken) Fresh(now time.Time, refreshMargin, minTTL time.Duration) bool {
	return now.Before(t.ServedUntil(refreshMargin, minTTL)) && !t.FromTheFuture(now)
}

// FromTheFuture tells a token that claims to be obtained later than now: it was
// obtained before a clock was set back, and may be expired.
func (t *CachedToken) FromTheFuture(now time.Time) bool {
	return t.ObtainedAt.After(now.Add(ClockSkew))
}

// Usable reports whether the token has enough life left to be served at all.
func (t *CachedToken) Usable(now time.Time) bool {
	return t.Expiry.Sub(now) >= MinServedLife
}
