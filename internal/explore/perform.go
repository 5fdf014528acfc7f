// SPDX-License-Identifier: MPL-2.0

package explore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

const accountPrefix = "account/"

// run is one request, from its begin to its answer. Its fields are guarded by world.mu.
type run struct {
	operation
	id    int
	at    *instance
	begin time.Duration
	end   time.Duration
	done  bool
	ok    bool
	text  string // of an error

	called bool // Entra, by itself
	login  *run // that it completes

	blind map[string]time.Duration // by key: since when this node is not told of changes
}

type runKey struct{}

func (r *run) running() bool { return !r.done }

// String names the run.
func (r *run) String() string {
	return fmt.Sprintf("#%d %s %s %s %s at %s, begun at %s", r.id, r.kind, r.account, r.role, r.arg,
		r.at.name, r.begin)
}

// loginURL is a sign-in that waits for a person.
type loginURL struct {
	account, client, state, nonce string
	begun                         *run
}

// perform begins one operation of the plan.
func (w *world) perform(id int, o operation) {
	w.mu.Lock()
	w.note(fmt.Sprintf("#%d", id), o.String(), "")
	w.mu.Unlock()
	switch o.kind {
	case "overtake":
		w.background(func() { w.overtake(id, o) })
	case "crowd":
		w.background(func() { w.crowd(id, o) })
	case "failover":
		if o.due {
			w.background(func() { w.request(id, operation{kind: "read", account: o.account}) })
		}
		w.background(func() { w.failoverOf(id, o) })
	case "storm", "entra", "block", "unblock", "no consent", "consent", "revoke", "new secret",
		"corrupt":
		w.mu.Lock()
		defer w.mu.Unlock()
		w.happen(o)
	case "config":
		w.background(func() {
			w.request(id, o)
			w.lookAtConfig(id)
		})
	default:
		w.background(func() { w.request(id, o) })
	}
}

// failoverOf moves the right to write. Where the operation begins with a read of a token that is
// due, that is at the authority by then, and storage takes no answer for a while.
func (w *world) failoverOf(id int, o operation) {
	if o.due {
		w.mu.Lock()
		r := w.roll(newCaller(fmt.Sprintf("#%d failover", id)), "wait")
		wait, refuses := between(r, 0, 100*time.Millisecond), between(r, 0, 8*time.Second)
		w.storage.storm = storm{until: w.now() + wait + refuses, writesOnly: true}
		w.mu.Unlock()
		time.Sleep(wait)
	}
	w.failover(o.arg, o.length)
}

// lookAtConfig reads the config a while after it was written: what arrives meanwhile was asked
// under the one before.
func (w *world) lookAtConfig(id int) {
	who := newCaller(fmt.Sprintf("#%d look", id))
	w.mu.Lock()
	wait := between(w.roll(who, "wait"), 0, 10*time.Second)
	w.mu.Unlock()
	time.Sleep(wait)
	w.mu.Lock()
	at := w.active
	w.mu.Unlock()
	if at != nil {
		w.ask(id, who, operation{kind: "read config"}, at)
	}
}

func (w *world) background(f func()) {
	w.busy.Add(1)
	go func() {
		defer w.busy.Done()
		f()
	}()
}

// happen is what nobody asks the engine for. The caller holds mu.
func (w *world) happen(o operation) {
	a, now := w.authority, w.now()
	switch o.kind {
	case "storm":
		w.storage.storm = storm{until: now + o.length,
			hangs:      o.arg == "hangs" || o.arg == "hangs on writes",
			writesOnly: o.arg == "refuses writes" || o.arg == "hangs on writes"}
	case "entra":
		a.weather, a.until = o.arg, now+o.length
		a.retryAfter = []time.Duration{5 * time.Second, time.Minute, time.Hour}[o.number%3]
	case "block":
		a.blocked[o.user] = true
	case "unblock":
		a.blocked[o.user] = false
	case "no consent":
		a.noConsent[o.user+" "+o.arg] = true
	case "consent":
		a.noConsent[o.user+" "+o.arg] = false
	case "revoke":
		for _, f := range a.families {
			f.revoked = f.revoked || f.user == o.user
		}
	case "new secret":
		a.secret = fmt.Sprintf("secret-%d", o.number)
	case "corrupt":
		w.storage.entries[accountPrefix+"x"] = []byte(`{"version":1,"generation":5}`)
	}
}

