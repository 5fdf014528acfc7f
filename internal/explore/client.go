// SPDX-License-Identifier: MPL-2.0

package explore

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// clientRefusal is a request that the authority refused the client of.
type clientRefusal struct {
	at      *instance
	number  int // in the order in which the authority refused
	sent    time.Duration
	arrived time.Duration
}

// refuseClient is the refusal of a client. It says which one of them it is.
func (a *authority) refuseClient() *reply {
	a.refusedClients++
	r := refusal(http.StatusUnauthorized, "invalid_client", 7000215)
	r.body["error_description"] = fmt.Sprintf("AADSTS7000215: refused #%d", a.refusedClients)
	r.clientRefusal = a.refusedClients
	return r
}

var refusalNumber = regexp.MustCompile(`refused #([0-9]+)`)

// lastConfig is the last config write that r knows, nil if it knows none.
func (w *world) lastConfig(r *run) *run {
	var last *run
	for _, q := range w.runs {
		if q.kind == "config" && r.visible(q, "config") && (last == nil || q.end > last.end) {
			last = q
		}
	}
	return last
}

// judgeClientRejected holds a refusal to the config as it is: one of an earlier config has
// nothing to say after a config write.
func (w *world) judgeClientRejected(r *run) {
	last := w.lastConfig(r)
	if last == nil || w.refusedSince(r.at, last.begin) {
		return
	}
	w.violated("old registration: %s was answered %q, after %s", r, r.text, last)
}

// refusedSince reports whether the instance was refused with a request sent after some time.
func (w *world) refusedSince(at *instance, begin time.Duration) bool {
	return slices.ContainsFunc(w.authority.clientRefusals, func(c clientRefusal) bool {
		return c.at == at && c.sent >= begin
	})
}

// judgeClientError holds what the config shows of the client to what the active node was
// answered: the latest refusal under this config, and no other.
func (w *world) judgeClientError(r *run, resp *logical.Response) {
	shown, _ := resp.Data["client_error"].(map[string]any)
	message, _ := shown["message"].(string)
	number := 0
	if found := refusalNumber.FindStringSubmatch(message); found != nil {
		number, _ = strconv.Atoi(found[1]) // it is digits
	}
	if last := w.lastConfig(r); number > 0 && last != nil && !w.refusedSince(r.at, last.begin) {
		w.violated("old registration: %s shows %q, after %s", r, message, last)
	}
	if r.at != w.active && r.at.state != standby {
		return // it has just lost the right to write
	}
	latest := time.Duration(-1) // when what is shown arrived: not in the order of the numbers
	for _, c := range w.authority.clientRefusals {
		if c.number == number {
			latest = c.arrived
		}
	}
	for _, c := range w.authority.clientRefusals {
		if c.arrived > latest && w.mustBeShown(c, r) {
			w.violated("client_error: %s shows %q, and refusal #%d had arrived at %s at %s", r,
				message, c.number, c.at.name, c.arrived)
			return
		}
	}
}

// mustBeShown reports whether a refusal counts for r: the active node knew of it, and neither
// a token nor a config write has ended it.
func (w *world) mustBeShown(c clientRefusal, r *run) bool {
	if c.at != w.active || c.arrived >= r.begin || c.at.lastToken >= c.arrived {
		return false
	}
	return !slices.ContainsFunc(w.runs, func(q *run) bool {
		return q.kind == "config" && q.begin <= r.end && (q.running() || q.end > c.sent-answerLimit)
	})
}
