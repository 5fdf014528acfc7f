// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// ImportAccounts signs n users in, each at an account of the same name, by the
// quick way: with refresh tokens that Entra gave elsewhere.
func (e *Engine) ImportAccounts(n int) []string {
	e.T.Helper()
	accounts := make([]string, n)
	for i := range accounts {
		name := fmt.Sprintf("user%03d", i)
		accounts[i] = name
		e.Sim.Control("users", object{"username": name + "@contoso.example"}, nil)
	}
	inParallel(accounts, func(name string) {
		body := object{"refresh_token": e.Sim.RefreshToken(name)}
		if a, err := e.Try("PUT", "entra/import/"+name, body); err != nil || a.Status != 200 {
			e.T.Errorf("import/%s: %+v, %v", name, a, err)
		}
	})
	if e.T.Failed() {
		e.T.FailNow()
	}
	return accounts
}

// inParallel does something for each name, eight at a time.
func inParallel(names []string, do func(name string)) {
	var wg sync.WaitGroup
	work := make(chan string)
	for range 8 {
		wg.Go(func() {
			for name := range work {
				do(name)
			}
		})
	}
	for _, name := range names {
		work <- name
	}
	close(work)
	wg.Wait()
}

// WantAllGood fails the test unless every account reads, and can still be
// refreshed: what is stored is a refresh token that Entra takes. An account that
// waits for what is remembered of a failure gets its time; one that has to sign
// in again is lost.
func (e *Engine) WantAllGood(accounts []string) {
	e.T.Helper()
	var mu sync.Mutex
	var lost []string
	inParallel(accounts, func(name string) {
		err := e.proveGood(name)
		if err != nil {
			mu.Lock()
			defer mu.Unlock()
			lost = append(lost, fmt.Sprintf("%s: %v", name, err))
		}
	})
	if len(lost) > 0 {
		e.T.Fatalf("%d of %d accounts do not work any more:\n%s", len(lost), len(accounts),
			strings.Join(lost, "\n"))
	}
}

// proveGood reads an account and refreshes it.
func (e *Engine) proveGood(name string) error {
	deadline := time.Now().Add(90 * time.Second) // the backoff is a minute at most
	for _, ask := range []struct{ method, path string }{
		{"PUT", "entra/refresh/" + name},
		{"GET", "entra/token/" + name},
	} {
		for {
			a, err := e.Try(ask.method, ask.path, nil)
			if err == nil && a.Status == 200 && len(a.Warnings) == 0 {
				break
			}
			if err == nil && (a.Status == 400 || a.Status == 404) || time.Now().After(deadline) {
				return fmt.Errorf("%s %s: %v, %+v", ask.method, ask.path, err, a)
			}
			time.Sleep(200 * time.Millisecond)
		}
	}
	return nil
}
