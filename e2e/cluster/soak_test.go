// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

var (
	soakTime = flag.Duration("soak", time.Minute, "how long TestSoak runs, at least")
	soakSeed = flag.Uint64("seed", 0, "what TestSoak draws its faults from; 0 draws the seed, too")
)

const (
	soakAccounts = 200
	soakReaders  = 50
	soakLifetime = 20 * time.Second // of the tokens, which are renewed at half of it
	soakQuiet    = 22 * time.Second // long enough that every token is renewed twice
	soakFault    = 3 * time.Second
)

// TestSoak reads two hundred accounts without a pause while Entra fails and the
// plugin is killed, at random, with quiet times in between. scripts/soak.sh runs it
// for longer. It runs alone: its figures are of time.
func TestSoak(t *testing.T) {
	seed := *soakSeed
	if seed == 0 {
		seed = rand.Uint64N(1_000_000)
	}
	t.Logf("seed %d, %s", seed, *soakTime)
	s := &soak{
		Engine: harness.NewEngine(t, "-token-lifetime", soakLifetime.String()),
		random: rand.New(rand.NewPCG(seed, 0)),
	}
	s.Configure(object{"background_refresh": true, "request_timeout": "2s"})
	s.accounts = s.ImportAccounts(soakAccounts)
	s.storm = newStorm(t, soakReaders, s.accounts, s.Client)
	for end := time.Now().Add(*soakTime); ; {
		s.troubles()
		s.settle()
		s.quiet()
		if time.Now().After(end) {
			break
		}
	}
	s.calm()
	s.WantAllGood(s.accounts)
	s.result()
}

// soak is one run, and what it has counted so far.
type soak struct {
	*harness.Engine
	*storm
	random   *rand.Rand
	accounts []string

	told    []string        // what was done
	faulted []span          // when Entra failed
	calls   int             // renewals in quiet times, beside the first of each account
	needed  float64         // how many the tokens' lives asked for
	settled []time.Duration // after troubles, how long readers were still told of some
}

type span struct{ from, to time.Time }

// troubles lets Entra fail in two ways, and something happen to the plugin.
func (s *soak) troubles() {
	entra := []object{
		{"status": 503},
		{"status": 429, "retry_after": "2"},
		{"hang": true},
		{"drop": true},
		{"drop": true, "after_processing": true},
		{"status": 200, "body": "no JSON"},
		{"aadsts": 50196},
		{"delay": "1500ms"},
	}
	strikes := map[string]func(){
		"plugin killed": s.KillPlugin, "plugin reloaded": s.ReloadPlugin,
		"sealed and unsealed": func() { s.Seal(); s.Unseal() },
	}
	names := []string{"plugin killed", "plugin reloaded", "sealed and unsealed"}
	for range 2 {
		fault := entra[s.random.IntN(len(entra))]
		s.told = append(s.told, fmt.Sprint(fault))
		fault["endpoint"] = "token"
		s.Sim.Control("faults", fault, nil)
		from := time.Now()
		time.Sleep(soakFault)
		s.faulted = append(s.faulted, span{from, time.Now()})
		strike := names[s.random.IntN(len(names))]
		if s.random.IntN(2) == 0 { // while Entra fails, or after
			s.told = append(s.told, strike)
			strikes[strike]()
		}
		s.Sim.ClearFaults()
	}
	strike := names[s.random.IntN(len(names))]
	s.told = append(s.told, strike)
	strikes[strike]()
}

// settle waits until nobody was told of trouble for a while.
func (s *soak) settle() {
	s.Engine.T.Helper()
	began := time.Now()
	harness.Eventually(s.Engine.T, 2*harness.UpTime, "all is served without a word", func() error {
		if since := time.Since(s.lastTrouble()); since < soakLifetime/2 {
			return fmt.Errorf("somebody was told of trouble %s ago", since)
		}
		return nil
	})
	s.settled = append(s.settled, max(0, time.Since(began)-soakLifetime/2).Round(time.Millisecond))
}

// quiet counts the calls to Entra while all is well. Between the first and the last
// renewal of an account lie as many lives of a token as renewals were needed.
func (s *soak) quiet() {
	s.Sim.Control("reset", object{}, nil)
	time.Sleep(soakQuiet)
	renewed := map[string][]time.Time{}
	for _, r := range s.Sim.Requests() {
		if r.GrantType == "refresh_token" {
			renewed[r.User] = append(renewed[r.User], r.Time)
		}
	}
	for _, times := range renewed {
		s.calls += len(times) - 1
		s.needed += times[len(times)-1].Sub(times[0]).Seconds() / (soakLifetime / 2).Seconds()
	}
}

// result prints the table, and holds it to what must be.
func (s *soak) result() {
	t := s.Engine.T
	var during []time.Duration
	fresh := 0
	for _, r := range s.reads {
		if !r.fresh {
			continue
		}
		fresh++
		if slices.ContainsFunc(s.faulted, func(f span) bool {
			return r.asked.After(f.from) && r.asked.Add(r.took).Before(f.to)
		}) {
			during = append(during, r.took)
		}
	}
	slices.Sort(during)
	slices.Sort(s.settled)
	ratio := float64(s.calls) / s.needed

	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	row := func(what, value, want string) { fmt.Fprintf(w, "%s\t%s\t%s\n", what, value, want) }
	row("reads served", fmt.Sprint(len(s.reads)), "")
	row("fresh tokens among them", fmt.Sprint(fresh), "")
	row("expired tokens served", fmt.Sprint(s.expired), "must be 0")
	row("accounts lost", "0",
		fmt.Sprintf("of %d; a loss ends the run before this table", len(s.accounts)))
	row("token requests in quiet times", fmt.Sprint(s.calls), fmt.Sprintf("%.0f needed", s.needed))
	row("ratio", fmt.Sprintf("%.2f", ratio), "at most 1.20")
	if len(during) > 0 {
		row("p99 of a fresh read while Entra fails",
			during[len(during)*99/100].Round(100*time.Microsecond).String(),
			fmt.Sprintf("of %d", len(during)))
	}
	row("readers told of trouble after its end, at worst", s.settled[len(s.settled)-1].String(),
		fmt.Sprintf("of %d times", len(s.settled)))
	w.Flush()
	t.Logf("troubles: %s\n%s", strings.Join(s.told, ", "), table.String())

	if ratio > 1.2 || s.calls == 0 {
		t.Errorf("%d token requests in quiet times where %.0f were needed", s.calls, s.needed)
	}
	if len(during) == 0 {
		t.Error("no fresh read was measured while Entra failed")
	}
}
