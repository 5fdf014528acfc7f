// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
)

// bare is as little as a secrets engine can be: no framework, no routing, no field is
// parsed, Vault is asked for nothing, and every read is answered with the same response.
type bare struct {
	system   logical.SystemView
	logger   hclog.Logger
	response atomic.Pointer[logical.Response]
}

func newBare(_ context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	return &bare{system: conf.System, logger: conf.Logger}, nil
}

// HandleRequest implements logical.Backend. A write says what reads answer from now on.
func (b *bare) HandleRequest(_ context.Context, req *logical.Request) (*logical.Response, error) {
	if req.Operation == logical.ReadOperation {
		return b.response.Load(), nil
	}
	if data, ok := req.Data["constant"].(map[string]any); ok {
		b.response.Store(&logical.Response{Data: data})
	}
	return nil, nil
}

// HandleExistenceCheck implements logical.Backend.
func (b *bare) HandleExistenceCheck(context.Context, *logical.Request) (found, exists bool, err error) {
	return false, false, nil
}

// Initialize implements logical.Backend.
func (b *bare) Initialize(context.Context, *logical.InitializationRequest) error { return nil }

// SpecialPaths implements logical.Backend.
func (b *bare) SpecialPaths() *logical.Paths { return nil }

// System implements logical.Backend.
func (b *bare) System() logical.SystemView { return b.system }

// Logger implements logical.Backend.
func (b *bare) Logger() hclog.Logger { return b.logger }

// Cleanup implements logical.Backend.
func (b *bare) Cleanup(context.Context) {}

// InvalidateKey implements logical.Backend.
func (b *bare) InvalidateKey(context.Context, string) {}

// Setup implements logical.Backend.
func (b *bare) Setup(context.Context, *logical.BackendConfig) error { return nil }

// Type implements logical.Backend.
func (b *bare) Type() logical.BackendType { return logical.TypeLogical }
