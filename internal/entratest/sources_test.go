// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestRulesNameTheirSource checks that every refusal in the code has a source or is marked as
// having none, that no source stands there for nothing, and how many rules are inferred.
func TestRulesNameTheirSource(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	refused := regexp.MustCompile(`aadsts\(\s*(\d+)|State\w+:\s+(\d+),`)
	used := map[int]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range refused.FindAllStringSubmatch(string(text), -1) {
			number, err := strconv.Atoi(found[1] + found[2])
			if err != nil {
				t.Fatal(err)
			}
			used[number] = true
			if ruleSources[number] == "" {
				t.Errorf("%s refuses with %d, which has no source", file, number)
			}
			if _, worded := knownErrors[number]; !worded {
				t.Errorf("%s refuses with %d, which has no words", file, number)
			}
		}
	}
	inferred := 0
	for number, source := range ruleSources {
		if !used[number] {
			t.Errorf("nothing refuses with %d", number)
		}
		if source == noSource {
			inferred++
		}
	}
	t.Logf("%d rules, %d of them inferred", len(used), inferred)
}
