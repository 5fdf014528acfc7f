// SPDX-License-Identifier: MPL-2.0

package main

import (
	"io"
	"strings"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	for _, test := range []struct {
		values []int
		p      int
		want   int
	}{
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 100, 100},
		{hundred, 0, 1},
		{[]int{7}, 50, 7},
		{[]int{7}, 99, 7},
		{[]int{1, 2, 3}, 50, 2},
		{[]int{1, 2, 3}, 99, 3},
		{nil, 50, 0},
	} {
		if got := percentile(test.values, test.p); got != test.want {
			t.Errorf("percentile %d of %d values is %d, want %d",
				test.p, len(test.values), got, test.want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{4, 1}, 2.5},
		{[]float64{9, 1, 5}, 5},
		{[]float64{8, 2, 4, 6}, 5},
	} {
		if got := median(test.values); got != test.want {
			t.Errorf("median of %v is %v, want %v", test.values, got, test.want)
		}
	}
	values := []time.Duration{3, 1, 2}
	if median(values); values[0] != 3 {
		t.Error("median sorts its argument")
	}
}

// TestRatios compares pairs, not medians, so that what slows both down does not count.
func TestRatios(t *testing.T) {
	engine := []round{
		{perSecond: 200, p99: 10}, {perSecond: 20, p99: 100}, {perSecond: 100, p99: 30},
	}
	baseline := []round{
		{perSecond: 100, p99: 20}, {perSecond: 10, p99: 200}, {perSecond: 100, p99: 10},
	}
	throughput, p99 := ratios(engine, baseline)
	if throughput != 2 || p99 != 0.5 {
		t.Errorf("ratios are %v and %v, want 2 and 0.5", throughput, p99)
	}
	if m := medianRound(engine); m.perSecond != 100 || m.p99 != 30 {
		t.Errorf("the median round is %+v", m)
	}
}

func TestTargets(t *testing.T) {
	r := &report{out: io.Discard, progress: io.Discard}
	r.atLeast("a", 1, 1, "")
	r.atMost("b", 1, 1, "")
	if r.missed() {
		t.Error("a target that is just met counts as missed")
	}
	r.atMost("c", 1.01, 1, "")
	if !r.missed() {
		t.Error("a missed target is not noticed")
	}
	r.out = io.Discard
	r.summary()
}

// TestAwaitLine finds the words of one line, in any order.
func TestAwaitLine(t *testing.T) {
	log := "secrets.a.x: complete: accounts=9 duration=1\n" +
		"secrets.a.x: complete: duration=1 accounts=10 time\n"
	words := []string{"secrets.a.", "complete", "accounts=10 "}
	if err := awaitLine(strings.NewReader(log), time.Second, words...); err != nil {
		t.Error(err)
	}
	words = []string{"secrets.a.", "accounts=1 "}
	if err := awaitLine(strings.NewReader(log), 20*time.Millisecond, words...); err == nil {
		t.Error("words are found that are not there")
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{
		0: "0", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567",
	} {
		if got := count(n); got != want {
			t.Errorf("%d is printed as %s", n, got)
		}
	}
}

func TestSettings(t *testing.T) {
	dir := t.TempDir()
	binaries := []string{
		"-vault", dir, "-plugin", dir, "-baseline", dir, "-simulator", dir, "-dir", dir,
	}
	s, err := parse(append(binaries, "-quick", "-only", "storm,scale"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if p := s.plan(); p.sizes[len(p.sizes)-1] != 10_000 {
		t.Errorf("a quick run goes up to %v accounts", p.sizes)
	}
	if s.sections.has("throughput") || !s.sections.has("scale") {
		t.Errorf("sections are %v", s.sections)
	}
	for _, wrong := range [][]string{nil, {"-only", "nothing"}, append(binaries, "more")} {
		if _, err := parse(wrong, io.Discard); err == nil {
			t.Errorf("%s is accepted", strings.Join(wrong, " "))
		}
	}
}
