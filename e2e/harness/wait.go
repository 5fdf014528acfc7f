// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"testing"
	"time"
)

// Until waits for a moment that lies ahead, at most a minute.
func Until(t testing.TB, moment time.Time) {
	t.Helper()
	wait := time.Until(moment)
	if wait > time.Minute {
		t.Fatalf("%s is too long to wait", wait)
	}
	time.Sleep(wait)
}

// Eventually waits until ok, and fails the test with what it last said.
func Eventually(t testing.TB, limit time.Duration, what string, ok func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %v", what, limit, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
