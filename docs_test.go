// SPDX-License-Identifier: MPL-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTroubleshootingIsCurrent: every message in the first column of a table of
// docs/troubleshooting.md is one that the code has.
func TestTroubleshootingIsCurrent(t *testing.T) {
	t.Parallel()
	var sources strings.Builder
	for _, pattern := range []string{"*.go", filepath.Join("internal", "*", "*.go")} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			sources.Write(content)
		}
	}
	document, err := os.ReadFile(filepath.Join("docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	vaults := []string{"origin not allowed", "connection refused"}
	checked := 0
	for line := range strings.Lines(string(document)) {
		first, isRow := strings.CutPrefix(line, "| ")
		if !isRow {
			continue
		}
		first, _, _ = strings.Cut(first, " | ")
		for _, message := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(first, -1) {
			for _, part := range strings.Split(message[1], "…") {
				checked++
				if part = strings.TrimSpace(part); !strings.Contains(sources.String(), part) && !slices.Contains(vaults, part) {
					t.Errorf("no source has %q", part)
				}
			}
		}
	}
	if checked < 35 {
		t.Errorf("only %d messages were looked for", checked)
	}
}
