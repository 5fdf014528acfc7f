// SPDX-License-Identifier: MPL-2.0

package explore

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// blockedFor is how long the engine takes a policy's refusal at its word.
const blockedFor = time.Hour

// rolesLookedAt is how often the engine looks whether a role keeps an account alive again.
const rolesLookedAt = time.Hour

// storedAccount is an account as storage holds it.
type storedAccount struct {
	name         string
	RefreshToken string            `json:"refresh_token"`
	ClientID     string            `json:"client_id"`
	Disabled     bool              `json:"disabled"`
	Metadata     map[string]string `json:"metadata"`
	Tokens       map[string]struct {
		Expiry time.Time `json:"expiry"`
	} `json:"tokens"`

	family *family
}

func sortedKeys[V any](m map[string]V, alias func(string) string) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Compare(alias(a), alias(b))
	})
}

// storedAccounts are the accounts in storage. The caller holds mu.
func (w *world) storedAccounts() []*storedAccount {
	var all []*storedAccount
	for _, name := range w.storage.list(accountPrefix) {
		a := &storedAccount{name: name}
		if json.Unmarshal(w.storage.entries[accountPrefix+name], a) != nil || name == "x" {
			continue
		}
		if t := w.authority.refresh[a.RefreshToken]; t != nil {
			a.family = t.family
		}
		all = append(all, a)
	}
	return all
}

// aftermath is after everything was mended: what must be there, what must happen by itself,
// and what must work.
func (w *world) aftermath() {
	w.regroup()
	w.mu.Lock()
	w.judgeStored()
	w.judgeMarked()
	w.mu.Unlock()
	if w.plan.outage && !w.plan.idleFirst {
		w.longOutage()
	}
	w.mend()
	if w.plan.idleFirst {
		w.longOutage()
	}
	mended := w.now()
	w.waitForKeepalive(mended)
	w.readAll()
	w.mu.Lock()
	defer w.mu.Unlock()
	for key := range w.storage.entries {
		if strings.HasPrefix(key, "login/") {
			w.violated("unswept: %s is still there", w.storage.alias(key))
		}
	}
	w.judgeBounds()
}

// judgeBounds looks for what a write should have dropped from the accounts' entries. The caller
// holds mu.
func (w *world) judgeBounds() {
	for _, a := range w.storedAccounts() {
		wrote := w.storage.wrote[accountPrefix+a.name] - answerLimit // it may have taken its time
		for role, t := range a.Tokens {
			if role != "" && t.Expiry.Before(w.start.Add(wrote)) {
				w.violated("bounds: account %s was written at %s with a token of %s that ended at %s",
					a.name, w.storage.wrote[accountPrefix+a.name], role, t.Expiry.Sub(w.start))
			}
		}
	}
}

// regroup sees to it that a node is active and that both know everything.
func (w *world) regroup() {
	w.mu.Lock()
	current := w.active
	w.mu.Unlock()
	if current == nil {
		w.promote(w.nodes[0], false)
	}
	for _, n := range w.nodes {
		if n.instance != nil {
			n.instance.catchUp()
			n.instance.tick()
		}
	}
}

// judgeStored holds what is stored to the operations that are over. The caller holds mu.
func (w *world) judgeStored() {
	end := &run{operation: operation{kind: "the end"}, at: w.active, begin: w.now(), end: w.now()}
	stored := map[string]*storedAccount{}
	for _, a := range w.storedAccounts() {
		stored[a.name] = a
	}
	for _, name := range accounts {
		a := stored[name]
		if d := w.deleted(name, end); d != nil && a != nil {
			w.violated("returned: account %s is there again after %s", name, d)
		}
		s := w.mustExist(name, end)
		if s != nil && (a == nil || a.family == nil) {
			w.violated("lost: account %s of %s", name, s)
		}
		if a == nil {
			continue
		}
		if s != nil && a.family != nil && a.family.ended != nil && a.family.ended.end < s.begin {
			w.violated("lost: account %s is that of %s, not of %s", name, a.family.ended, s)
		}
		w.judgeIncarnation(a, end)
		switched := of(name, "disable", "enable", "delete")
		if last := w.settled(end, accountPrefix+name, switched); last != nil &&
			last.kind != "delete" && a.Disabled != (last.kind == "disable") {
			w.violated("undone: %s, and account %s has disabled %v", last, name, a.Disabled)
		}
		noted := of(name, "note", "delete")
		if last := w.settled(end, accountPrefix+name, noted); last != nil && last.kind == "note" &&
			a.Metadata["n"] != fmt.Sprint(last.id) {
			w.violated("undone: %s, and account %s has metadata %v", last, name, a.Metadata)
		}
	}
}

// judgeIncarnation holds an account's sign-in to the deletes before it.
func (w *world) judgeIncarnation(a *storedAccount, end *run) {
	if a.family == nil {
		return
	}
	for _, d := range w.runs {
		if of(a.name, "delete")(d) && end.visible(d, accountPrefix+a.name) &&
			a.family.begun.end <= d.begin {
			w.violated("deleted: account %s is that of %s, before %s", a.name, a.family.begun, d)
		}
	}
}

// must does something that works now that everything is mended.
func (w *world) must(id int, o operation) *logical.Response {
	r, resp, _ := w.ask(id, newCaller(fmt.Sprintf("end %d", id)), o, w.active)
	if !r.ok {
		w.mu.Lock()
		w.violated("mended: %s: %s", r, r.text)
		w.mu.Unlock()
	}
	return resp
}

