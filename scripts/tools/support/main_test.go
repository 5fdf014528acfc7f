// SPDX-License-Identifier: MPL-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var day = time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)

func TestRecordAndRender(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	runs, totals := filepath.Join(dir, "runs.json"), filepath.Join(dir, "totals")
	document := filepath.Join(dir, "README.md")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	record := func(server string) error {
		return command([]string{"record", "-server", server, "-platform", "linux/amd64",
			"-commit", "abc", "-totals", totals, runs}, day)
	}
	shown := func() string {
		t.Helper()
		write(document, "before\n"+begin+"anything\n"+end+"after\n")
		if err := command([]string{"render", runs, document}, day); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		body, found := strings.CutPrefix(string(text), "before\n"+begin)
		body, ended := strings.CutSuffix(body, end+"after\n")
		if !found || !ended {
			t.Fatalf("around the table stands %q", text)
		}
		return body
	}

	write(totals, "700 0 0\n80 2 1\n")
	if err := record("Vault v1.21.1 (abcdef), built 2025-11-25T03:19:00Z"); err != nil {
		t.Fatal(err)
	}
	first := shown()
	for _, row := range []string{
		"| Vault 1.21.1, linux/amd64 | 80 of 82 passed, 1 skipped, 2026-11-25 |\n",
		"| other versions of Vault | not tested |\n", "| OpenBao | not tested |\n",
		"| Vault Enterprise | not tested |\n",
	} {
		if !strings.Contains(first, row) {
			t.Errorf("no row %q in:\n%s", row, first)
		}
	}

	write(totals, "82 0 0\n")
	for _, server := range []string{"OpenBao v2.5.0, built …", "Vault v1.21.1"} {
		if err := record(server); err != nil {
			t.Fatal(err)
		}
	}
	second := shown()
	if strings.Contains(second, "80 of 82") || strings.Contains(second, "| OpenBao | not tested") ||
		!strings.Contains(second, "| Vault 1.21.1, linux/amd64 | 82 of 82 passed, 2026-11-25 |\n") ||
		!strings.Contains(second, "| OpenBao 2.5.0, linux/amd64 | 82 of 82 passed, 2026-11-25 |\n") {
		t.Errorf("after three runs:\n%s", second)
	}
}

// Nothing is recorded of a run that is not one.
func TestRecordRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ server, totals string }{
		"no server":     {"", "1 0 0\n"},
		"another":       {"Consul v1.21.1", "1 0 0\n"},
		"no test ran":   {"Vault v1.21.1", "5 0 0\n0 0 3\n"},
		"totals absent": {"Vault v1.21.1", ""},
		"totals torn":   {"Vault v1.21.1", "12 0"},
	} {
		dir := t.TempDir()
		totals, runs := filepath.Join(dir, "totals"), filepath.Join(dir, "runs.json")
		if test.totals != "" {
			if err := os.WriteFile(totals, []byte(test.totals), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := command([]string{"record", "-server", test.server, "-platform", "linux/amd64",
			"-commit", "abc", "-totals", totals, runs}, day)
		if err == nil {
			t.Errorf("%s: recorded", name)
		}
		if _, err := os.Stat(runs); err == nil {
			t.Errorf("%s: a file is written", name)
		}
	}
}

// The README's table is what the runs wrote down, not what somebody did.
func TestSupportTableIsMade(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..")
	was, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	document := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(document, was, 0o600); err != nil {
		t.Fatal(err)
	}
	err = command([]string{"render", filepath.Join(root, "docs", "support.json"), document}, day)
	if err != nil {
		t.Fatal(err)
	}
	is, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if string(is) != string(was) {
		t.Error("the table differs from docs/support.json: scripts/test.sh --record makes it")
	}
}
