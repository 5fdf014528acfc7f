// SPDX-License-Identifier: MPL-2.0

package explore

import (
	"errors"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"
)

// judge holds an answer to what is known. The caller holds mu.
func (w *world) judge(r *run, resp *logical.Response, err error) {
	if took := r.end - r.begin; took > answerLimit {
		w.violated("late: %s took %s", r, took)
	}
	switch r.kind {
	case "login":
		if r.ok {
			w.begunLogin(r, resp)
		}
	case "read", "refresh":
		if r.ok {
			w.judgeToken(r, resp)
		} else if errors.Is(err, logical.ErrUnsupportedPath) && w.mustExist(r.account, r) != nil {
			w.violated("lost: %s: %s", r, r.text)
		}
	case "check":
		w.judgeCheck(r, resp, err)
	case "disable", "enable", "note":
		if r.ok && !w.mayExist(r) {
			w.violated("created: %s, though there is no such account", r)
		}
	case "list":
		if r.ok && len(resp.Warnings) == 0 {
			w.judgeList(r, resp)
		}
	case "read config":
		if r.ok && resp != nil {
			w.judgeClientError(r, resp)
		}
	case "complete":
		if r.ok {
			w.judgeEvicted(r)
		}
	}
	refreshed := r.kind == "read" || r.kind == "refresh"
	if refreshed && strings.HasPrefix(r.text, "client_rejected") {
		w.judgeClientRejected(r)
	}
}

// visible reports whether what q did to the key is known where r was asked, when it was.
func (r *run) visible(q *run, key string) bool {
	if !q.ok || q.end > r.begin {
		return false
	}
	since, blind := r.blind[key]
	return q.at == r.at || r.at.born >= q.end || !blind || since > q.end
}

// settled is the last of the runs that affect something, if it is certain which that is: it
// was answered and is visible to r, and no other overlaps it or follows.
func (w *world) settled(r *run, key string, affects func(*run) bool) *run {
	var last *run
	for _, q := range w.runs {
		if affects(q) && r.visible(q, key) && (last == nil || q.end > last.end) {
			last = q
		}
	}
	if last == nil {
		return nil
	}
	for _, q := range w.runs {
		if q != last && affects(q) && q.begin <= r.end && (q.running() || q.end > last.begin) {
			return nil
		}
	}
	return last
}

// of tells the runs of these kinds on an account.
func of(account string, kinds ...string) func(*run) bool {
	return func(q *run) bool { return q.account == account && slices.Contains(kinds, q.kind) }
}

// leastTTL is the least ttl in seconds that the Vault Secrets Operator takes for no error.
const leastTTL = 3

// judgeToken holds a served token to the authority's books and to what was done before.
func (w *world) judgeToken(r *run, resp *logical.Response) {
	text, _ := resp.Data["access_token"].(string)
	t := w.authority.access[text]
	if t == nil {
		w.violated("forged: %s was answered %q", r, text)
		return
	}
	f, key := t.family, accountPrefix+r.account
	if t.expiry <= r.end {
		w.violated("expired: %s was answered a token that ended at %s", r, t.expiry)
	}
	if resp.Data["object_id"] != "oid-"+f.user || resp.Data["client_id"] != f.client {
		w.violated("another's: %s says %v of client %v, and the token is %s's of %s", r,
			resp.Data["object_id"], resp.Data["client_id"], f.user, f.client)
	}
	if ttl, _ := resp.Data["ttl"].(int64); ttl < leastTTL {
		w.violated("ttl: %s was answered ttl %d", r, ttl)
	}
	switches := of(r.account, "disable", "enable", "delete")
	if last := w.settled(r, key, switches); last != nil && last.kind == "disable" {
		w.violated("disabled: %s was answered a token, after %s", r, last)
	}
	if q := w.overtaken(r); q != nil {
		w.violated("%sd: %s was answered a token at %s, after %s had ended", q.kind, r, r.end, q)
	}
	if f.begun.account != r.account {
		w.violated("another's: %s was answered a token of account %s", r, f.begun.account)
	}
	for _, q := range w.runs {
		switch {
		case q.account != r.account || !r.visible(q, key):
		case q.kind == "delete" && f.begun.done && f.begun.end <= q.begin:
			w.violated("deleted: %s was answered a token of %s, after %s", r, f.begun, q)
		case (q.kind == "import" || q.kind == "complete") && f.ended != q && f.ended != nil &&
			f.ended.done && f.ended.end <= q.begin:
			w.violated("superseded: %s was answered a token of %s, after %s", r, f.ended, q)
		}
	}
	if r.role != "" {
		writes := func(q *run) bool {
			return q.role == r.role && (q.kind == "role" || q.kind == "delete role")
		}
		if last := w.settled(r, "role/"+r.role, writes); last != nil && last.arg != t.scopes {
			w.violated("scopes: %s was answered a token for %q, after %s", r, t.scopes, last)
		}
	}
}

// overtaken is a disable or delete that ended on the same node before r was answered, though
// after it was asked, nil if there is none. What is served is looked at last, and nothing
// waits after that, unless the scopes of a role have to be read. The caller holds mu.
func (w *world) overtaken(r *run) *run {
	if r.role != "" {
		return nil
	}
	for _, q := range w.runs {
		if !of(r.account, "disable", "delete")(q) || !q.ok || q.at != r.at || q.end < r.begin ||
			q.end >= r.end {
			continue
		}
		if !slices.ContainsFunc(w.runs, func(o *run) bool {
			return of(r.account, "enable", "import", "complete")(o) && o.begin <= r.end &&
				(o.running() || o.end >= q.begin)
		}) {
			return q
		}
	}
	return nil
}

// mustExist is the sign-in that the account has to have, for r, nil if there need not be one:
// a sign-in was answered, and no delete overlaps it or follows.
func (w *world) mustExist(account string, r *run) *run {
	for _, s := range w.runs {
		if !of(account, "import", "complete")(s) || !r.visible(s, accountPrefix+account) {
			continue
		}
		if !slices.ContainsFunc(w.runs, func(d *run) bool {
			return of(account, "delete")(d) && d.begin <= r.end && (d.running() || d.end > s.begin)
		}) {
			return s
		}
	}
	return nil
}

// mayExist reports whether the account can be there when r ends.
func (w *world) mayExist(r *run) bool { return w.deleted(r.account, r) == nil && w.begun(r) }

// begun reports whether anything can have made the account.
func (w *world) begun(r *run) bool {
	return slices.ContainsFunc(w.runs, of(r.account, "import", "complete", "login", "pin"))
}

// deleted is the delete that the account did not survive, for r, nil if it may be there.
func (w *world) deleted(account string, r *run) *run {
	for _, d := range w.runs {
		if !of(account, "delete")(d) || !r.visible(d, accountPrefix+account) {
			continue
		}
		if !slices.ContainsFunc(w.runs, func(s *run) bool {
			return of(account, "import", "complete", "login", "pin")(s) && s.begin <= r.end &&
				(s.running() || s.end > d.begin)
		}) {
			return d
		}
	}
	return nil
}

// judgeList holds a complete list to the accounts that must be there, and must not.
func (w *world) judgeList(r *run, resp *logical.Response) {
	names, _ := resp.Data["keys"].([]string)
	for _, account := range accounts {
		listed := slices.Contains(names, account)
		if s := w.mustExist(account, r); s != nil && !listed {
			w.violated("index: %s lacks account %s of %s", r, account, s)
		}
		if d := w.deleted(account, r); d != nil && listed {
			w.violated("index: %s shows account %s after %s", r, account, d)
		}
	}
}
