// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"vault-plugin-secrets-entra/internal/lifecycle"
)

// TestCallsInOrder: no more at once than the ceiling, the others in order of arrival, and who
// leaves takes nobody's turn.
func TestCallsInOrder(t *testing.T) { synctest.Test(t, testCallsInOrder) }

func testCallsInOrder(t *testing.T) {
	c, work := newCalls(), lifecycle.NewWork()
	first, second := c.take("a", 2, time.Now()), c.take("b", 2, time.Now())
	if first == nil || second == nil || c.take("c", 2, time.Now()) != nil {
		t.Fatal("two calls may begin at once, and no more")
	}
	turns := make(chan string, 4)
	impatient, leave := context.WithCancel(t.Context())
	for i, ctx := range []context.Context{t.Context(), impatient, t.Context(), t.Context()} {
		go func() {
			turn, err := c.await(ctx, work, fmt.Sprint(i), fmt.Sprint(i))
			var b *busy
			if errors.As(err, &b) != (ctx == impatient) {
				t.Errorf("%d: %v", i, err)
			}
			if err == nil {
				turns <- fmt.Sprint(i)
				time.Sleep(time.Second)
				turn.answered(true)
			}
		}()
		synctest.Wait()
	}
	if c.take("c", 2, time.Now()) != nil {
		t.Error("somebody overtakes those who wait")
	}
	leave()
	synctest.Wait()
	first.end()
	first.end() // the second time is none
	synctest.Wait()
	if n := len(turns); n != 1 {
		t.Errorf("after one call has ended %d others may begin", n)
	}
	second.answered(true)
	time.Sleep(time.Minute)
	synctest.Wait()
	if order := <-turns + <-turns + <-turns; order != "023" {
		t.Errorf("the turns came in the order %s", order)
	}
	if len(c.underWay)+len(c.byKey)+len(c.ofOne) != 0 {
		t.Errorf("%v are under way, %v wait", c.underWay, c.byKey)
	}
}

// TestCallsEnd: nobody waits while the plugin stops, nor for longer than a caller would.
func TestCallsEnd(t *testing.T) { synctest.Test(t, testCallsEnd) }

func testCallsEnd(t *testing.T) {
	c, work := newCalls(), lifecycle.NewWork()
	turn := c.take("bob", 1, time.Now())
	outcome := make(chan error, 1)
	wait := func() {
		_, err := c.await(t.Context(), work, "alice", "alice")
		outcome <- err
	}
	go wait()
	synctest.Wait()
	if b := c.waits("alice", time.Now()); b == nil || c.waits("bob", time.Now()) != nil {
		t.Error("alice waits and bob does not")
	}
	turn.throttled(time.Hour)
	var b *busy
	if err := <-outcome; !errors.As(err, &b) || b.wait < time.Hour || !b.throttled {
		t.Errorf("after a Retry-After of an hour: %+v", err)
	}
	go wait()
	if err := <-outcome; !errors.As(err, &b) {
		t.Errorf("who comes before it is over: %v", err)
	}
	c.forget()
	turn = c.take("bob", 1, time.Now())
	if turn == nil {
		t.Fatal("a new config does not end it")
	}
	go wait()
	synctest.Wait()
	work.Stop(time.Second)
	if err := <-outcome; !errors.Is(err, lifecycle.ErrStopping) {
		t.Errorf("while the plugin stops: %v", err)
	}
	turn.end()
	if len(c.underWay) != 0 || c.waiting.Len() != 0 || c.timer != nil {
		t.Errorf("%v are under way, %d wait", c.underWay, c.waiting.Len())
	}
}

// TestCallsOfOneAccount: one after the other, and those behind them that are of other accounts
// do not wait.
func TestCallsOfOneAccount(t *testing.T) { synctest.Test(t, testCallsOfOneAccount) }

func testCallsOfOneAccount(t *testing.T) {
	c, work := newCalls(), lifecycle.NewWork()
	first := c.take("alice", 8, time.Now())
	if c.take("alice", 8, time.Now()) != nil {
		t.Fatal("two calls of one account begin at once")
	}
	turns := make(chan *turn, 2)
	for i := range 2 {
		go func() {
			turn, err := c.await(t.Context(), work, "alice", fmt.Sprint(i))
			if err != nil {
				t.Error(err)
			}
			turns <- turn
		}()
	}
	synctest.Wait()
	bob, err := c.await(t.Context(), work, "bob", "bob")
	if err != nil || len(turns) != 0 {
		t.Fatalf("bob: %v; %d of alice's begin", err, len(turns))
	}
	bob.end()
	for ended := first; ended != nil; {
		ended.answered(true)
		ended = nil
		synctest.Wait()
		if n := len(turns); n > 1 {
			t.Fatalf("%d of alice's begin", n)
		} else if n == 1 {
			ended = <-turns
		}
	}
	if len(c.underWay) != 0 || c.waiting.Len() != 0 {
		t.Errorf("%v are under way, %d wait", c.underWay, c.waiting.Len())
	}
}

// TestCallsOfOneAccountAreBounded: those that wait for one account leave room for others.
func TestCallsOfOneAccountAreBounded(t *testing.T) {
	c := newCalls()
	first := c.take("alice", 8, time.Now())
	for i := range maxOfOne {
		if err := c.join(&turn{calls: c, account: "alice", key: fmt.Sprint(i), came: make(chan error, 1)}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	var b *busy
	if err := c.join(&turn{calls: c, account: "alice", key: "more"}, time.Now()); !errors.As(err, &b) {
		t.Errorf("one more: %v", err)
	}
	if err := c.join(&turn{calls: c, account: "bob", key: "bob", came: make(chan error, 1)}, time.Now()); err != nil {
		t.Errorf("bob: %v", err)
	}
	first.end()
}