// request asks a node, and the active one where that sends it there.
func (w *world) request(id int, o operation) {
	if o.kind == "config" || o.kind == "delete config" {
		<-w.writing
		defer func() { w.writing <- struct{}{} }()
	}
	name := fmt.Sprintf("#%d", id)
	for _, standby := range []bool{o.standby, false} {
		w.mu.Lock()
		at := w.active
		if standby {
			at = w.standby()
		}
		w.mu.Unlock()
		if at == nil {
			continue
		}
		if o.kind == "read" && o.number%4 == 0 {
			w.ask(id, newCaller(name+"c"), checkOf(o), at)
		}
		if _, _, forwarded := w.ask(id, newCaller(name), o, at); !forwarded {
			return
		}
		name += "f"
	}
}

// standby is the node that is not the active one. The caller holds mu.
func (w *world) standby() *instance {
	for _, n := range w.nodes {
		if n.instance != nil && n.instance != w.active && !n.instance.dead {
			return n.instance
		}
	}
	return nil
}

// ask makes one request of an instance, and has the answer judged.
func (w *world) ask(id int, who *caller, o operation, at *instance) (r *run, resp *logical.Response, forwarded bool) {
	w.mu.Lock()
	r = &run{operation: o, id: id, at: at, begin: w.now(), blind: map[string]time.Duration{}}
	req, ok := w.requestOf(r)
	if !ok {
		w.mu.Unlock()
		return r, nil, false
	}
	for _, key := range []string{accountPrefix + o.account, "role/" + o.role, "config"} {
		if p := at.oldest(key); p != nil {
			r.blind[key] = p.at
		}
	}
	w.runs = append(w.runs, r)
	w.mu.Unlock()
	req.Storage, req.MountPoint, req.DisplayName = at.view, "entra/", "token-explorer"
	ctx, cancel := context.WithTimeout(context.Background(), requestLimit)
	defer cancel()
	ctx = context.WithValue(context.WithValue(ctx, callerKey{}, who), runKey{}, r)
	resp, err := at.backend.HandleRequest(ctx, req)

	w.mu.Lock()
	defer w.mu.Unlock()
	r.end, r.done = w.now(), true
	switch {
	case resp != nil && resp.IsError():
		r.text = resp.Error().Error()
	case err != nil:
		r.text = err.Error()
	default:
		r.ok = true
	}
	w.note(who.name, "answered", fmt.Sprintf("%v %s", r.ok, r.text))
	w.judge(r, resp, err)
	return r, resp, errors.Is(err, logical.ErrReadOnly)
}

// requestOf is the request of a run; false where there is nothing to do. The caller holds mu.
func (w *world) requestOf(r *run) (*logical.Request, bool) {
	req := &logical.Request{Operation: logical.UpdateOperation, Data: map[string]any{}}
	suffix := r.account
	if r.role != "" {
		suffix += "/" + r.role
	}
	switch r.kind {
	case "read":
		req.Operation, req.Path = logical.ReadOperation, "token/"+suffix
	case "check":
		req.Operation, req.Path = logical.ReadOperation, "check/"+suffix
	case "refresh":
		req.Path, req.Data = "refresh/"+suffix, map[string]any{"claims": r.arg}
	case "login":
		req.Path = "login/" + r.account
	case "complete", "cancel":
		return req, w.callback(r, req)
	case "import":
		_, first := w.authority.newFamily(r.user, w.configuredClient(), r)
		req.Path, req.Data["refresh_token"] = "import/"+r.account, first.text
	case "delete":
		req.Operation, req.Path = logical.DeleteOperation, accountPrefix+r.account
	case "disable", "enable":
		req.Path, req.Data["disabled"] = accountPrefix+r.account, r.kind == "disable"
	case "note":
		req.Path = accountPrefix + r.account
		req.Data["metadata"] = map[string]any{"n": fmt.Sprint(r.id)}
	case "pin":
		req.Path, req.Data["username"] = accountPrefix+r.account, r.user+"@example.com"
	case "role":
		req.Path, req.Data["scopes"] = "roles/"+r.role, r.arg
	case "delete role":
		req.Operation, req.Path = logical.DeleteOperation, "roles/"+r.role
	case "config":
		req.Path, req.Data = "config", w.configOf(r)
	case "delete config":
		req.Operation, req.Path = logical.DeleteOperation, "config"
	case "read config":
		req.Operation, req.Path = logical.ReadOperation, "config"
	case "list":
		req.Operation, req.Path = logical.ListOperation, accountPrefix
	case "account":
		req.Operation, req.Path = logical.ReadOperation, accountPrefix+r.account
	default:
		panic(r.kind)
	}
	return req, true
}

