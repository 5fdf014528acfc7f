// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/config"
)

// maxSpread is over how long overdue keep-alives are spread at most: after an outage they
// are all due at once.
const maxSpread = time.Hour

// roleRetry is how often the background looks whether a role can keep an account alive again
// that nothing can just now: it may have been deleted and written anew, or its scopes corrected.
const roleRetry = time.Hour

// task is a token that the background refreshes at a time.
type task struct {
	role    string
	at      time.Time
	urgency urgency
}

// roleScopes are the scopes of an account's roles; one that is missing is not there any
// more. nil is for where nobody has looked.
type roleScopes map[string][]string

func (s roleScopes) gone(role string) bool { return s != nil && role != "" && s[role] == nil }

// jitter spreads what is due for many accounts at once: 0 to 1, always the same for an account
// and a time, so that an account is due when it was due, however often that is worked out.
func jitter(name string, of time.Time) float64 {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(name))
	return rand.New(rand.NewPCG(hash.Sum64(), uint64(of.UnixNano()))).Float64()
}

// nextDue is what is to be done for the account next; the zero time is never. Without a
// config at hand it is now: the job finds out. The caller holds mu.
func (w *Worker) nextDue(name string, e *account.Entry, scopes roleScopes, now time.Time) task {
	reg := w.config.Current()
	if reg == nil {
		return task{at: now, urgency: idle}
	}
	var next task
	for _, t := range w.tasks(name, e, reg.Entry, scopes, now, jitter(name, e.RefreshTokenTime)) {
		if t.urgency == idle && !t.at.After(now) { // a token in use is not put off by that
			spread := min(reg.KeepaliveInterval/10, maxSpread)
			t.at = now.Add(time.Duration(jitter(name, now) * float64(spread)))
		}
		if next.at.IsZero() || t.at.Before(next.at) {
			next = t
		}
	}
	return next
}

// dueRole is the role whose token is refreshed now. The jitter has done its work by then,
// so the whole of it counts. The caller holds mu.
func (w *Worker) dueRole(name string, e *account.Entry, cfg *config.Entry, scopes roleScopes, now time.Time) (role string, due bool) {
	for _, t := range w.tasks(name, e, cfg, scopes, now, 1) {
		if !t.at.After(now) {
			return t.role, true
		}
	}
	return "", false
}

// tasks are what the background has to do for the account: tokens in use first, then the
// keep-alive. The caller holds mu.
func (w *Worker) tasks(name string, e *account.Entry, cfg *config.Entry, scopes roleScopes, now time.Time, jitter float64) []task {
	if !cfg.BackgroundRefresh || e.Disabled || e.Error != nil || e.Mismatch(cfg, now) != "" {
		return nil
	}
	notBefore := func(role string) (time.Time, bool) {
		of := scopes[role]
		if role == "" {
			of = e.EffectiveScopes(cfg)
		}
		key := backoffKey{name, role, ""}
		return w.refresher.backoff.notBefore(e, key, of, cfg.KeepaliveInterval, now)
	}
	var tasks []task
	lastRead := e.LastReadTime
	if u := w.use[name]; u != nil {
		lastRead = u.lastRead
		for _, role := range slices.Sorted(maps.Keys(u.tokens)) {
			t := e.Tokens[role]
			if t == nil || scopes.gone(role) {
				continue
			}
			if at, never := notBefore(role); !never {
				tasks = append(tasks, task{role, later(t.RefreshAt(cfg.RefreshMargin, jitter), at), inUse})
			}
		}
	}
	at := e.KeepaliveAt(cfg, lastRead, jitter, now)
	if at.IsZero() {
		return tasks
	}
	var keepalive *task
	for _, role := range keepaliveRoles(e, scopes) {
		until, never := notBefore(role)
		if t := (task{role, later(at, until), idle}); !never && (keepalive == nil || t.at.Before(keepalive.at)) {
			keepalive = &t
		}
	}
	if keepalive == nil && len(e.Roles) > 0 {
		keepalive = &task{"", now.Add(roleRetry), idle}
	}
	if keepalive != nil {
		tasks = append(tasks, *keepalive)
	}
	return tasks
}

// keepaliveRoles are the roles whose token can keep the refresh token alive: what worked
// last comes first.
func keepaliveRoles(e *account.Entry, scopes roleScopes) []string {
	roles := append([]string{""}, e.Roles...)
	roles = slices.DeleteFunc(roles, scopes.gone)
	worked := func(role string) time.Time {
		if t := e.Tokens[role]; t != nil {
			return t.ObtainedAt
		}
		return time.Time{}
	}
	slices.SortStableFunc(roles, func(a, b string) int { return worked(b).Compare(worked(a)) })
	return roles
}
