// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// accountsInUse is how many of a mount's accounts are read: the engine keeps many times as many
// in memory.
const accountsInUse = 1000

// sized is a mount of the scale table.
type sized struct {
	accounts int
	name     string // of the mount and of its plugin, which has a process of its own
	pid      int

	firstToken, indexed, list time.Duration
	indexedBesideReads        time.Duration
	alone, building           round   // of reads on one connection
	idleMemory, mostMemory    float64 // MiB
	idleCPU                   float64 // of one core, in per cent
	inUse, all                scaleRounds
	held                      scaleRounds // all, with a cache that holds them; zero: not measured
}

// defaultCache is about how many of these accounts the engine keeps in memory by itself.
const defaultCache = 16_000

// scaleRounds are reads of a mount, with reads of the smallest one between them.
type scaleRounds struct {
	median             round
	throughput, latest float64 // of the smallest mount's
	middle             float64 // p50, likewise
}

func scaleName(accounts int) string { return fmt.Sprintf("entra-%d", accounts) }

// scale measures mounts of more and more accounts.
func (b *bench) scale() error {
	if err := b.sim.lifetime(tokenLifetime); err != nil {
		return err
	}
	mounts := make([]*sized, len(b.sizes))
	for i, n := range b.sizes {
		m := &sized{accounts: n, name: scaleName(n)}
		mounts[i] = m
		if err := b.mountEngine(m.name, m.name, nil); err != nil {
			return err
		}
		b.doing("make %s accounts", count(n))
		if err := b.copyAccounts(m.name, n); err != nil {
			return err
		}
		if err := b.reload(m); err != nil {
			return err
		}
	}
	if err := b.readsWhileBuilding(mounts[len(mounts)-1]); err != nil {
		return err
	}
	if err := b.idleFor(mounts); err != nil {
		return err
	}
	for _, m := range mounts {
		if err := b.timeList(m); err != nil {
			return err
		}
	}
	for _, m := range mounts[1:] {
		if err := b.readsAtSize(mounts[0], m); err != nil {
			return err
		}
	}
	if err := b.mostMemory(mounts); err != nil {
		return err
	}
	b.scaleTable(mounts)
	last := mounts[len(mounts)-1]
	return b.profileReads(last.name, b.tokenRequests(last.name, last.accounts))
}

// reload reloads the mount's plugin and measures, from the request to reload on, how long it
// takes to serve a token, and until the index knows every account.
func (b *bench) reload(m *sized) error {
	b.doing("reload the plugin at %s accounts", count(m.accounts))
	log, err := b.logFromHere()
	if err != nil {
		return err
	}
	defer log.Close()
	start := time.Now()
	mounts := map[string]any{"mounts": []string{m.name + "/"}}
	if err := b.vault.write("sys/plugins/reload/backend", mounts); err != nil {
		return err
	}
	untouched := m.name + "/token/" + accountName(m.accounts/2) // by any request yet
	if err := b.vault.call(http.MethodGet, untouched, nil, nil); err != nil {
		return err
	}
	m.firstToken = time.Since(start)
	if err := b.awaitIndex(log, m); err != nil {
		return err
	}
	m.indexed = time.Since(start)
	m.pid, err = pluginProcess(filepath.Join(b.vault.plugins, m.name))
	if errors.Is(err, errNoProc) {
		return nil
	}
	return err
}

// readsWhileBuilding reads a few accounts on one connection, alone and then while the index is
// built anew.
func (b *bench) readsWhileBuilding(m *sized) error {
	requests := b.tokenRequests(m.name, freshAccounts)
	b.doing("reads at %s accounts, alone and while the index is built", count(m.accounts))
	var err error
	if _, err = load(b.vault.addr, requests, 1, b.length); err != nil {
		return err
	}
	if m.alone, err = load(b.vault.addr, requests, 1, 4*b.length); err != nil {
		return err
	}
	log, err := b.logFromHere()
	if err != nil {
		return err
	}
	defer log.Close()
	complete := make(chan struct{})
	during := make(chan roundOrError, 1)
	start := time.Now()
	err = b.vault.write(m.name+"/config", map[string]any{"cache_size": 0}) // begins a build
	if err != nil {
		return err
	}
	go func() {
		r, err := loadUntil(b.vault.addr, requests, 1, complete)
		during <- roundOrError{r, err}
	}()
	err = b.awaitIndex(log, m)
	m.indexedBesideReads = time.Since(start)
	close(complete)
	seen := <-during
	m.building = seen.round
	return errors.Join(err, seen.err)
}

// logFromHere is Vault's log, at its end.
func (b *bench) logFromHere() (*os.File, error) {
	log, err := os.Open(b.vault.log)
	if err != nil {
		return nil, err
	}
	if _, err := log.Seek(0, io.SeekEnd); err != nil {
		log.Close()
		return nil, err
	}
	return log, nil
}

