// SPDX-License-Identifier: MPL-2.0

package explore

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

var (
	accounts = []string{"a", "b", "c", "d"}
	users    = []string{"ann", "bob", "cid"}
	roles    = []string{"r1", "r2"}
	clients  = []string{"client-1", "client-2"}
)

// plan is what a seed stands for.
type plan struct {
	rotation   string
	tokenLife  time.Duration
	keepalive  time.Duration
	margin     time.Duration
	climate    climate
	operations []operation
	calm       int // how many of them come before the turbulence

	rewriteConfig bool // in the aftermath
	rewriteRoles  bool
	badDefault    bool // the config's default scopes stay refused
	outage        bool // a long outage before everything is mended
	idleFirst     bool // in which some accounts have no readers
	newer         bool // a newer version wrote the accounts before the turbulence
}

// operation is one thing that somebody does.
type operation struct {
	wait    time.Duration // after the one before
	kind    string
	account string
	role    string
	user    string
	arg     string
	number  int
	length  time.Duration
	standby bool // asked of the node that may not write
	due     bool // once the account's token is due
}

// String is the operation as a trace shows it.
func (o operation) String() string {
	parts := []string{"+" + o.wait.Round(time.Microsecond).String(), o.kind}
	for _, part := range []string{o.account, o.role, o.user, o.arg} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if o.length > 0 {
		parts = append(parts, "for "+o.length.Round(time.Millisecond).String())
	}
	if o.due {
		parts = append(parts, "once it is due")
	}
	if o.standby {
		parts = append(parts, "at the standby")
	}
	return strings.Join(parts, " ")
}

// weighted is a kind of operation with how often it is chosen.
type weighted struct {
	weight int
	make   func(r *rand.Rand, o operation) operation
}

func newPlan(seed uint64) *plan {
	r := rand.New(rand.NewPCG(mix(seed), 1))
	p := &plan{
		rotation:  pick(r, keepOld, refuseOld, revokeFamily),
		tokenLife: pick(r, 5*time.Minute, 20*time.Minute, 65*time.Minute),
		keepalive: pick(r, 10*time.Minute, 40*time.Minute, 2*time.Hour),
		margin:    pick(r, 10*time.Second, 2*time.Minute, 10*time.Minute),
		climate: climate{
			storageFail:   pick(r, 0, 0, 0.01, 0.05),
			storageSlow:   pick(r, 0, 0.02, 0.08),
			authorityFail: pick(r, 0, 0, 0.03, 0.1),
			authorityDrop: pick(r, 0, 0, 0.02, 0.1),
			slow:          pick(r, 0, 0.1, 0.3),
		},
		rewriteRoles: r.IntN(3) == 0,
		outage:       r.IntN(8) == 0,
		newer:        r.IntN(8) == 0,
	}
	if p.idleFirst = p.outage && r.IntN(2) == 0; p.idleFirst {
		p.keepalive = 40 * time.Minute // overdue when the outage ends, and spread by then
	}
	p.setUp(r)
	p.calm = len(p.operations)
	p.turbulence(r, 12+r.IntN(28))
	p.rewriteConfig = r.IntN(3) == 0
	for _, o := range p.operations[p.calm:] {
		p.rewriteConfig = p.rewriteConfig || o.kind == "config" || o.kind == "new secret" ||
			o.kind == "overtake" && o.arg == "mended"
	}
	p.badDefault = p.rewriteConfig && !p.idleFirst && r.IntN(6) == 0
	if r.IntN(8) == 0 {
		p.loseConfig(r)
	}
	return p
}

// loseConfig lets the config be deleted somewhere in the turbulence, and written again soon.
func (p *plan) loseConfig(r *rand.Rand) {
	at := p.calm + r.IntN(len(p.operations)-p.calm)
	again := at + r.IntN(min(4, len(p.operations)-at))
	soon := func() time.Duration { return between(r, 0, pick(r, 100*time.Millisecond, 10*time.Second)) }
	p.operations = slices.Insert(p.operations, again, operation{kind: "config", arg: "all", wait: soon()})
	p.operations = slices.Insert(p.operations, at, operation{kind: "delete config", wait: soon()})
}

// setUp is what the history begins with: a config, roles, and accounts that are signed in.
func (p *plan) setUp(r *rand.Rand) {
	add := func(o operation) {
		o.wait = between(r, time.Second, 2*time.Second)
		p.operations = append(p.operations, o)
	}
	add(operation{kind: "config", arg: "all"})
	for _, role := range roles {
		add(operation{kind: "role", role: role, arg: goodScopes[role]})
	}
	for i, name := range accounts[:2+r.IntN(2)] {
		o := operation{account: name, user: users[i%len(users)]}
		if r.IntN(3) == 0 {
			o.kind = "login"
			add(o)
			o.kind = "complete"
		} else {
			o.kind = "import"
		}
		add(o)
		if r.IntN(2) == 0 {
			add(operation{kind: "read", account: name, role: pick(r, "", "r1", "r2")})
		}
	}
}

// goodScopes are what the roles ask for in the end.
var goodScopes = map[string]string{"r1": "Mail.Read", "r2": "Files.Read"}

const defaultScopes = "User.Read"

