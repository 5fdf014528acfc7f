// SPDX-License-Identifier: MPL-2.0

package explore

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"
)

// checkOf asks whether a token can be had that the read asks for.
func checkOf(read operation) operation {
	read.kind = "check"
	return read
}

// judgeCheck holds an answer of check to what it promises at any time: it is always one, calls
// nobody (see RoundTrip) and shows no token. The caller holds mu.
func (w *world) judgeCheck(r *run, resp *logical.Response, err error) {
	if errors.Is(err, logical.ErrReadOnly) {
		return // the active node knows
	}
	if !r.ok || resp == nil {
		w.violated("check: %s has no answer: %s", r, r.text)
		return
	}
	said := fmt.Sprint(resp.Data)
	for text := range w.authority.access {
		if strings.Contains(said, text) {
			w.violated("check: %s shows an access token", r)
		}
	}
	for text := range w.authority.refresh {
		if strings.Contains(said, text) {
			w.violated("check: %s shows a refresh token", r)
		}
	}
}

// checkAndRead asks check and then reads, of the active node, and holds the two to each other.
// Nobody else does anything then but the background, and the authority is well.
func (w *world) checkAndRead(id int, read operation) *run {
	who := newCaller(fmt.Sprintf("end %d", id))
	w.mu.Lock()
	calls, alone := w.authority.calls, len(w.authority.sent) == 0
	w.mu.Unlock()
	c, resp, _ := w.ask(id, who, checkOf(read), w.active)
	r, _, _ := w.ask(id, who, read, w.active)
	w.mu.Lock()
	defer w.mu.Unlock()
	if alone = alone && (w.authority.calls == calls || r.called); !c.ok || !alone {
		return r // the background was at it: what was said of the account may be over
	}
	ready, word := resp.Data["ready"] == true, fmt.Sprint(resp.Data["word"])
	switch {
	case ready && !r.ok && !r.called:
		w.violated("check: %s says ready, and %s is answered %q", c, r, r.text)
	case !ready && (r.ok || r.called):
		w.violated("check: %s says %v, and %s is served, or asks Entra", c, resp.Data, r)
	case !ready && word != "unknown_account" && !strings.HasPrefix(r.text, word):
		w.violated("check: %s says %q, and %s is answered %q", c, word, r, r.text)
	}
	return r
}