// mend lets operators mend what is left to mend.
func (w *world) mend() {
	w.mu.Lock()
	w.authority.mend()
	all := w.storedAccounts()
	lost := w.storage.entries["config"] == nil
	w.mu.Unlock()
	if w.plan.rewriteConfig || lost {
		o := operation{kind: "config", arg: "all"}
		if w.plan.badDefault {
			o.user = badDefault
		}
		w.must(1000, o)
	}
	if w.plan.rewriteRoles {
		for i, role := range roles {
			w.must(1001+i, operation{kind: "role", role: role, arg: goodScopes[role]})
		}
	}
	for i, a := range all {
		if a.Disabled {
			w.must(1010+i, operation{kind: "enable", account: a.name})
		}
	}
}

// usable reports whether the account needs nobody and lost nothing that it may lose.
func (w *world) usable(a *storedAccount) bool {
	f := a.family
	return f != nil && !f.revoked && !f.person && f.excused == "" && f.client == clients[0]
}

const (
	// idleCalls is how many storage calls the background makes at most after a config write,
	// and idleCallsAnHour while nobody asks: keep-alives every ten minutes.
	idleCalls       = 100
	idleCallsAnHour = 300
)

// waitForKeepalive lets time pass until the refresh token of every account must have been used,
// and looks whether it was.
func (w *world) waitForKeepalive(mended time.Duration) {
	w.mu.Lock()
	all := w.storedAccounts()
	late := map[string]time.Duration{}
	var last time.Duration
	for _, a := range all {
		if !w.usable(a) || !w.keptAlive(a) {
			continue
		}
		by := mended
		if !w.plan.rewriteConfig {
			by = max(by, w.authority.pausedTo)
		}
		if at, was := a.family.refused[""]; was {
			by = max(by, at+blockedFor)
		}
		if _, refused := a.family.refused[defaultScopes]; refused || w.plan.badDefault {
			by += rolesLookedAt
		}
		late[a.name] = by + w.plan.keepalive*13/10 + 5*time.Minute
		last = max(last, late[a.name])
	}
	node, before, began := w.active, w.active.total, w.now()
	w.mu.Unlock()
	time.Sleep(max(last-w.now(), 10*time.Minute))
	w.mu.Lock()
	defer w.mu.Unlock()
	if n, took := node.total-before, w.now()-began; float64(n) > idleCalls+idleCallsAnHour*took.Hours() {
		w.violated("spins: the background of %s made %d storage calls in %s while nobody asked",
			node.name, n, took)
	}
	for _, a := range all {
		if by, must := late[a.name]; must && a.family.lastUsed < mended && w.usable(a) {
			w.violated("unscheduled: account %s was last used at %s, mended at %s, and is not kept "+
				"alive by %s", a.name, a.family.lastUsed, mended, by)
		}
	}
}

// keptAlive reports whether something is there that Entra gives the account tokens for: its
// default scopes, or a role that has worked.
func (w *world) keptAlive(a *storedAccount) bool {
	if _, refused := a.family.refused[defaultScopes]; !refused && !w.plan.badDefault {
		return true
	}
	var entry struct {
		Roles    []string `json:"roles"`
		Refusals map[string]*struct {
			Scopes []string `json:"scopes"`
		} `json:"refusals"`
	}
	if json.Unmarshal(w.storage.entries[accountPrefix+a.name], &entry) != nil {
		return false
	}
	for _, role := range entry.Roles {
		scopes := w.roleScopes(role)
		_, refused := a.family.refused[scopes]
		stored := entry.Refusals[role]
		if scopes != "" && !refused && a.family.worked[scopes] &&
			(stored == nil || stored.Scopes != nil && strings.Join(stored.Scopes, " ") != scopes) {
			return true
		}
	}
	return false
}

// roleScopes are a role's in storage, "" where there are none that Entra knows.
func (w *world) roleScopes(role string) string {
	var stored struct {
		Scopes []string `json:"scopes"`
	}
	_ = json.Unmarshal(w.storage.entries["role/"+role], &stored) // no role: no scopes
	scopes := strings.Join(stored.Scopes, " ")
	if strings.Contains(scopes, "Bad.") {
		return ""
	}
	return scopes
}

// readAll reads the tokens of every account, and looks whether check has said how that goes.
// Those of an account that lost nothing must be served.
func (w *world) readAll() {
	w.mu.Lock()
	all := w.storedAccounts()
	w.mu.Unlock()
	for i, a := range all {
		for j, role := range append([]string{""}, roles...) {
			w.mu.Lock()
			scopes := w.roleScopes(role)
			if role == "" {
				scopes = defaultScopes
			}
			must := w.usable(a) && scopes != "" && !(role == "" && w.plan.badDefault)
			if must {
				_, refused := a.family.refused[scopes]
				at, blocked := a.family.refused[""]
				must = !refused && !(blocked && w.now() < at+blockedFor)
			}
			w.mu.Unlock()
			r := w.checkAndRead(1100+10*i+j, operation{kind: "read", account: a.name, role: role})
			if must && !r.ok {
				w.mu.Lock()
				w.violated("mended: %s: %s", r, r.text)
				w.mu.Unlock()
			}
		}
	}
	resp := w.must(1200, operation{kind: "list"})
	if resp != nil && len(resp.Warnings) > 0 {
		w.mu.Lock()
		w.violated("index: incomplete at the end: %s", resp.Warnings)
		w.mu.Unlock()
	}
}