// configuredClient is the client that the config names. The caller holds mu.
func (w *world) configuredClient() string {
	var stored struct {
		ClientID string `json:"client_id"`
	}
	if json.Unmarshal(w.storage.entries["config"], &stored) != nil {
		return clients[0]
	}
	return stored.ClientID
}

// callback completes or cancels one of the account's logins. The caller holds mu.
func (w *world) callback(r *run, req *logical.Request) bool {
	var of []*loginURL
	for _, l := range w.logins {
		if l.account == r.account {
			of = append(of, l)
		}
	}
	if len(of) == 0 {
		return false
	}
	l := of[len(of)-1-min(r.number%4, len(of)-1)%len(of)]
	if at := slices.IndexFunc(of, func(l *loginURL) bool { return l.begun.id == r.id }); at >= 0 {
		l = of[at] // the first of this operation
	}
	r.login = l.begun
	text := fmt.Sprintf("code-%d", r.id)
	w.authority.codes[text] = &code{user: r.user, client: l.client, nonce: l.nonce, begun: l.begun}
	req.Path = "callback/" + r.account
	if r.kind == "cancel" {
		req.Path, req.Data["decision"] = "callback", "cancel"
	}
	req.Data["code"], req.Data["state"] = text, l.state
	return true
}

// configOf is what a config write says. The caller holds mu.
func (w *world) configOf(r *run) map[string]any {
	data := map[string]any{"verify": false}
	switch r.arg {
	case "all":
		data["tenant_id"], data["redirect_uris"] = tenant, "https://vault.example.com/v1/entra/callback"
		data["client_id"], data["client_secret"] = clients[0], w.authority.secret
		data["keepalive_interval"] = int(w.plan.keepalive / time.Second)
		data["refresh_margin"] = int(w.plan.margin / time.Second)
		data["keepalive_max"], data["login_ttl"] = 0, "5m"
		data["scopes"], data["background_refresh"] = defaultScopes, true
		data["max_concurrent_refreshes"] = 2
		if r.user == badDefault {
			data["scopes"] = "Bad.Scope"
		}
	case "secret":
		data["client_secret"] = w.authority.secret
	case "wrong secret":
		data["client_secret"] = "wrong"
	case "client":
		data["client_id"] = clients[r.number%2]
	case "scopes":
		data["scopes"] = []string{defaultScopes, "Calendars.Read"}[r.number%2]
	case "bad scopes":
		data["scopes"] = "Bad.Scope"
	case "keepalive":
		data["keepalive_interval"] = []string{"10m", "1h", "0"}[r.number%3]
	case "background off":
		data["background_refresh"] = false
	}
	return data
}

// badDefault, as the user of a config write, asks for default scopes that are refused.
const badDefault = "bad default"

// begunLogin notes a sign-in that was handed out. The caller holds mu.
func (w *world) begunLogin(r *run, resp *logical.Response) {
	u, err := url.Parse(resp.Data["auth_url"].(string))
	if err != nil {
		panic(err)
	}
	q := u.Query()
	w.logins = append(w.logins, &loginURL{account: r.account, client: q.Get("client_id"),
		state: q.Get("state"), nonce: q.Get("nonce"), begun: r})
}
