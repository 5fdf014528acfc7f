// SPDX-License-Identifier: MPL-2.0

package explore

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// overtakers are what happens while a request of somebody else is at the authority.
var overtakers = map[string][]operation{
	"disabled":   {{kind: "disable"}},
	"deleted":    {{kind: "delete"}},
	"taken over": {{kind: "delete"}, {kind: "login"}},
	"replaced":   {{kind: "delete"}, {kind: "import"}},
	"mended":     {{kind: "config", arg: "secret"}, {kind: "read"}},
}

// newOvertake plans a read of a token that is due, or a sign-in, and what overtakes it.
func newOvertake(r *rand.Rand, o operation) operation {
	o.kind, o.user = "overtake", usualUser(r, o.account)
	o.arg = pick(r, "disabled", "deleted", "taken over", "replaced", "mended")
	o.due = r.IntN(3) > 0
	return o
}

// overtake begins a request and lets something happen before it is answered. Every other time
// the authority refuses it, or the client.
func (w *world) overtake(id int, o operation) {
	slow := operation{kind: "read", account: o.account}
	if !o.due {
		w.request(id, operation{kind: "login", account: o.account})
		slow.kind, slow.user = "complete", o.user
	}
	w.mu.Lock()
	r := w.roll(newCaller(fmt.Sprintf("#%d overtake", id)), "wait")
	wait := between(r, 0, 120*time.Millisecond)
	if weather := pick(r, calm, calm, refuses, badClient); weather != calm {
		w.authority.weather, w.authority.until = weather, w.now()+wait+100*time.Millisecond
	}
	w.mu.Unlock()
	w.background(func() { w.request(id, slow) })
	time.Sleep(wait)
	for _, next := range overtakers[o.arg] {
		next.account, next.user = o.account, o.user
		if next.kind == "config" {
			next.account, next.user = "", ""
		}
		w.request(id, next)
	}
}