// turbulence is n operations. Many come in bursts on one account.
func (p *plan) turbulence(r *rand.Rand, n int) {
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	last := accounts[0]
	for range n {
		o := operation{account: last, number: r.IntN(1 << 20)}
		switch r.IntN(10) {
		case 0, 1, 2, 3:
			o.wait = between(r, 0, 100*time.Millisecond)
		case 4, 5:
			o.wait = between(r, 0, 3*time.Second)
		case 6, 7:
			o.wait = between(r, 0, 30*time.Second)
		case 8:
			o.wait = between(r, 0, p.tokenLife)
		default:
			o.wait = between(r, 0, pick(r, 4*time.Minute, 15*time.Minute, p.keepalive, 2*p.keepalive))
		}
		if r.IntN(3) == 0 {
			o.account = accounts[min(r.IntN(len(accounts)), r.IntN(len(accounts)))]
		}
		last = o.account
		chosen := r.IntN(total)
		for _, k := range kinds {
			if chosen -= k.weight; chosen < 0 {
				o = k.make(r, o)
				break
			}
		}
		p.operations = append(p.operations, o)
	}
}

// is makes an operation that is only a kind.
func is(kind string) func(*rand.Rand, operation) operation {
	return func(_ *rand.Rand, o operation) operation {
		o.kind = kind
		return o
	}
}

// usualUser is whose an account mostly is.
func usualUser(r *rand.Rand, account string) string {
	if r.IntN(4) == 0 {
		return pick(r, users...)
	}
	return users[int(account[0]-'a')%len(users)]
}

var kinds = []weighted{
	{22, func(r *rand.Rand, o operation) operation {
		o.kind, o.role = "read", pick(r, "", "", "", "r1", "r2")
		o.standby = r.IntN(4) == 0
		return o
	}},
	{5, func(r *rand.Rand, o operation) operation {
		o.kind, o.due = "read", true
		return o
	}},
	{7, func(r *rand.Rand, o operation) operation {
		o.kind, o.role = "refresh", pick(r, "", "", "", "r1")
		o.arg = pick(r, "", "", `{"access_token":{"nbf":null}}`, `{"access_token":{"trap":null}}`)
		return o
	}},
	{5, newOvertake},
	{6, is("login")},
	{6, func(r *rand.Rand, o operation) operation {
		o.kind, o.user = "complete", usualUser(r, o.account)
		return o
	}},
	{1, is("cancel")},
	{1, func(r *rand.Rand, o operation) operation {
		o.kind, o.user = "crowd", usualUser(r, o.account)
		return o
	}},
	{5, func(r *rand.Rand, o operation) operation {
		o.kind, o.user = "import", usualUser(r, o.account)
		return o
	}},
	{5, is("delete")},
	{4, is("disable")},
	{3, is("enable")},
	{2, is("note")},
	{1, func(r *rand.Rand, o operation) operation {
		o.kind, o.user = "pin", usualUser(r, o.account)
		return o
	}},
	{4, func(r *rand.Rand, o operation) operation {
		o.kind, o.role = "role", pick(r, roles...)
		o.arg = pick(r, "Mail.Read", "Files.Read", "Bad.Scope", "Notes.Read")
		return o
	}},
	{3, func(r *rand.Rand, o operation) operation {
		o.kind, o.role = "delete role", pick(r, roles...)
		return o
	}},
	{5, func(r *rand.Rand, o operation) operation {
		o.kind = "config"
		o.arg = pick(r, "secret", "secret", "wrong secret", "client", "scopes", "bad scopes",
			"keepalive", "background off", "all")
		return o
	}},
	{1, is("new secret")},
	{3, func(r *rand.Rand, o operation) operation {
		o.kind, o.standby = "read config", r.IntN(3) == 0
		return o
	}},
	{2, is("list")},
	{1, func(r *rand.Rand, o operation) operation {
		o.kind, o.standby = "account", r.IntN(3) == 0
		return o
	}},
	{5, func(r *rand.Rand, o operation) operation {
		o.kind = "storm"
		o.arg = pick(r, "fails", "refuses writes", "hangs", "hangs on writes")
		o.length = between(r, 0, pick(r, time.Second, 10*time.Second, time.Minute, 4*time.Minute))
		return o
	}},
	{5, func(r *rand.Rand, o operation) operation {
		o.kind = "entra"
		o.arg = pick(r, refuses, hangs, throttles, drops, badClient)
		o.length = between(r, 0, pick(r, time.Second, 20*time.Second, 2*time.Minute, 20*time.Minute))
		return o
	}},
	{2, func(r *rand.Rand, o operation) operation {
		o.kind, o.user = pick(r, "block", "unblock"), usualUser(r, o.account)
		return o
	}},
	{2, func(r *rand.Rand, o operation) operation {
		o.kind, o.user = pick(r, "no consent", "no consent", "consent"), usualUser(r, o.account)
		o.arg = pick(r, "Mail.Read", "Files.Read", "Notes.Read", defaultScopes)
		return o
	}},
	{1, func(r *rand.Rand, o operation) operation {
		o.kind, o.user = "revoke", usualUser(r, o.account)
		return o
	}},
	{1, is("corrupt")},
	{6, func(r *rand.Rand, o operation) operation {
		o.kind = "failover"
		o.arg = pick(r, "step down", "step down, new instance", "kill", "demote")
		o.length = between(r, 0, pick(r, time.Millisecond, time.Second, 10*time.Second))
		o.due = r.IntN(3) == 0
		return o
	}},
}

// describe is the plan's first line in a trace.
func (p *plan) describe() string {
	return fmt.Sprintf("%s, tokens live %s, keep-alive %s, margin %s, %+v, then config %v, "+
		"roles %v, bad default %v, outage %v, idle %v, newer %v", p.rotation, p.tokenLife, p.keepalive,
		p.margin, p.climate, p.rewriteConfig, p.rewriteRoles, p.badDefault, p.outage, p.idleFirst,
		p.newer)
}
