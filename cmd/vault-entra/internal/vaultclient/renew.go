// SPDX-License-Identifier: MPL-2.0

package vaultclient

import (
	"context"
	"time"
)

// How often KeepAlive looks at the Vault token when nothing is known of it, and at least.
const (
	renewRetry  = 15 * time.Second
	renewAtMost = time.Hour
)

// KeepAlive renews the Vault token, at two thirds of its time to live, until the context ends.
// What does not work is told to warn, once for each run of failures, and tried again. A token that
// cannot be renewed, and none at all (an Agent or Proxy renews its own), is left alone.
func (c *Client) KeepAlive(ctx context.Context, warn func(error)) {
	failing := false
	for {
		wait, err := c.renew(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			warn(err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// renew renews the token if it can be, and returns how long to leave it alone.
func (c *Client) renew(ctx context.Context) (time.Duration, error) {
	if !c.HasToken() {
		return renewAtMost, nil
	}
	self, err := c.Read(ctx, "auth/token/lookup-self")
	if err != nil {
		return renewRetry, err
	}
	if renewable, err := self.TokenIsRenewable(); err != nil || !renewable {
		return renewAtMost, nil
	}
	renewed, err := c.Write(ctx, "auth/token/renew-self", map[string]any{})
	if err != nil {
		return renewRetry, err
	}
	ttl, err := renewed.TokenTTL()
	if err != nil || ttl <= 0 {
		return renewAtMost, nil
	}
	return min(max(ttl*2/3, time.Second), renewAtMost), nil
}
