// SPDX-License-Identifier: MPL-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	// readNames is how many accounts, or secrets, the throughput is measured on.
	readNames = 100

	manyConnections = 16
)

// contestant is one of those whose reads are compared.
type contestant struct {
	name     string
	requests [][]byte
	rounds   []round
}

// throughput compares the read of a fresh token with the baseline and with KV.
func (b *bench) throughput() error {
	b.doing("mount the engine, the baseline plugins, KV v1 and KV v2")
	if err := b.sim.lifetime(tokenLifetime); err != nil {
		return err
	}
	if err := b.mountEngine("entra", "entra", nil); err != nil {
		return err
	}
	if err := b.importAccounts("entra", readNames); err != nil {
		return err
	}
	payload, err := b.comparePayload()
	if err != nil {
		return err
	}
	contestants := []*contestant{
		{name: "engine, fresh token"}, {name: "baseline plugin"}, {name: "bare plugin"},
		{name: "KV v1"}, {name: "KV v2"},
	}
	for i, prefix := range []string{
		"entra/token/", "baseline/token/", "bare/token/", "kv1/", "kv2/data/",
	} {
		c := contestants[i]
		for n := range readNames {
			c.requests = append(c.requests, b.vault.get(prefix+accountName(n)))
		}
	}
	for _, c := range contestants {
		_, err := load(b.vault.addr, c.requests, manyConnections, b.length/2) // warms up
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	b.title("Throughput: %d names, %s of data each, %d rounds of %s in turn, medians",
		readNames, bytesOf(payload), b.rounds, b.length)
	for _, connections := range []int{1, manyConnections} {
		if err := b.compare(contestants, connections); err != nil {
			return err
		}
	}
	return b.profileReads("entra", contestants[0].requests)
}

// comparePayload gives the baseline and KV the very data that a token read returns.
func (b *bench) comparePayload() (payload []byte, err error) {
	var answer struct {
		Data map[string]any `json:"data"`
	}
	err = b.vault.call(http.MethodGet, "entra/token/"+accountName(0), nil, &answer)
	if err != nil {
		return nil, err
	}
	for _, m := range []struct{ path, kind, version string }{
		{"baseline", "baseline", ""}, {"bare", "bare", ""}, {"kv1", "kv", "1"}, {"kv2", "kv", "2"},
	} {
		options := map[string]any{}
		if m.version != "" {
			options["version"] = m.version
		}
		if err := b.vault.mount(m.path, m.kind, options); err != nil {
			return nil, err
		}
	}
	for _, plugin := range []string{"baseline", "bare"} {
		err = b.vault.write(plugin+"/token/all", map[string]any{"constant": answer.Data})
		if err != nil {
			return nil, err
		}
	}
	for n := range readNames {
		if err := b.vault.write("kv1/"+accountName(n), answer.Data); err != nil {
			return nil, err
		}
		// KV v2 makes itself ready after the mount answers, and refuses until then.
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			err := b.vault.write("kv2/data/"+accountName(n), map[string]any{"data": answer.Data})
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				return nil, err
			}
		}
	}
	return json.Marshal(answer.Data)
}

// compare prints what all contestants can do with so many connections.
func (b *bench) compare(contestants []*contestant, connections int) error {
	b.doing("throughput with %d connections, %s",
		connections, b.length*time.Duration(b.rounds*len(contestants)))
	if err := b.inTurn(contestants, connections, b.length); err != nil {
		return err
	}
	baseline := contestants[1].rounds
	rows := [][]string{{
		fmt.Sprintf("%d connections", connections),
		"reads/s", "p50", "p99", "x baseline", "p99 x baseline",
	}}
	for _, c := range contestants {
		m := medianRound(c.rounds)
		faster, slowest := ratios(c.rounds, baseline)
		rows = append(rows, []string{
			c.name, perSecond(m.perSecond), milliseconds(m.p50), milliseconds(m.p99),
			amount(faster, ""), amount(slowest, ""),
		})
	}
	b.table(rows...)
	if connections == manyConnections {
		faster, slowest := ratios(contestants[0].rounds, baseline)
		b.atLeast("fresh read / baseline, throughput", faster, 1.0, "")
		b.atMost("fresh read / baseline, p99", slowest, 1.2, "")
		faster, slowest = ratios(contestants[0].rounds, contestants[2].rounds)
		b.atLeast("fresh read / bare plugin, throughput", faster, 0.95, "")
		b.atMost("fresh read / bare plugin, p99", slowest, 1.1, "")
	}
	b.say("")
	return nil
}

// inTurn measures all of them in rounds, each round beginning with another.
func (b *bench) inTurn(contestants []*contestant, connections int, length time.Duration) error {
	for _, c := range contestants {
		c.rounds = nil
	}
	for n := range b.rounds {
		for i := range contestants {
			c := contestants[(n+i)%len(contestants)]
			r, err := load(b.vault.addr, c.requests, connections, length)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			c.rounds = append(c.rounds, r)
		}
	}
	return nil
}

func bytesOf(payload []byte) string { return fmt.Sprintf("%.1f KB", float64(len(payload))/1000) }
