// SPDX-License-Identifier: MPL-2.0

// Command bench measures the engine on a real Vault against what the platform
// allows, and prints each target beside its figure. scripts/bench.sh builds what
// it needs and runs it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	err := run(os.Args[1:])
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errMissed):
		os.Exit(1) // the summary has said which
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

var errMissed = errors.New("a target was missed")

// settings are what the command line says.
type settings struct {
	vault, plugin, baseline, simulator string // binaries
	dir, profiles                      string
	quick, check                       bool
	idle                               time.Duration
	sections                           sectionList
}

// plan is how much is measured.
type plan struct {
	rounds int
	length time.Duration // of a round
	storms int
	idle   time.Duration
	sizes  []int // of the scale table; the first is what the others are compared with

	outageAccounts int
}

func (s settings) plan() plan {
	p := plan{
		rounds: 5, length: 2 * time.Second, storms: 5, idle: time.Minute,
		sizes: []int{100, 1_000, 10_000, 100_000}, outageAccounts: 10_000,
	}
	if s.quick {
		p = plan{
			rounds: 3, length: time.Second, storms: 2, idle: 5 * time.Second,
			sizes: []int{100, 10_000}, outageAccounts: 500,
		}
	}
	if s.idle > 0 {
		p.idle = s.idle
	}
	return p
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.vault, "vault", "", "Vault `binary`")
	flags.StringVar(&s.plugin, "plugin", "", "the engine's `binary`")
	flags.StringVar(&s.baseline, "baseline", "", "the baseline plugin's `binary`")
	flags.StringVar(&s.simulator, "simulator", "", "the Entra simulator's `binary`")
	flags.StringVar(&s.dir, "dir", "", "an empty `directory` for logs and plugins")
	flags.BoolVar(&s.quick, "quick", false, "a short run, with at most 10,000 accounts")
	flags.BoolVar(&s.check, "check", false, "fail if a target is missed")
	flags.DurationVar(&s.idle, "idle", 0,
		"how long the idle CPU is watched (default 1m, 5s with -quick)")
	flags.StringVar(&s.profiles, "profile", "",
		"`directory` for CPU and heap profiles; needs an engine built with -tags profile")
	flags.Var(&s.sections, "only", "`sections` to run, separated by commas: "+
		"throughput, storm, outage, background, scale (default all)")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	for _, path := range []*string{&s.vault, &s.plugin, &s.baseline, &s.simulator, &s.dir} {
		if *path == "" || flags.NArg() > 0 {
			flags.Usage()
			return s, errors.New("binaries and -dir are required, and no other arguments")
		}
		absolute, err := filepath.EvalSymlinks(*path)
		if err == nil {
			absolute, err = filepath.Abs(absolute)
		}
		if err != nil {
			return s, err
		}
		*path = absolute
	}
	return s, nil
}

// bench is one run.
type bench struct {
	plan
	*report
	vault    *vault
	sim      *simulator
	profiles string // directory, "" for none
}

func run(args []string) (err error) {
	set, err := parse(args, os.Stderr)
	if err != nil {
		return err
	}
	b := &bench{
		plan:     set.plan(),
		profiles: set.profiles,
		report:   &report{out: os.Stdout, progress: os.Stderr, start: time.Now()},
	}
	plugins := filepath.Join(set.dir, "plugins")
	if err := b.linkPlugins(set, plugins); err != nil {
		return err
	}
	if b.sim, err = startSimulator(set.simulator, set.dir); err != nil {
		return err
	}
	defer b.sim.stop()
	if b.vault, err = startVault(set.vault, set.dir, plugins); err != nil {
		return err
	}
	defer b.vault.stop()
	defer stopOnSignal(b.vault, b.sim)()

	b.machine(set.vault)
	for _, s := range sections {
		if !set.sections.has(s.name) {
			continue
		}
		if err := s.run(b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	b.summary()
	if set.check && b.missed() {
		return errMissed
	}
	return nil
}

// linkPlugins fills the plugin directory.
func (b *bench) linkPlugins(set settings, plugins string) error {
	if err := os.Mkdir(plugins, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"baseline", "bare"} {
		if err := linkPlugin(set.baseline, plugins, name); err != nil {
			return err
		}
	}
	names := []string{"entra"}
	for _, n := range b.sizes {
		names = append(names, scaleName(n))
	}
	for _, name := range names {
		if err := linkPlugin(set.plugin, plugins, name); err != nil {
			return err
		}
	}
	return nil
}

// stopOnSignal ends the servers when somebody interrupts the run.
func stopOnSignal(v *vault, s *simulator) (done func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		if _, interrupted := <-signals; interrupted {
			v.stop()
			s.stop()
			os.Exit(130)
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}
