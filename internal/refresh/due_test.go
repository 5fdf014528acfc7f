// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"fmt"
	"testing"
	"time"
)

// TestJitter: an account's moves at no look, and those of many accounts are spread.
func TestJitter(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	var low, high int
	for i := range 1000 {
		name := fmt.Sprintf("account-%d", i)
		j := jitter(name, at)
		if again := jitter(name, at); again != j {
			t.Fatalf("%s: %v, then %v", name, j, again)
		}
		switch {
		case j < 0 || j >= 1:
			t.Fatalf("%s: %v", name, j)
		case j < 0.1:
			low++
		case j > 0.9:
			high++
		}
	}
	if low < 50 || high < 50 {
		t.Errorf("of 1,000 accounts %d are in the first tenth, and %d in the last", low, high)
	}
}
