// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"math/rand/v2"
	"time"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/config"
)

// task is a token that the background refreshes at a time.
type task struct {
	role string
	at   time.Time
}

// nextDue is when there is something to do for the account; zero for never. Without
// a config at hand it is now: the job finds out. The caller holds mu.
func (w *Worker) nextDue(name string, e *account.Entry, now time.Time) time.Time {
	reg := w.config.Current()
	if reg == nil {
		return now
	}
	due := time.Time{}
	for _, t := range w.tasks(name, e, reg.Entry, now, rand.Float64()) {
		if due.IsZero() || t.at.Before(due) {
			due = t.at
		}
	}
	return due
}

// dueRole is the role whose token is refreshed now. The jitter has done its work by
// then, so the whole of it counts. The caller holds mu.
func (w *Worker) dueRole(name string, e *account.Entry, cfg *config.Entry, now time.Time) (role string, due bool) {
	for _, t := range w.tasks(name, e, cfg, now, 1) {
		if !t.at.After(now) {
			return t.role, true
		}
	}
	return "", false
}

// tasks are what the background has to do for the account: tokens in use first. The
// caller holds mu.
func (w *Worker) tasks(name string, e *account.Entry, cfg *config.Entry, now time.Time, jitter float64) []task {
	if !cfg.BackgroundRefresh || e.Disabled || e.Error != nil || e.Mismatch(cfg, now) != "" {
		return nil
	}
	var tasks []task
	add := func(role string, at time.Time, patience time.Duration) {
		if notBefore, never := w.refresher.backoff.notBefore(name, role, e, patience); !never {
			tasks = append(tasks, task{role, later(at, notBefore)})
		}
	}
	lastRead := e.LastReadTime
	if u := w.use[name]; u != nil {
		lastRead = u.lastRead
		for role := range u.tokens {
			if t := e.Tokens[role]; t != nil {
				add(role, t.RefreshAt(cfg.RefreshMargin, jitter), 0)
			}
		}
	}
	at := e.KeepaliveAt(cfg, lastRead, jitter)
	if role, usable := e.KeepaliveRole(); usable && !at.IsZero() {
		add(role, at, cfg.KeepaliveInterval)
	}
	return tasks
}
