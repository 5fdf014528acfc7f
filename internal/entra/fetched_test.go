// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// slowFetch is a document that takes a second to fetch, or fails.
func slowFetch(failure *error, fetches *int) *fetched[*int] {
	return &fetched[*int]{now: time.Now, fetch: func(context.Context) (*int, error) {
		time.Sleep(time.Second)
		if *failure != nil {
			return nil, *failure
		}
		*fetches++
		n := *fetches
		return &n, nil
	}}
}

// TestOneFetchForAll checks that a thousand callers cause one fetch, and one of them who leaves
// takes nothing along.
func TestOneFetchForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failure error
		var fetches int
		f := slowFetch(&failure, &fetches)
		begun := time.Now()
		var all sync.WaitGroup
		hurried, leave := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer leave()
		all.Go(func() { // the first, whose context the fetch must not share
			_, err := f.get(hurried)
			var e *Error
			if !errors.As(err, &e) || e.Class != ClassTransient ||
				!errors.Is(err, context.DeadlineExceeded) ||
				time.Since(begun) != 100*time.Millisecond {
				t.Errorf("who left after %s got %v", time.Since(begun), err)
			}
		})
		synctest.Wait()
		for range 1000 {
			all.Go(func() {
				document, err := f.get(context.Background())
				if err != nil || *document != 1 {
					t.Errorf("got %v, %v", document, err)
				}
			})
		}
		all.Wait()
		if fetches != 1 || time.Since(begun) != time.Second {
			t.Errorf("%d fetches in %s", fetches, time.Since(begun))
		}
	})
}

// TestDocumentLifetime checks that a document serves for a day, and a day more while nobody
// answers, and that a failure answers everyone for five seconds.
func TestDocumentLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failure error
		var fetches int
		f := slowFetch(&failure, &fetches)
		get := func(want int, wantErr error, takes time.Duration) {
			t.Helper()
			begun := time.Now()
			document, err := f.get(context.Background())
			got := 0
			if document != nil {
				got = *document
			}
			if !errors.Is(err, wantErr) || got != want || time.Since(begun) != takes {
				t.Errorf("got %d, %v in %s, want %d, %v in %s", got, err, time.Since(begun), want,
					wantErr, takes)
			}
		}
		down := errors.New("down")
		failure = down
		get(0, down, time.Second)
		failure = nil
		get(0, down, 0) // the failure is remembered
		time.Sleep(fetchBackoff)
		get(1, nil, time.Second)
		time.Sleep(documentLifetime - time.Second)
		get(1, nil, 0)
		failure = down
		time.Sleep(time.Second)
		get(1, nil, time.Second) // too old, but better than nothing
		get(1, nil, 0)
		time.Sleep(documentLifetime)
		get(0, down, time.Second) // that old is not
		failure = nil
		time.Sleep(fetchBackoff)
		get(2, nil, time.Second)
	})
}

// TestRenewOnce checks that whoever was not served by a document gets the one that replaced it,
// without another fetch.
func TestRenewOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failure error
		var fetches int
		f := slowFetch(&failure, &fetches)
		first, err := f.get(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		allowances := 0
		for range 100 {
			all.Go(func() {
				newer, err := f.renewOnce(context.Background(), first,
					func() bool { allowances++; return true }) // under f.mu
				if err != nil || *newer != 2 {
					t.Errorf("got %v, %v", newer, err)
				}
			})
		}
		all.Wait()
		if fetches != 2 || allowances != 1 {
			t.Errorf("%d fetches, %d of them asked for", fetches, allowances)
		}
		late, err := f.renewOnce(context.Background(), first, func() bool { return false })
		if err != nil || *late != 2 || fetches != 2 {
			t.Errorf("a late one got %v, %v", late, err)
		}
		same, err := f.renewOnce(context.Background(), late, func() bool { return false })
		if err != nil || same != late || fetches != 2 {
			t.Errorf("without allowance: %v, %v", same, err)
		}
		failure = errors.New("down")
		if _, err := f.renewOnce(context.Background(), late,
			func() bool { return true }); !errors.Is(
			err, failure) {
			t.Errorf("while nobody answers: %v", err)
		}
		if held, err := f.get(context.Background()); err != nil || held != late {
			t.Errorf("and what was held is gone: %v, %v", held, err)
		}
	})
}

// TestRenewalBudget checks that there are so many renewals a minute, whoever asks.
func TestRenewalBudget(t *testing.T) {
	now := time.Now()
	k := &keys{fetched: fetched[*keySet]{now: func() time.Time { return now }}}
	for minute := range 3 {
		granted := 0
		for range 100 {
			if k.mayRenew() {
				granted++
			}
		}
		if granted != maxRenewals {
			t.Errorf("minute %d: %d renewals", minute, granted)
		}
		now = now.Add(renewalWindow)
	}
}

// TestUnknownKey costs exactly one fetch; keys that cannot be had at that moment are no bad
// signature; and when the storm is over, a key that was rolled over is found.
func TestUnknownKey(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	redeem := func() *Error {
		_, err := c.RedeemCode(context.Background(), goodCode)
		var e *Error
		if err != nil && !errors.As(err, &e) {
			t.Fatal(err)
		}
		return e
	}
	if e := redeem(); e != nil {
		t.Fatal(e)
	}
	forged := p.tokens(
		map[string]any{"id_token": sign(t, jose.RS256, signingKeys()[1], "unknown", p.claims(nil))})
	p.setAnswer(200, nil, forged)
	if e := redeem(); e == nil || e.Class != ClassSignIn || p.count("/keys") != 2 {
		t.Errorf("an unknown key: %v, %d fetches", e, p.count("/keys"))
	}
	p.mu.Lock()
	p.down["/keys"] = true
	p.mu.Unlock()
	if e := redeem(); e == nil || e.Class != ClassTransient || p.count("/keys") != 3 {
		t.Errorf("while keys cannot be had: %v, %d fetches", e, p.count("/keys"))
	}
	p.mu.Lock()
	p.down["/keys"] = false
	p.mu.Unlock()
	for range 50 {
		if e := redeem(); e == nil || e.Class != ClassSignIn {
			t.Fatalf("in the storm: %v", e)
		}
	}
	if n := p.count("/keys"); n != 1+maxRenewals {
		t.Errorf("the storm caused %d fetches", n-1)
	}
	p.now = p.now.Add(renewalWindow)
	p.publish(signingKeys()[1], "unknown", "")
	p.setAnswer(
		200,
		nil,
		p.tokens(
			map[string]any{
				"id_token": sign(t, jose.RS256, signingKeys()[1], "unknown", p.claims(nil))},
		),
	)
	if e := redeem(); e != nil || p.count("/keys") != 2+maxRenewals {
		t.Errorf("after the storm: %v, %d fetches", e, p.count("/keys"))
	}
}