// awaitIndex waits until the log says that the mount's index is complete. The words of a line stand
// in no certain order.
func (b *bench) awaitIndex(log io.Reader, m *sized) error {
	return awaitLine(log, 5*time.Minute, "secrets."+m.name+".",
		"the account index is complete", fmt.Sprintf("accounts=%d ", m.accounts))
}

// awaitLine reads what is appended to a log until a line holds all words.
func awaitLine(log io.Reader, limit time.Duration, words ...string) error {
	lines := bufio.NewReader(log)
	line := ""
	lacks := func(word string) bool { return !strings.Contains(line, word) }
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		more, err := lines.ReadString('\n')
		line += more
		switch {
		case err == io.EOF: // for now
			time.Sleep(5 * time.Millisecond)
		case err != nil:
			return err
		case !slices.ContainsFunc(words, lacks):
			return nil
		default:
			line = ""
		}
	}
	return fmt.Errorf("the log does not say %q within %s", words, limit)
}

// idleFor watches the plugins while nobody asks for anything.
func (b *bench) idleFor(mounts []*sized) error {
	before := make([]time.Duration, len(mounts))
	b.doing("idle for %s", b.idle)
	start := time.Now()
	for i, m := range mounts {
		if m.pid == 0 {
			return nil
		}
		var err error
		if before[i], err = cpuTime(m.pid); err != nil {
			return err
		}
	}
	time.Sleep(b.idle)
	for i, m := range mounts {
		used, err := cpuTime(m.pid)
		if err != nil {
			return err
		}
		m.idleCPU = 100 * (used - before[i]).Seconds() / time.Since(start).Seconds()
		if m.idleMemory, err = processMemory(m.pid, "VmRSS"); err != nil {
			return err
		}
	}
	return nil
}

// timeList lists the accounts with key info, three times; the list must be
// complete.
func (b *bench) timeList(m *sized) error {
	b.doing("list %s accounts", count(m.accounts))
	var took []time.Duration
	for range 3 {
		var list struct {
			Warnings []string `json:"warnings"`
			Data     struct {
				Keys    []string       `json:"keys"`
				KeyInfo map[string]any `json:"key_info"`
			} `json:"data"`
		}
		start := time.Now()
		if err := b.vault.call("LIST", m.name+"/account", nil, &list); err != nil {
			return err
		}
		took = append(took, time.Since(start))
		keys, known := len(list.Data.Keys), len(list.Data.KeyInfo)
		if len(list.Warnings) > 0 || keys != m.accounts || known != m.accounts {
			return fmt.Errorf("the list of %s accounts has %d keys, %d with key info, warnings %v",
				count(m.accounts), keys, known, list.Warnings)
		}
	}
	m.list = median(took)
	return nil
}

// readsAtSize reads from the smallest mount and from a bigger one in turn: from
// accounts in use, and from all of them alike.
func (b *bench) readsAtSize(small, m *sized) error {
	reference := &contestant{
		name: small.name, requests: b.tokenRequests(small.name, small.accounts),
	}
	all := &contestant{name: m.name, requests: b.tokenRequests(m.name, m.accounts)}
	inUse := &contestant{name: m.name}
	step := max(1, m.accounts/accountsInUse)
	for i := 0; i < m.accounts; i += step {
		inUse.requests = append(inUse.requests, all.requests[i])
	}
	b.doing("reads at %s accounts, %s", count(m.accounts), 4*b.length/2*time.Duration(b.rounds))
	for _, c := range []*contestant{reference, all, inUse} {
		if _, err := load(b.vault.addr, c.requests, manyConnections, b.length); err != nil {
			return err
		}
	}
	// In two goes, for the reads of all would push those in use out of memory.
	if err := b.inTurn([]*contestant{reference, inUse}, manyConnections, b.length/2); err != nil {
		return err
	}
	m.inUse = against(inUse.rounds, reference.rounds)
	small.inUse = against(reference.rounds, reference.rounds)
	if err := b.inTurn([]*contestant{reference, all}, manyConnections, b.length/2); err != nil {
		return err
	}
	m.all = against(all.rounds, reference.rounds)
	small.all = against(reference.rounds, reference.rounds)
	if m.accounts <= defaultCache {
		return nil
	}
	return b.readsFromCache(reference, all, m)
}

// readsFromCache is readsAtSize of all accounts, with a cache_size that holds them.
func (b *bench) readsFromCache(reference, all *contestant, m *sized) error {
	log, err := b.logFromHere()
	if err != nil {
		return err
	}
	defer log.Close()
	err = b.vault.write(m.name+"/config", map[string]any{"cache_size": m.accounts})
	if err != nil {
		return err
	}
	if err := b.awaitIndex(log, m); err != nil { // a config write makes it anew
		return err
	}
	err = b.inParallel("read "+m.name, m.accounts, func(i int) error {
		return b.vault.call(http.MethodGet, m.name+"/token/"+accountName(i), nil, nil)
	})
	if err != nil {
		return err
	}
	if err := b.inTurn([]*contestant{reference, all}, manyConnections, b.length/2); err != nil {
		return err
	}
	m.held = against(all.rounds, reference.rounds)
	return nil
}

