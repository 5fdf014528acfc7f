// SPDX-License-Identifier: MPL-2.0

// Package tokens keeps access tokens in memory, so that any number of callers cost Vault one read.
package tokens

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

const (
	// readTime bounds one read of Vault, which goes on when its callers have left.
	readTime = time.Minute

	// leastLife is what a token that is served must have left to live, as at the engine.
	leastLife = 3 * time.Second

	// retryAfter is how long a token is served whose refresh failed, before the next try.
	retryAfter = 10 * time.Second
)

// Read reads a token from Vault.
type Read func(ctx context.Context, target vaultclient.Target) (*vaultclient.Token, error)

// Cache holds each token until its ttl is over.
type Cache struct {
	Read Read

	// Failed is told a failure that is hidden from the caller, who gets the token before. It may be
	// nil.
	Failed func(target vaultclient.Target, err error)

	now    func() time.Time
	mu     sync.RWMutex
	held   map[vaultclient.Target]held
	flight singleflight.Group // by the target's path
}

// held is a token, and until when Vault is not asked for another.
type held struct {
	token *vaultclient.Token
	until time.Time
}

// NewCache makes a cache of what read gives.
func NewCache(read Read) *Cache {
	return &Cache{Read: read, now: time.Now, held: map[vaultclient.Target]held{}}
}

// Token is the target's token: from memory while its ttl runs, else from Vault. Callers at the same
// time share one read, which outlives the caller whose context ends. If Vault or Entra is
// in trouble, the token before is given while it lives.
func (c *Cache) Token(ctx context.Context, target vaultclient.Target) (*vaultclient.Token, error) {
	if token := c.fresh(target); token != nil {
		return token, nil
	}
	done := c.flight.DoChan(target.Path(), func() (any, error) {
		if token := c.fresh(target); token != nil { // a flight before this one brought it
			return token, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTime)
		defer cancel()
		return c.refresh(ctx, target)
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case result := <-done:
		token, _ := result.Val.(*vaultclient.Token)
		return token, result.Err
	}
}

func (c *Cache) fresh(target vaultclient.Target) *vaultclient.Token {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if held := c.held[target]; held.token != nil && c.now().Before(held.until) {
		return held.token
	}
	return nil
}

// refresh reads the token, and keeps it.
func (c *Cache) refresh(ctx context.Context,
	target vaultclient.Target) (*vaultclient.Token, error) {
	token, err := c.Read(ctx, target)
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		until := now.Add(token.TTL)
		if end := token.Expiry.Add(-leastLife); end.Before(until) {
			until = end
		}
		c.held[target] = held{token, until}
		return token, nil
	}
	before := c.held[target].token
	var trouble *vaultclient.Error
	passing := !errors.As(err, &trouble) || trouble.Passing()
	if !passing || before == nil || before.Expiry.Sub(now) < leastLife {
		delete(c.held, target)
		return nil, err
	}
	c.held[target] = held{before, now.Add(min(retryAfter, before.Expiry.Sub(now)-leastLife))}
	if c.Failed != nil {
		c.Failed(target, err)
	}
	return before, nil
}
