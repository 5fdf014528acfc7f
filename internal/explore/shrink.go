// SPDX-License-Identifier: MPL-2.0

package explore

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// Kind is what sort of violation the first one is, "" if there is none.
func (o *Outcome) Kind() string {
	if len(o.Violations) == 0 {
		return ""
	}
	kind, _, _ := strings.Cut(o.Violations[0], ":")
	return kind
}

// Shrink leaves out of a failing history what it fails without, for some time, and returns
// what is left, with its trace.
func Shrink(t *testing.T, o *Outcome, make NewBackend, patience time.Duration) *Outcome {
	kind, until := o.Kind(), time.Now().Add(patience)
	skip := map[int]bool{}
	left := slices.Clone(o.Numbers)
	for part := len(left) / 2; part > 0; part /= 2 {
		for at := 0; at < len(left) && time.Now().Before(until); {
			without := maps.Clone(skip)
			end := min(at+part, len(left))
			for _, n := range left[at:end] {
				without[n] = true
			}
			if Run(t, o.Seed, make, Options{Skip: without}).Kind() != kind {
				at = end
				continue
			}
			skip, left = without, slices.Delete(left, at, end)
		}
	}
	return Run(t, o.Seed, make, Options{Skip: skip, Trace: true})
}

// String tells a history: its seed, what it violated, its operations and its trace.
func (o *Outcome) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "seed %d: %s\n", o.Seed, newPlan(o.Seed).describe())
	for _, v := range o.Violations {
		fmt.Fprintf(&out, "violated: %s\n", v)
	}
	for i, operation := range o.Operations {
		fmt.Fprintf(&out, "  #%-3d %s\n", o.Numbers[i], operation)
	}
	for _, line := range o.Trace {
		fmt.Fprintln(&out, line)
	}
	return out.String()
}
