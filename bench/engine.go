// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// mountEngine mounts the engine from the plugin of that name and configures it
// for the simulator.
func (b *bench) mountEngine(path, plugin string, config map[string]any) error {
	if err := b.vault.mount(path, plugin, nil); err != nil {
		return err
	}
	all := map[string]any{
		"authority_url": b.sim.Authority,
		"scopes":        "User.Read",
		"tenant_id":     b.sim.TenantID,
		"client_id":     b.sim.ClientID,
		"client_secret": b.sim.ClientSecret,
		"redirect_uris": "http://localhost/callback",
		"ca_pem":        b.sim.caPEM,
	}
	maps.Copy(all, config)
	return b.vault.write(path+"/config", all)
}

// importAccount signs in one account, with a refresh token of its own.
func (b *bench) importAccount(mount, account string) error {
	token, err := b.sim.refreshToken()
	if err != nil {
		return err
	}
	return b.vault.write(mount+"/import/"+account, map[string]any{"refresh_token": token})
}

func accountName(i int) string { return fmt.Sprintf("account-%06d", i) }

// tokenRequests renders a read of each of n accounts' tokens.
func (b *bench) tokenRequests(mount string, n int) [][]byte {
	requests := make([][]byte, n)
	for i := range requests {
		requests[i] = b.vault.get(mount + "/token/" + accountName(i))
	}
	return requests
}

// inParallel does something for 0 to n-1, 8 at a time, and says how far it is.
func (b *bench) inParallel(what string, n int, do func(i int) error) error {
	var next, done atomic.Int64
	failed := make([]error, 8)
	var wg sync.WaitGroup
	for worker := range failed {
		wg.Go(func() {
			for failed[worker] == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				failed[worker] = do(i)
				done.Add(1)
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		wg.Wait()
		close(ended)
	}()
	for {
		select {
		case <-ended:
			for _, err := range failed {
				if err != nil {
					return fmt.Errorf("%s: %w", what, err)
				}
			}
			return nil
		case <-time.After(5 * time.Second):
			b.doing("%s: %s of %s", what, count(int(done.Load())), count(n))
		}
	}
}

// importAccounts signs in n accounts.
func (b *bench) importAccounts(mount string, n int) error {
	return b.inParallel("import "+mount, n, func(i int) error {
		return b.importAccount(mount, accountName(i))
	})
}

// copyAccounts makes n accounts from one that signs in: its storage entry is
// written under the other names by sys/raw. The engine learns of them when it is
// reloaded.
func (b *bench) copyAccounts(mount string, n int) error {
	if err := b.importAccount(mount, accountName(0)); err != nil {
		return err
	}
	var about struct {
		Data map[string]struct {
			UUID string `json:"uuid"`
		} `json:"data"`
	}
	if err := b.vault.call(http.MethodGet, "sys/mounts", nil, &about); err != nil {
		return err
	}
	prefix := "sys/raw/logical/" + about.Data[mount+"/"].UUID + "/account/"
	var entry struct {
		Data struct {
			Value string `json:"value"`
		} `json:"data"`
	}
	if err := b.vault.call(http.MethodGet, prefix+accountName(0), nil, &entry); err != nil {
		return err
	}
	return b.inParallel("copy "+mount, n-1, func(i int) error {
		return b.vault.write(prefix+accountName(i+1), map[string]any{"value": entry.Data.Value})
	})
}
