// SPDX-License-Identifier: MPL-2.0

package explore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
)

// node is one of the cluster's two.
type node struct {
	name     string
	number   int // of instances so far
	instance *instance
}

// instance is one backend, from its factory to Cleanup. Its fields are guarded by world.mu.
type instance struct {
	w          *world
	name       string
	node       *node
	backend    logical.Backend
	view       view
	background *caller
	state      consts.ReplicationState
	term       int // how often it got or lost the right to write
	born       time.Duration

	dead    bool // its Vault was killed: storage refuses, while the authority can be reached
	stopped bool // Cleanup has returned

	pending map[string][]*invalidation // by key, the oldest first
	second  time.Duration              // the one that calls are counted in
	calls   int
	total   int // of storage calls of the background

	lastToken time.Duration // when the authority last gave it a token
}

// invalidation is a key that another node changed, until this one is told.
type invalidation struct {
	at   time.Duration
	old  []byte // what the key held before
	told bool
}

const (
	active  = consts.ReplicationPerformanceDisabled
	standby = consts.ReplicationPerformanceStandby
	demoted = consts.ReplicationPerformanceSecondary
)

type callerKey struct{}

// callerOf is the operation that a context belongs to, else the background of the instance.
func callerOf(ctx context.Context, i *instance) *caller {
	if c, ok := ctx.Value(callerKey{}).(*caller); ok {
		return c
	}
	return i.background
}

// systemView is what an instance is told of its place in the cluster.
type systemView struct {
	logical.StaticSystemView
	i *instance
}

func (s systemView) ReplicationState() consts.ReplicationState {
	s.i.w.mu.Lock()
	defer s.i.w.mu.Unlock()
	if s.i.dead {
		return 0 // what a failed round trip answers
	}
	return s.i.state
}

func (s systemView) LocalMount() bool { return false }

// logSink is the engine's log.
type logSink struct{ i *instance }

func (l logSink) Write(p []byte) (int, error) {
	l.i.w.mu.Lock()
	defer l.i.w.mu.Unlock()
	text := strings.TrimSpace(string(p))
	l.i.w.note(l.i.name, "log", text)
	if strings.Contains(text, "lost from the schedule") {
		l.i.w.violated("unscheduled: %s says: %s", l.i.name, text)
	}
	return len(p), nil
}

// mayWrite reports whether storage takes writes of this instance. The caller holds mu.
func (i *instance) mayWrite() bool { return i.state == active }

// count notes a storage call. The caller holds mu.
func (i *instance) count(background bool) {
	if !background {
		return
	}
	i.total++
	if now := i.w.now().Truncate(time.Second); now != i.second {
		i.second, i.calls = now, 0
	}
	if i.calls++; i.calls == spinLimit {
		i.w.violated("spins: the background of %s makes %d storage calls within a second",
			i.name, spinLimit)
		i.dead = true
	}
}

// boot starts both nodes.
func (w *world) boot() {
	first := w.startInstance(w.nodes[0], active)
	w.startInstance(w.nodes[1], standby)
	w.mu.Lock()
	w.active = first
	w.mu.Unlock()
}

