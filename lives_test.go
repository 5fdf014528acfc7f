// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
)

// TestLongLife: a day of accounts that come, are read, refreshed, refused, and go. Memory and
// goroutines end where they began.
func TestLongLife(t *testing.T) { synctest.Test(t, testLongLife) }

func testLongLife(t *testing.T) {
	const perHour = 200
	authority := &throttling{allowed: 100, retryAfter: 5 * time.Second}
	m := newHerdMount(t, 0, func(int) bool { return true }, authority)
	var memory, goroutines []int
	for hour := range 25 {
		for i := range perHour {
			m.addHerd(hour*perHour + i)
		}
		for i := range perHour { // all at once, so that some are throttled
			go m.herdRead(hour*perHour + i)
		}
		time.Sleep(5 * time.Minute)
		for i := range perHour {
			m.herdRead(hour*perHour + i)
			if i%3 == 0 {
				_, _ = m.write("refresh/"+herdName(hour*perHour+i),
					map[string]any{"claims": fmt.Sprintf(`{"access_token":{"n":"%d"}}`, i)})
			}
		}
		time.Sleep(50 * time.Minute)
		for i := range perHour {
			m.mustDo(logical.DeleteOperation, "account/"+herdName(hour*perHour+i), nil)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		m.forgetNotes()
		memory, goroutines = append(memory, liveHeap()), append(goroutines, runtime.NumGoroutine())
	}
	t.Logf("%d calls; KiB after each hour %d; goroutines %d", authority.calls, memory, goroutines)
	first, last := 1, len(memory)-1 // the first hour fills what is made once
	if authority.calls < 24*perHour {
		t.Errorf("only %d calls were made", authority.calls)
	}
	if grown := memory[last] - memory[first]; grown > 256 {
		t.Errorf("the heap has grown by %d KiB in a day", grown)
	}
	if goroutines[last] > goroutines[first] {
		t.Errorf("%d goroutines became %d", goroutines[first], goroutines[last])
	}
}

// addHerd signs an account in, as far as the engine sees it.
func (m *mount) addHerd(i int) {
	m.t.Helper()
	_, err := m.b.accounts.Update(context.Background(), herdName(i),
		func(*account.Entry) (*account.Entry, error) { return herdEntry(i, false, time.Now()), nil })
	if err != nil {
		m.t.Fatal(err)
	}
}

// forgetNotes drops what the test's own storage, log and events have noted.
func (m *mount) forgetNotes() {
	m.storage.count("")
	m.log.mu.Lock()
	m.log.text.Reset()
	m.log.mu.Unlock()
	m.events.mu.Lock()
	m.events.sent = nil
	m.events.mu.Unlock()
}

// liveHeap is what is in use of the heap, in KiB.
func liveHeap() int {
	var s runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&s)
	return int(s.HeapAlloc >> 10)
}
