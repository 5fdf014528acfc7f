// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	for name, c := range map[string]struct {
		events                  []string
		passed, failed, skipped int
		says                    string
	}{
		"pass": {
			events: []string{
				`{"Action":"run","Package":"p","Test":"TestA"}`,
				`{"Action":"pass","Package":"p","Test":"TestA"}`,
				`{"Action":"pass","Package":"p","Elapsed":1.5}`,
			},
			passed: 1, says: "ok    p: 1 passed, 1.5s\n",
		},
		"subtests count instead of their parent": {
			events: []string{
				`{"Action":"run","Package":"p","Test":"TestA"}`,
				`{"Action":"run","Package":"p","Test":"TestA/x"}`,
				`{"Action":"run","Package":"p","Test":"TestA/y"}`,
				`{"Action":"output","Package":"p","Test":"TestA/y","Output":"why\n"}`,
				`{"Action":"pass","Package":"p","Test":"TestA/x"}`,
				`{"Action":"fail","Package":"p","Test":"TestA/y"}`,
				`{"Action":"fail","Package":"p","Test":"TestA"}`,
				`{"Action":"fail","Package":"p"}`,
			},
			passed: 1, failed: 1, says: "--- FAIL: p TestA/y\nwhy\n",
		},
		"parent fails by itself": {
			events: []string{
				`{"Action":"run","Package":"p","Test":"TestA"}`,
				`{"Action":"run","Package":"p","Test":"TestA/x"}`,
				`{"Action":"pass","Package":"p","Test":"TestA/x"}`,
				`{"Action":"fail","Package":"p","Test":"TestA"}`,
				`{"Action":"fail","Package":"p"}`,
			},
			passed: 1, failed: 1, says: "--- FAIL: p TestA\n",
		},
		"a table": {
			events: []string{
				`{"Action":"run","Package":"p","Test":"TestA"}`,
				`{"Action":"output","Package":"p","Test":"TestA","Output":"| not of the package |\n"}`,
				`{"Action":"pass","Package":"p","Test":"TestA"}`,
				`{"Action":"output","Package":"p","Output":"PASS\n"}`,
				`{"Action":"output","Package":"p","Output":"| client | what held |\n"}`,
				`{"Action":"pass","Package":"p","Elapsed":1.5}`,
			},
			passed: 1, says: "ok    p: 1 passed, 1.5s\n| client | what held |\n",
		},
		"skip": {
			events: []string{
				`{"Action":"run","Package":"p","Test":"TestA"}`,
				`{"Action":"output","Package":"p","Test":"TestA","Output":"no browser\n"}`,
				`{"Action":"skip","Package":"p","Test":"TestA"}`,
				`{"Action":"pass","Package":"p"}`,
			},
			skipped: 1, says: "no browser\n",
		},
		"package without tests": {
			events: []string{`{"Action":"skip","Package":"p"}`},
		},
		"does not build": {
			events: []string{
				`{"ImportPath":"p","Action":"build-output","Output":"x.go:1: oh\n"}`,
				`{"ImportPath":"p","Action":"build-fail"}`,
				`{"Action":"fail","Package":"p","FailedBuild":"p"}`,
			},
			failed: 1, says: "x.go:1: oh\n",
		},
		"a race is told where a test passed": {
			events: []string{
				`{"Action":"run","Package":"p","Test":"TestA"}`,
				`{"Action":"output","Package":"p","Test":"TestA","Output":"WARNING: DATA RACE\n"}`,
				`{"Action":"pass","Package":"p","Test":"TestA"}`,
				`{"Action":"run","Package":"p","Test":"TestB"}`,
				`{"Action":"fail","Package":"p","Test":"TestB"}`,
				`{"Action":"fail","Package":"p"}`,
			},
			passed: 1, failed: 1, says: "--- RACE: p TestA\nWARNING: DATA RACE\n",
		},
		"panic ends the package in a test": {
			events: []string{
				`{"Action":"run","Package":"p","Test":"TestA"}`,
				`{"Action":"output","Package":"p","Test":"TestA","Output":"panic: oh\n"}`,
				`{"Action":"fail","Package":"p"}`,
			},
			failed: 1, says: "panic: oh\n",
		},
		"not an event": {
			events: []string{"go: something"},
			says:   "go: something\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			r := &report{
				out:    &out,
				suites: map[string]*suite{},
				builds: map[string]*strings.Builder{},
			}
			if err := r.read(strings.NewReader(strings.Join(c.events, "\n"))); err != nil {
				t.Fatal(err)
			}
			if r.passed != c.passed || r.failed != c.failed || r.skipped != c.skipped {
				t.Errorf("%d passed, %d failed, %d skipped: want %d, %d, %d\n%s",
					r.passed, r.failed, r.skipped, c.passed, c.failed, c.skipped, &out)
			}
			if !strings.Contains(out.String(), c.says) {
				t.Errorf("report does not say %q:\n%s", c.says, &out)
			}
		})
	}
}
