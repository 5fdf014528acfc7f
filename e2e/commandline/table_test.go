// SPDX-License-Identifier: MPL-2.0

package commandline

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// shown are the callers of all tests, for the table at the end.
var shown struct {
	sync.Mutex
	callers []*caller
}

// show puts callers into the table.
func show(callers []*caller) {
	shown.Lock()
	defer shown.Unlock()
	shown.callers = append(shown.callers, callers...)
}

// TestMain prints one table at the end: client, version, what held. scripts/tools/testreport lets
// its lines through, which begin with a bar.
func TestMain(m *testing.M) {
	code := m.Run()
	slices.SortFunc(shown.callers, func(a, b *caller) int { return strings.Compare(a.name, b.name) })
	if len(shown.callers) > 0 {
		fmt.Println("| client | version | what held |\n|---|---|---|")
	}
	for _, c := range shown.callers {
		fmt.Printf("| %s | %s | %s |\n", c.name, c.version, strings.Join(c.held, ", "))
	}
	os.Exit(code)
}
