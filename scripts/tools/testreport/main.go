// SPDX-License-Identifier: MPL-2.0

// Testreport reads the output of go test -json and says what a person wants to
// know: each package as it ends, with the table that it prints, the output of what failed,
// what was skipped and why, and last a line of totals for scripts/test.sh:
//
//	go test -json ./... | testreport -totals FILE
//
// A test with subtests is not counted beside them, unless it failed by itself. A
// package that fails without a failed test (it does not build, it panicked or
// ran out of time) counts as one failure. The exit status is 1 if anything failed.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// event is one line of go test -json (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build event
	Test       string
	Output     string
	Elapsed    float64 // seconds
}

// test is one test or subtest, or with an empty name the package itself.
type test struct {
	name   string
	result string // pass, fail, skip; empty while it runs
	output strings.Builder
	parent bool // it has subtests
	failed bool // one of its subtests failed
}

// suite is one package.
type suite struct {
	tests map[string]*test
	order []*test
}

// report is the state of a run.
type report struct {
	out     io.Writer
	suites  map[string]*suite
	builds  map[string]*strings.Builder // compiler output by import path
	passed  int
	failed  int
	skipped int
}

func main() {
	totals := flag.String("totals", "", "`file` to append a line to: PASSED FAILED SKIPPED")
	flag.Parse()
	r := &report{out: os.Stdout, suites: map[string]*suite{}, builds: map[string]*strings.Builder{}}
	err := r.read(os.Stdin)
	if err == nil && *totals != "" {
		err = appendLine(*totals, fmt.Sprintln(r.passed, r.failed, r.skipped))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	if r.failed > 0 {
		os.Exit(1)
	}
}

func appendLine(name, line string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(line); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func (r *report) read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(r.out, lines.Text()) // not an event: let it be seen
			continue
		}
		r.take(e)
	}
	return lines.Err()
}

func (r *report) take(e event) {
	switch e.Action {
	case "build-output":
		if r.builds[e.ImportPath] == nil {
			r.builds[e.ImportPath] = &strings.Builder{}
		}
		r.builds[e.ImportPath].WriteString(e.Output)
	case "build-fail":
		fmt.Fprint(r.out, r.builds[e.ImportPath])
	case "run":
		r.test(e)
	case "output":
		r.test(e).output.WriteString(e.Output)
	case "pass", "fail", "skip":
		r.test(e).result = e.Action
		if e.Test == "" {
			r.finish(e)
		}
	}
}

// test finds the test that an event is about, and notes it with its parents.
func (r *report) test(e event) *test {
	s := r.suites[e.Package]
	if s == nil {
		s = &suite{tests: map[string]*test{}}
		r.suites[e.Package] = s
	}
	t := s.tests[e.Test]
	if t == nil {
		t = &test{name: e.Test}
		s.tests[e.Test] = t
		s.order = append(s.order, t)
		for _, up := range s.above(e.Test) {
			up.parent = true
		}
	}
	return t
}

// above lists the tests that a subtest belongs to.
func (s *suite) above(name string) []*test {
	var up []*test
	for i := strings.LastIndex(name, "/"); i > 0; i = strings.LastIndex(name[:i], "/") {
		if t := s.tests[name[:i]]; t != nil {
			up = append(up, t)
		}
	}
	return up
}

// finish counts a package that has ended and prints its line.
func (r *report) finish(e event) {
	s := r.suites[e.Package]
	passed, failed, skipped := r.passed, r.failed, r.skipped
	for i := len(s.order) - 1; i >= 0; i-- { // subtests come after their parents
		if t := s.order[i]; t.name != "" {
			r.count(e.Package, s, t)
		}
	}
	for _, t := range s.order {
		// What the race detector says may stand with a test that passed.
		race := strings.Contains(t.output.String(), "WARNING: DATA RACE")
		if race && e.Action == "fail" && t.result != "fail" {
			fmt.Fprintf(r.out, "--- RACE: %s %s\n%s", e.Package, t.name, t.output.String())
		}
	}
	if e.Action == "fail" && r.failed == failed {
		r.failed++
		fmt.Fprintf(r.out, "--- FAIL: %s\n%s", e.Package, s.tests[""].output.String())
	}
	passed, failed, skipped = r.passed-passed, r.failed-failed, r.skipped-skipped
	switch {
	case failed > 0:
		fmt.Fprintf(r.out, "FAIL  %s: %d passed, %d failed, %.1fs\n",
			e.Package, passed, failed, e.Elapsed)
	case passed+skipped > 0:
		fmt.Fprintf(r.out, "ok    %s: %d passed, %.1fs\n", e.Package, passed, e.Elapsed)
	}
	if all := s.tests[""]; all != nil {
		for line := range strings.Lines(all.output.String()) {
			if strings.HasPrefix(line, "|") {
				fmt.Fprint(r.out, line)
			}
		}
	}
	delete(r.suites, e.Package)
}

func (r *report) count(pkg string, s *suite, t *test) {
	switch {
	case t.result == "pass" && !t.parent:
		r.passed++
	case t.result == "skip":
		r.skipped++
		fmt.Fprintf(r.out, "--- SKIP: %s %s\n%s", pkg, t.name, t.output.String())
	case t.result == "fail" || t.result == "": // no result: it was running when the package ended
		for _, up := range s.above(t.name) {
			up.failed = true
		}
		if t.parent && t.failed {
			return // its subtest is counted
		}
		r.failed++
		fmt.Fprintf(r.out, "--- FAIL: %s %s\n%s", pkg, t.name, t.output.String())
	}
}