func against(rounds, reference []round) scaleRounds {
	s := scaleRounds{median: medianRound(rounds)}
	s.throughput, s.latest = ratios(rounds, reference)
	s.middle = float64(s.median.p50) / float64(medianRound(reference).p50)
	return s
}

func (b *bench) mostMemory(mounts []*sized) error {
	for _, m := range mounts {
		if m.pid == 0 {
			continue
		}
		var err error
		if m.mostMemory, err = processMemory(m.pid, "VmHWM"); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) scaleTable(mounts []*sized) {
	b.title("Scale: one mount, and one plugin process, for each size")
	b.say("The accounts are copies of one that signed in, written to storage by sys/raw.")
	b.say("")
	rows := [][]string{{
		"accounts", "first token", "index complete", "list",
		"idle CPU", "memory idle", "memory at most",
	}}
	for _, m := range mounts {
		rows = append(rows, []string{
			count(m.accounts), inSeconds(m.firstToken), inSeconds(m.indexed), inSeconds(m.list),
			amount(m.idleCPU, " %"),
			fmt.Sprintf("%.0f MiB", m.idleMemory), fmt.Sprintf("%.0f MiB", m.mostMemory),
		})
	}
	b.table(rows...)
	b.say("First token and index are counted from the request to reload the plugin. Idle is %s after",
		b.idle)
	b.say("the reload, of one core; the most memory includes the lists and the reads.")
	for _, reads := range []struct {
		what string
		of   func(*sized) scaleRounds
	}{
		{
			fmt.Sprintf("reads of up to %s accounts in use", count(accountsInUse)),
			func(m *sized) scaleRounds { return m.inUse },
		},
		{"reads of all accounts alike", func(m *sized) scaleRounds { return m.all }},
		{
			"reads of all accounts alike, with a cache_size that holds them",
			func(m *sized) scaleRounds { return m.held },
		},
	} {
		if reads.of(mounts[len(mounts)-1]) == (scaleRounds{}) {
			continue
		}
		b.say("\n%d connections, %s, rounds in turn with %s:",
			manyConnections, reads.what, mounts[0].name)
		rows := [][]string{{"accounts", "reads/s", "p50", "p99", "x smallest", "p99 x smallest"}}
		for _, m := range mounts {
			r := reads.of(m)
			if r == (scaleRounds{}) {
				continue // it was not measured at this size
			}
			rows = append(rows, []string{
				count(m.accounts), perSecond(r.median.perSecond),
				milliseconds(r.median.p50), milliseconds(r.median.p99),
				amount(r.throughput, ""), amount(r.latest, ""),
			})
		}
		b.table(rows...)
	}
	b.say("")
	m := mounts[len(mounts)-1]
	at := fmt.Sprintf("at %s accounts", count(m.accounts))
	b.say("By itself the engine keeps 64 MiB of accounts in memory. Where more than those are read alike,")
	b.say("most reads cost a read of Vault's storage besides; that has no target.")
	if held := m.held; held != (scaleRounds{}) {
		b.atLeast("reads of all from the cache "+at+" / at "+count(mounts[0].accounts),
			held.throughput, 0.95, "")
		b.atMost("p50 of these / at "+count(mounts[0].accounts), held.middle, 1.1, "")
		if m.pid != 0 {
			b.atMost("memory "+at+", at most", m.mostMemory, 350, " MiB")
		}
	}
	b.atMost("index complete "+at, m.indexed.Seconds(), 12, " s")
	b.say("While it is built anew beside reads on one connection, in %s, these have a p50 of %s and a p99",
		inSeconds(m.indexedBesideReads), milliseconds(m.building.p50))
	b.say("of %s; before that %s and %s.", milliseconds(m.building.p99),
		milliseconds(m.alone.p50), milliseconds(m.alone.p99))
	b.atMost("p99 of reads while the index is built / alone",
		float64(m.building.p99)/float64(m.alone.p99), 1.2, "")
	b.atLeast("reads of accounts in use "+at+" / at "+count(mounts[0].accounts),
		m.inUse.throughput, 0.95, "")
	b.atMost("first token after a reload "+at, m.firstToken.Seconds(), 1, " s")
	b.atMost("list with key info "+at, m.list.Seconds(), 3, " s")
	if m.pid == 0 {
		b.say("CPU and memory: %v", errNoProc)
		return
	}
	b.atMost("idle CPU "+at, m.idleCPU, 0.5, " %")
	b.atMost("memory "+at+", idle", m.idleMemory, 200, " MiB")
}
