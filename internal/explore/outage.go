// SPDX-License-Identifier: MPL-2.0

package explore

import (
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

const (
	outageBefore = 10 * time.Minute
	outageCalls  = 30 // minutes that calls are counted in

	// outageReads is how many storage calls the background makes in that time at most: a few
	// for each probe of the authority, none for accounts that wait.
	outageReads = 300

	// recovery is how long after an outage a token in use is refreshed at the latest: the
	// longest pause, of the mount and of the token, and the call itself.
	recovery = 90 * time.Second
)

// longOutage counts what the background asks of an authority that does not answer, or refuses
// the client, while every token is in use; or the first account's alone.
func (w *world) longOutage() {
	if w.plan.idleFirst {
		w.failover("step down, new instance", 0) // it knows of no readers
	}
	w.mu.Lock()
	all, weather := w.storedAccounts(), pick(w.roll(newCaller("outage"), ""), refuses, badClient)
	w.mu.Unlock()
	var used *family
	for i, a := range all {
		r, resp, _ := w.ask(1300+i, newCaller(fmt.Sprintf("outage %d", i)),
			operation{kind: "read", account: a.name}, w.active)
		if w.plan.idleFirst && r.ok && len(resp.Warnings) == 0 {
			used = w.familyOf(resp)
			break
		}
	}
	w.mu.Lock()
	w.authority.weather, w.authority.until = weather, w.now()+48*time.Hour
	w.mu.Unlock()
	time.Sleep(w.plan.tokenLife + outageBefore)
	w.mu.Lock()
	before, node, total := len(w.authority.background), w.active, w.active.total
	w.mu.Unlock()
	time.Sleep(outageCalls * time.Minute)
	w.mu.Lock()
	calls := w.authority.background[before:]
	if len(calls) > 2*outageCalls+10 {
		w.violated("storm: the background called %d times in %d minutes while the authority %s",
			len(calls), outageCalls, weather)
	}
	if n := node.total - total; n > outageReads {
		w.violated("spins: the background made %d storage calls in %d minutes while the authority %s",
			n, outageCalls, weather)
	}
	kept := used != nil && !used.revoked && !used.person && used.excused == "" &&
		slices.ContainsFunc(calls, func(c backgroundCall) bool { return c.family == used })
	w.authority.mend()
	mended := w.now()
	w.mu.Unlock()
	if !kept {
		return // somebody has to sign in, or it is not the background's
	}
	time.Sleep(recovery)
	w.mu.Lock()
	defer w.mu.Unlock()
	if used.lastUsed < mended {
		w.violated("ahead: the token in use of %s was last refreshed at %s, and the authority was "+
			"mended at %s", used.ended, used.lastUsed, mended)
	}
}

// familyOf is the family of a served token.
func (w *world) familyOf(resp *logical.Response) *family {
	w.mu.Lock()
	defer w.mu.Unlock()
	text, _ := resp.Data["access_token"].(string)
	if t := w.authority.access[text]; t != nil {
		return t.family
	}
	return nil
}
