// SPDX-License-Identifier: MPL-2.0

// Support keeps what test runs say about the servers that they ran on, and makes the table of
// it, so that nothing is called tested that did not run:
//
//	support record -server "LINE OF ITS VERSION" -platform OS/ARCH -commit C \
//		-totals FILE RUNS.json
//	support render RUNS.json DOCUMENT.md
//	support readers READERS.json DOCUMENT.md
//
// The last line of the totals counts the end-to-end tests: PASSED FAILED SKIPPED. A later run
// takes the place of an earlier one on the same server. The table stands in the document
// between two comments.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	begin = "<!-- support: made by scripts/tools/support, from docs/support.json -->\n"
	end   = "<!-- end of support -->\n"
)

// run is one run of the end-to-end tests.
type run struct {
	Server   string `json:"server"` // Vault or OpenBao
	Version  string `json:"version"`
	Platform string `json:"platform"`
	Date     string `json:"date"`
	Commit   string `json:"commit"`
	Passed   int    `json:"passed"`
	Failed   int    `json:"failed"`
	Skipped  int    `json:"skipped"`
}

func main() {
	if err := command(os.Args[1:], time.Now()); err != nil {
		fmt.Fprintln(os.Stderr, "support:", err)
		os.Exit(1)
	}
}

func command(args []string, now time.Time) error {
	switch {
	case len(args) > 0 && args[0] == "record":
		return record(args[1:], now)
	case len(args) == 3 && args[0] == "render":
		return render(args[1], args[2])
	case len(args) == 3 && args[0] == "readers":
		return renderReaders(args[1], args[2])
	}
	return errors.New("usage: support record … RUNS.json, support render RUNS.json DOCUMENT.md, " +
		"or support readers READERS.json DOCUMENT.md")
}

var versionLine = regexp.MustCompile(`^(Vault|OpenBao) v(\d+\.\d+\.\d+[^ ,]*)`)

func record(args []string, now time.Time) error {
	flags := flag.NewFlagSet("record", flag.ContinueOnError)
	server := flags.String("server", "", "what the server's command says of its version")
	platform := flags.String("platform", "", "the machine's `OS/ARCH`")
	commit := flags.String("commit", "", "the commit that was tested")
	totals := flags.String("totals", "", "a `file` whose last line counts the tests")
	if err := flags.Parse(args); err != nil {
		return err
	}
	found := versionLine.FindStringSubmatch(*server)
	if found == nil || *platform == "" || *commit == "" || flags.NArg() != 1 {
		return fmt.Errorf("server %q, platform %q, commit %q and one file are needed",
			*server, *platform, *commit)
	}
	r := run{
		Server: found[1], Version: found[2], Platform: *platform, Commit: *commit,
		Date: now.UTC().Format(time.DateOnly),
	}
	text, err := os.ReadFile(*totals)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	last := lines[len(lines)-1]
	if _, err := fmt.Sscan(last, &r.Passed, &r.Failed, &r.Skipped); err != nil {
		return fmt.Errorf("%s: %q: %w", *totals, last, err)
	}
	if r.Passed+r.Failed == 0 {
		return fmt.Errorf("%s: no test ran", *totals)
	}
	runs, err := load(flags.Arg(0))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	runs = slices.DeleteFunc(runs, func(old run) bool {
		return old.Server == r.Server && old.Version == r.Version && old.Platform == r.Platform
	})
	runs = append(runs, r)
	slices.SortFunc(runs, func(a, b run) int {
		return cmp.Or(-cmp.Compare(a.Server, b.Server), cmp.Compare(a.Version, b.Version),
			cmp.Compare(a.Platform, b.Platform))
	})
	out, err := json.MarshalIndent(runs, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(flags.Arg(0), append(out, '\n'), 0o644)
}

func load(file string) (runs []run, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return runs, json.Unmarshal(text, &runs)
}

// table is the Markdown of what ran, and of what did not.
func table(runs []run) string {
	var b strings.Builder
	b.WriteString("| server | end-to-end tests |\n|---|---|\n")
	ran := map[string]bool{}
	for _, r := range runs {
		ran[r.Server] = true
		fmt.Fprintf(&b, "| %s %s, %s | %d of %d passed", r.Server, r.Version, r.Platform,
			r.Passed, r.Passed+r.Failed)
		if r.Skipped > 0 {
			fmt.Fprintf(&b, ", %d skipped", r.Skipped)
		}
		fmt.Fprintf(&b, ", %s |\n", r.Date)
	}
	for _, server := range []string{"Vault", "OpenBao"} {
		if ran[server] {
			fmt.Fprintf(&b, "| other versions of %s | not tested |\n", server)
		} else {
			fmt.Fprintf(&b, "| %s | not tested |\n", server)
		}
	}
	b.WriteString("| Vault Enterprise | not tested |\n")
	return b.String()
}

func render(file, document string) error {
	runs, err := load(file)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	head, rest, found := bytes.Cut(text, []byte(begin))
	_, tail, ended := bytes.Cut(rest, []byte(end))
	if !found || !ended {
		return fmt.Errorf("%s has no place for the table", document)
	}
	made := string(head) + begin + "\n" + table(runs) + "\n" + end + string(tail)
	return os.WriteFile(document, []byte(made), 0o644)
}
