// SPDX-License-Identifier: MPL-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A reader is called run or rules tested only if a test wrote that down.
func TestReadersTable(t *testing.T) {
	t.Parallel()
	made := readersTable([]reader{
		{Reader: "curl", Mark: "run", Version: "8.1", Changes: 3, Reads: 1.5,
			Failures: map[string]failure{
				"outage": {Line: "entra_unavailable: …", Seconds: 7, Ended: true},
			}},
		{Reader: "Spring Vault", Mark: "rules tested", Version: "4.1.0"},
		{Reader: "Vault Secrets Operator", Mark: "run", Version: "0.10.0"},
		{Reader: "Azure DevOps", Mark: "its script run",
			Failures: map[string]failure{"outage": {Line: "entra_unavailable: 503", Seconds: 2}}},
		{Reader: "Vault Secrets Operator", Mark: "rules tested", Version: "1.4.1"},
	})
	for _, line := range []string{
		"| curl 8.1 | run | 3 | 0 | 1.5 | 7 s, started again |\n",
		"| Spring Vault 4.1.0 | rules tested | | | | |\n",
		"| Vault Secrets Operator 0.10.0 | run |", "| Vault Secrets Operator 1.4.1 | rules tested |",
		"| Azure DevOps | its script run | | | | 2 s |\n",
		"    Azure DevOps, outage:\n        entra_unavailable: 503\n",
		"| Jenkins | not tested | | | | |\n",
		"    curl, outage:\n        entra_unavailable: …\n",
	} {
		if !strings.Contains(made, line) {
			t.Errorf("no %q in:\n%s", line, made)
		}
	}
}

// The recipes' table of readers is what the tests wrote down.
func TestReadersTableIsMade(t *testing.T) {
	t.Parallel()
	docs := filepath.Join("..", "..", "..", "docs")
	was, err := os.ReadFile(filepath.Join(docs, "recipes", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	document := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(document, was, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := renderReaders(filepath.Join(docs, "readers.json"), document); err != nil {
		t.Fatal(err)
	}
	is, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if string(is) != string(was) {
		t.Error("the table differs from docs/readers.json: scripts/test.sh --record makes it")
	}
}
