// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// sections are the parts of a run, in their order.
var sections = []struct {
	name string
	run  func(*bench) error
}{
	{"throughput", (*bench).throughput},
	{"storm", (*bench).storm},
	{"outage", (*bench).outage},
	{"background", (*bench).background},
	{"scale", (*bench).scale},
}

// sectionList is a flag: the sections to run, none for all.
type sectionList []string

func (l *sectionList) String() string { return strings.Join(*l, ",") }

// Set implements flag.Value.
func (l *sectionList) Set(value string) error {
	for name := range strings.SplitSeq(value, ",") {
		known := false
		for _, s := range sections {
			known = known || s.name == name
		}
		if !known {
			return fmt.Errorf("no section %q", name)
		}
		*l = append(*l, name)
	}
	return nil
}

func (l sectionList) has(name string) bool { return len(l) == 0 || slices.Contains(l, name) }

// report prints what was measured, and keeps what came of the targets.
type report struct {
	out      io.Writer
	progress io.Writer // what is being done, for whoever watches
	start    time.Time
	targets  []target
}

// target is a figure that the engine is held to.
type target struct {
	what, figure, wanted string
	met                  bool
}

func (t target) verdict() string {
	if t.met {
		return "ok"
	}
	return "MISSED"
}

// doing tells who watches what takes a while now.
func (r *report) doing(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	fmt.Fprintf(r.progress, "[%4.0f s] %s\n", time.Since(r.start).Seconds(), what)
}

func (r *report) title(format string, args ...any) {
	fmt.Fprintf(r.out, "\n== %s\n\n", fmt.Sprintf(format, args...))
}

func (r *report) say(format string, args ...any) { fmt.Fprintf(r.out, format+"\n", args...) }

// table prints rows of cells in columns.
func (r *report) table(rows ...[]string) {
	w := tabwriter.NewWriter(r.out, 0, 8, 2, ' ', tabwriter.AlignRight)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t")+"\t")
	}
	w.Flush()
}

// atLeast and atMost hold a figure to its target, and print both.
func (r *report) atLeast(what string, figure, limit float64, unit string) {
	r.judge(what, amount(figure, unit), "at least "+amount(limit, unit), figure >= limit)
}

func (r *report) atMost(what string, figure, limit float64, unit string) {
	r.judge(what, amount(figure, unit), "at most "+amount(limit, unit), figure <= limit)
}

func amount(figure float64, unit string) string { return fmt.Sprintf("%.2f%s", figure, unit) }

func (r *report) judge(what, figure, wanted string, met bool) {
	t := target{what, figure, wanted, met}
	r.targets = append(r.targets, t)
	fmt.Fprintf(r.out, "target: %s: %s, wanted %s: %s\n", what, figure, wanted, t.verdict())
}

func (r *report) missed() bool {
	return slices.ContainsFunc(r.targets, func(t target) bool { return !t.met })
}

// summary prints all targets again, and how long the run took.
func (r *report) summary() {
	r.title("All targets")
	w := tabwriter.NewWriter(r.out, 0, 8, 2, ' ', 0)
	for _, t := range r.targets {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", t.verdict(), t.what, t.figure, t.wanted)
	}
	w.Flush()
	r.say("\nThe run took %s.", time.Since(r.start).Round(time.Second))
}

// machine prints what the figures depend on.
func (r *report) machine(vault string) {
	version, err := exec.Command(vault, "version").Output()
	if err != nil {
		version = []byte("Vault of unknown version")
	}
	r.say("%s/%s, %d CPUs (%s), %s", runtime.GOOS, runtime.GOARCH,
		runtime.NumCPU(), procField("/proc/cpuinfo", "model name"), runtime.Version())
	name, _, _ := strings.Cut(string(version), ",") // then: when it was built
	r.say("%s", strings.TrimSpace(name))
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		r.say("load average at the start: %s", strings.Join(strings.Fields(string(load))[:3], " "))
	}
	r.say("One dev server with storage in memory and no audit device. Vault, the plugins, the")
	r.say("Entra simulator and the load share these CPUs: ratios count, not absolute figures.")
}

// procField is the value of the first "name : value" line of a file.
func procField(path, name string) string {
	file, err := os.Open(path)
	if err != nil {
		return "unknown"
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		if strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func count(n int) string { return thousands(fmt.Sprint(n)) }

func perSecond(f float64) string { return thousands(fmt.Sprintf("%.0f", f)) }

// thousands puts commas between groups of three digits.
func thousands(digits string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }

func inSeconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