// startInstance makes a backend for a node, as when a plugin process begins.
func (w *world) startInstance(n *node, state consts.ReplicationState) *instance {
	w.mu.Lock()
	n.number++
	i := &instance{w: w, name: fmt.Sprintf("%s%d", n.name, n.number), node: n, state: state,
		born: w.now(), pending: map[string][]*invalidation{}}
	i.view, i.background = view{w, i}, newCaller(i.name)
	w.instances = append(w.instances, i)
	w.mu.Unlock()
	level := hclog.Error
	if w.options.Trace {
		level = hclog.Debug
	}
	ctx := context.Background()
	backend, err := w.make(&logical.BackendConfig{
		StorageView: i.view,
		System:      systemView{*logical.TestSystemView(), i},
		Logger:      hclog.New(&hclog.LoggerOptions{Level: level, Output: logSink{i}, DisableTime: true}),
		BackendUUID: "explored",
	}, transport{w, i})
	if err != nil {
		panic(err)
	}
	i.backend = backend
	if err := backend.Initialize(ctx, &logical.InitializationRequest{Storage: i.view}); err != nil {
		panic(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	n.instance = i
	w.note(i.name, "started", fmt.Sprint(state))
	return i
}

// invalidateLater tells the instance that a key changed, after a while. The caller holds mu.
func (i *instance) invalidateLater(key string, old []byte) {
	w := i.w
	p := &invalidation{at: w.now(), old: old}
	i.pending[key] = append(i.pending[key], p)
	r := w.roll(i.background, "invalidate "+w.storage.alias(key))
	late := between(r, time.Millisecond, pick(r, 5*time.Millisecond, 5*time.Millisecond,
		500*time.Millisecond, 20*time.Second))
	time.AfterFunc(late, func() { i.invalidate(key, p) })
}

// invalidate tells the instance now.
func (i *instance) invalidate(key string, p *invalidation) {
	i.w.mu.Lock()
	gone := i.dead || i.stopped
	i.w.mu.Unlock()
	if gone {
		return
	}
	i.backend.InvalidateKey(context.Background(), key)
	i.w.mu.Lock()
	defer i.w.mu.Unlock()
	p.told = true
	i.w.note(i.name, "invalidated", i.w.storage.alias(key))
}

// oldest is the oldest change of key that the instance was not told of, nil if there is
// none. The caller holds mu.
func (i *instance) oldest(key string) *invalidation {
	left := i.pending[key]
	for len(left) > 0 && left[0].told {
		left = left[1:]
	}
	i.pending[key] = left
	if len(left) == 0 {
		return nil
	}
	return left[0]
}

// catchUp tells the instance everything, as before it becomes active.
func (i *instance) catchUp() {
	w := i.w
	type told struct {
		key string
		p   *invalidation
	}
	var all []told
	w.mu.Lock()
	for _, key := range sortedKeys(i.pending, w.storage.alias) {
		for _, p := range i.pending[key] {
			if !p.told {
				all = append(all, told{key, p})
			}
		}
	}
	all = shuffled(w.roll(i.background, "catch up"), all)
	w.mu.Unlock()
	for _, t := range all {
		i.invalidate(t.key, t.p)
	}
}

// tick is Vault's minute: the instance finds out whether its role changed.
func (i *instance) tick() {
	req := &logical.Request{Operation: logical.RollbackOperation, Storage: i.view}
	if _, err := i.backend.HandleRequest(context.Background(), req); err != nil {
		i.w.mu.Lock()
		i.w.violated("periodic: %s: %s", i.name, err)
		i.w.mu.Unlock()
	}
}

// stepDown stops the active instance in good order. What it was given is kept.
func (w *world) stepDown() {
	w.mu.Lock()
	old := w.active
	w.active = nil
	w.mu.Unlock()
	began := w.now()
	old.backend.Cleanup(context.Background())
	w.mu.Lock()
	defer w.mu.Unlock()
	old.stopped = true
	w.note(old.name, "stopped", "")
	if w.now()-began >= stopPatience {
		w.authority.excuse(old)
	}
	if old.node.instance == old {
		old.node.instance = nil
	}
}

// stopPatience is how long an orderly stop waits: what has not ended by then may be lost.
const stopPatience = 9900 * time.Millisecond

// kill ends the active instance's Vault. Its process lives on without storage.
func (w *world) kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.active
	w.active = nil
	old.dead = true
	old.node.instance = nil
	w.authority.excuse(old)
	w.note(old.name, "killed", "")
	w.background(func() {
		time.Sleep(afterlife)
		old.backend.Cleanup(context.Background())
	})
}

// afterlife is how long a plugin's process outlives its Vault at most.
const afterlife = 30 * time.Second

// demote takes the right to write from the active instance, which goes on to serve.
func (w *world) demote() *instance {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.active
	w.active = nil
	old.state = demoted
	old.term++
	w.authority.excuse(old)
	w.note(old.name, "demoted", "")
	return old
}

// promote makes the other node active: in place, or with a new instance.
func (w *world) promote(n *node, inPlace bool) {
	i := n.instance
	if i != nil && inPlace {
		i.catchUp()
		w.mu.Lock()
		i.state = active
		i.term++
		w.active = i
		w.note(i.name, "promoted", "")
		w.mu.Unlock()
		i.tick()
		return
	}
	if i != nil {
		i.backend.Cleanup(context.Background())
		w.mu.Lock()
		i.stopped = true
		w.mu.Unlock()
	}
	i = w.startInstance(n, active)
	w.mu.Lock()
	w.active = i
	w.mu.Unlock()
}

// failover moves the right to write to the other node.
func (w *world) failover(kind string, pause time.Duration) {
	w.mu.Lock()
	from := w.active
	w.mu.Unlock()
	if from == nil {
		return // one is under way
	}
	other := w.nodes[0]
	if other == from.node {
		other = w.nodes[1]
	}
	var stays *instance
	switch kind {
	case "kill":
		w.kill()
	case "demote":
		stays = w.demote()
	default:
		w.stepDown()
	}
	time.Sleep(pause)
	w.promote(other, kind != "step down, new instance")
	if stays != nil {
		time.Sleep(pause)
		stays.tick()
		return
	}
	w.startInstance(from.node, standby)
}
