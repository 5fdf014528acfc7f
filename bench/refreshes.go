// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"time"
)

const (
	stormReaders = 1000

	// entraLatency is what a call to Entra takes on its way, roughly.
	entraLatency = 200 * time.Millisecond

	// shortLife is that of the tokens which a storm finds expired.
	shortLife = 4 * time.Second
)

// storm lets a thousand readers ask at once for a token that has expired.
func (b *bench) storm() error {
	b.doing("refresh storm: wait for tokens to expire")
	if err := b.sim.lifetime(shortLife); err != nil {
		return err
	}
	// Nothing but a reader is to refresh here.
	err := b.mountEngine("storm", "entra", map[string]any{"background_refresh": false})
	if err != nil {
		return err
	}
	if err := b.importAccounts("storm", b.storms); err != nil {
		return err
	}
	time.Sleep(shortLife)
	if err := b.sim.lifetime(tokenLifetime); err != nil {
		return err
	}
	if err := b.sim.latency(entraLatency); err != nil {
		return err
	}
	roundTrip, err := b.sim.roundTrip()
	if err != nil {
		return err
	}
	readers, err := dialAll(b.vault.addr, stormReaders)
	if err != nil {
		return err
	}
	defer closeAll(readers)
	// Every connection is in use once.
	if _, err := all(readers, b.vault.get("sys/seal-status")); err != nil {
		return err
	}

	b.title("Refresh storm: %s readers of one expired token, each on its own connection",
		count(stormReaders))
	rows := [][]string{{"account", "token requests", "last answer", "fresh reads", "allowed"}}
	most := 0
	var overBudget []float64
	for n := range b.storms {
		request := b.vault.get("storm/token/" + accountName(n))
		before, err := b.sim.refreshes()
		if err != nil {
			return err
		}
		last, err := all(readers, request)
		if err != nil {
			return err
		}
		after, err := b.sim.refreshes()
		if err != nil {
			return err
		}
		fresh, err := all(readers, request)
		if err != nil {
			return err
		}
		allowed := roundTrip*3/2 + fresh
		most = max(most, after-before)
		overBudget = append(overBudget, last.Seconds()/allowed.Seconds())
		rows = append(rows, []string{
			fmt.Sprint(n + 1), fmt.Sprint(after - before),
			milliseconds(last), milliseconds(fresh), milliseconds(allowed),
		})
	}
	b.table(rows...)
	b.say("One round trip to the simulator, %s of it scripted, takes %s. \"fresh reads\" are the",
		entraLatency, milliseconds(roundTrip))
	b.say("same readers again, now that the token is fresh; allowed is 1.5 round trips plus that.")
	b.judge("refresh storm, token requests at most", count(most), "exactly 1", most == 1)
	b.atMost("refresh storm, last answer / allowed", median(overBudget), 1, "")
	return b.sim.latency(0)
}

// backgroundAccounts are always more than can be refreshed within their interval.
const backgroundAccounts = 500

// background measures how fast accounts are refreshed when nobody reads: every
// account is due again within a second, so that the ceiling is what bounds.
func (b *bench) background() error {
	b.doing("background refreshes: import %s accounts", count(backgroundAccounts))
	if err := b.sim.lifetime(10 * time.Second); err != nil {
		return err
	}
	if err := b.mountEngine("background", "entra", nil); err != nil {
		return err
	}
	if err := b.importAccounts("background", backgroundAccounts); err != nil {
		return err
	}
	err := b.vault.write("background/config", map[string]any{"keepalive_interval": "1s"})
	if err != nil {
		return err
	}
	const ceiling = 8 // max_concurrent_refreshes, as it is by default
	b.title("Background: %s accounts, each due every second, tokens of 10 s, "+
		"max_concurrent_refreshes %d", count(backgroundAccounts), ceiling)
	rows := [][]string{{"simulator's latency", "round trip", "refreshed/s", "ceiling/s"}}
	for _, latency := range []time.Duration{0, entraLatency} {
		if err := b.sim.latency(latency); err != nil {
			return err
		}
		time.Sleep(time.Second)
		rate, err := b.refreshRate(4 * b.length)
		if err != nil {
			return err
		}
		bound := "the CPUs"
		if latency > 0 {
			bound = perSecond(ceiling / latency.Seconds())
		}
		rows = append(rows, []string{
			latency.String(), rate.roundTrip, perSecond(rate.perSecond), bound,
		})
	}
	b.table(rows...)
	b.say("Each refresh is one token request and one storage write; the ceiling with a latency is %d",
		ceiling)
	b.say("calls at once. Without one, the simulator's own signatures take their share of the CPUs.")
	err = b.vault.write("background/config", map[string]any{"background_refresh": false})
	if err != nil {
		return err
	}
	return b.sim.latency(0)
}

type refreshRate struct {
	perSecond float64
	roundTrip string
}

// refreshRate counts refreshes at the simulator for a while.
func (b *bench) refreshRate(length time.Duration) (refreshRate, error) {
	start := time.Now()
	before, err := b.sim.refreshes()
	if err != nil {
		return refreshRate{}, err
	}
	time.Sleep(length)
	after, err := b.sim.refreshes()
	if err != nil {
		return refreshRate{}, err
	}
	elapsed := time.Since(start)
	trip, err := b.sim.roundTrip()
	return refreshRate{
		perSecond: float64(after-before) / elapsed.Seconds(),
		roundTrip: milliseconds(trip),
	}, err
}
