// SPDX-License-Identifier: MPL-2.0

package explore

import "fmt"

// pendingLimit is how many logins of an account wait at most: one more evicts the oldest.
const pendingLimit = 20

// crowd begins one login more than an account keeps, while storage deletes nothing, and
// completes the one that made room.
func (w *world) crowd(id int, o operation) {
	w.mu.Lock()
	at := w.active
	w.mu.Unlock()
	if at == nil {
		return
	}
	who := newCaller(fmt.Sprintf("#%d", id))
	login := operation{kind: "login", account: o.account}
	if r, _, _ := w.ask(id, who, login, at); !r.ok {
		return
	}
	w.mu.Lock()
	w.storage.storm = storm{until: w.now() + answerLimit, deletesOnly: true}
	w.mu.Unlock()
	for range pendingLimit {
		w.ask(id, who, login, at)
	}
	w.mu.Lock()
	if w.storage.storm.deletesOnly {
		w.storage.storm = storm{}
	}
	w.mu.Unlock()
	w.ask(id, who, operation{kind: "complete", account: o.account, user: o.user}, at)
}

// judgeEvicted looks whether the login that r completed had made room for newer ones. Where
// others of its account ended meanwhile there was room. The caller holds mu.
func (w *world) judgeEvicted(r *run) {
	newer := 0
	for _, l := range w.logins {
		if l.account == r.account && l.begun != r.login &&
			l.begun.begin >= r.login.end && l.begun.end <= r.begin {
			newer++
		}
	}
	if newer < pendingLimit {
		return
	}
	for _, q := range w.runs {
		ends := of(r.account, "complete", "cancel", "delete", "import")(q)
		if ends && q != r && q.begin <= r.begin && (q.running() || q.end >= r.login.begin) {
			return
		}
	}
	w.violated("evicted: %s completed the login of %s, and %d began after it", r, r.login, newer)
}
