// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/entra"
)

// registration is the app registration as of one config write: the stored
// config and the client made from it. It does not change.
type registration struct {
	*configEntry
	client *entra.Client
}

// registrationCache holds the registration in use, so that a read of a fresh
// token needs neither storage nor a lock.
type registrationCache struct {
	current atomic.Pointer[registration]

	mu         sync.Mutex // guards generation; not held across storage
	generation uint64     // counts drops: what was read before one is not cached after it
}

// drop forgets the registration with its client, discovery document and keys.
// Exchanges under way keep theirs to the end.
func (c *registrationCache) drop() {
	c.mu.Lock()
	c.generation++
	old := c.current.Swap(nil)
	c.mu.Unlock()
	if old != nil {
		old.client.Close()
	}
}

func (c *registrationCache) mark() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.generation
}

// keep caches reg unless the config was dropped since mark.
func (c *registrationCache) keep(reg *registration, mark uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation == mark {
		c.current.Store(reg)
	}
}

// registration returns the mount's app registration, or the fault that there is none.
func (b *backend) registration(ctx context.Context, s logical.Storage) (*registration, error) {
	if reg := b.registrations.current.Load(); reg != nil {
		return reg, nil
	}
	mark := b.registrations.mark()
	cfg, err := getConfig(ctx, s)
	if err != nil {
		return nil, err
	}
	if cfg == nil {
		return nil, errNotConfigured()
	}
	client, err := entra.New(cfg.clientConfig())
	if err != nil {
		return nil, err
	}
	reg := &registration{configEntry: cfg, client: client}
	b.registrations.keep(reg, mark)
	return reg, nil
}
