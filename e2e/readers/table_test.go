// SPDX-License-Identifier: MPL-2.0

package readers

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
)

// row is what was seen of a reader, or of what was tested in its place.
type row struct {
	Reader   string           `json:"reader"`
	Mark     string           `json:"mark"` // run, or rules tested
	Test     string           `json:"test"`
	Version  string           `json:"version"`
	Changes  int              `json:"changes,omitempty"` // of its token
	Stale    int              `json:"stale"`             // tokens that it had for too long
	Reads    float64          `json:"reads,omitempty"`   // for each token
	Failures map[string]*seen `json:"failures,omitempty"`
}

// seen is what a reader did about a failure.
type seen struct {
	Word    string `json:"word"`            // what its log says
	Line    string `json:"line"`            // the whole line
	Ended   bool   `json:"ended,omitempty"` // it had to be started again
	Seconds int    `json:"seconds"`         // from the cure to its next token
}

var rows struct {
	sync.Mutex
	all []row
}

func addRow(r row) {
	rows.Lock()
	defer rows.Unlock()
	rows.all = append(rows.all, r)
}

// TestMain writes the table of all readers: to standard output, and with ENTRA_READERS into
// that folder, as text and as JSON for scripts/test.sh.
func TestMain(m *testing.M) {
	code := m.Run()
	slices.SortFunc(rows.all, func(a, b row) int {
		return strings.Compare(a.Mark+a.Reader, b.Mark+b.Reader)
	})
	if len(rows.all) > 0 {
		fmt.Print(table(rows.all))
		if err := record(os.Getenv("ENTRA_READERS")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func record(dir string) error {
	if dir == "" {
		return nil
	}
	out, err := json.MarshalIndent(rows.all, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "readers.json"), append(out, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, "readers.txt"), []byte(table(rows.all)), 0o644),
	)
}

// table is the rows for a person: of each failure what the log said, and after how many
// seconds from its cure the reader had a token again; ! where it had to be started again.
func table(all []row) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "reader\tversion\tmark\tchanges\tstale\treads each")
	for _, f := range failures {
		fmt.Fprint(w, "\t", f.name)
	}
	fmt.Fprintln(w)
	for _, r := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%.1f", r.Reader, r.Version, r.Mark, r.Changes, r.Stale,
			r.Reads)
		for _, f := range failures {
			cell := ""
			if s := r.Failures[f.name]; s != nil {
				cell = fmt.Sprintf("%s, %d s", s.Word, s.Seconds)
				if s.Ended {
					cell += "!"
				}
			}
			fmt.Fprint(w, "\t", cell)
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	return b.String()
}

// What differs from run to run in a reader's log, and what stands for it.
var volatile = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?`), "…"},
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "…"},
	{regexp.MustCompile(`http://127\.0\.0\.1:\d+`), "https://vault.example.com"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "login.example"},
	{regexp.MustCompile(`/tmp/\S*/`), ""},
	{regexp.MustCompile(`reader-[a-z0-9-]+`), "ci"},
	{regexp.MustCompile(`\x1b\[[0-9;]*m`), ""},
	{regexp.MustCompile(`,"stacktrace":"[^"]*"`), ""},
	{regexp.MustCompile(`"ts":[0-9.e+]+`), `"ts":"…"`},
	{regexp.MustCompile(`horizon=[0-9a-zµ.]+`), "horizon=…"},
}

// plain is a line of a log without what differs from run to run.
func plain(line string) string {
	for _, v := range volatile {
		line = v.what.ReplaceAllString(line, v.by)
	}
	return strings.TrimSpace(line)
}
