// SPDX-License-Identifier: MPL-2.0

package lifecycle

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestStop: it refuses new work and returns the moment the running work has ended, or when its
// patience is over.
func TestStop(t *testing.T) { synctest.Test(t, testStop) }

func testStop(t *testing.T) {
	w := NewWork()
	if !w.Begin() {
		t.Fatal("no work is taken")
	}
	go func() {
		defer w.End()
		if w.Sleep(context.Background(), time.Hour) {
			t.Error("it slept on while the backend stopped")
		}
		w.Continue(func() { time.Sleep(3 * time.Second) })
	}()
	synctest.Wait()
	started := time.Now()
	w.Stop(10 * time.Second)
	if took := time.Since(started); took != 3*time.Second {
		t.Errorf("the stop took %s", took)
	}
	if w.Begin() || !w.Stopping() || !w.Over() {
		t.Error("work is taken after the stop, or the stop is not over")
	}
	w.Go(func() { t.Error("new work runs") })
	w.Stop(time.Hour) // a second one returns at once
	if took := time.Since(started); took != 3*time.Second {
		t.Errorf("the second stop took %s", took)
	}
}

// TestStopGivesUp: work that does not end holds nobody for longer than the patience.
func TestStopGivesUp(t *testing.T) { synctest.Test(t, testStopGivesUp) }

func testStopGivesUp(t *testing.T) {
	w := NewWork()
	w.Go(func() {
		for !w.Over() {
			time.Sleep(time.Second)
		}
	})
	started := time.Now()
	w.Stop(10 * time.Second)
	if took := time.Since(started); took != 10*time.Second {
		t.Errorf("the stop took %s", took)
	}
	time.Sleep(2 * time.Second) // the work sees that it is over
}

// TestDetach: the caller may leave, time may not.
func TestDetach(t *testing.T) { synctest.Test(t, testDetach) }

func testDetach(t *testing.T) {
	caller, leave := context.WithCancel(context.Background())
	ctx, cancel := Detach(caller, time.Minute)
	defer cancel()
	leave()
	if ctx.Err() != nil {
		t.Error("it ended with its caller")
	}
	time.Sleep(time.Minute)
	if synctest.Wait(); ctx.Err() == nil {
		t.Error("it does not end")
	}
}
