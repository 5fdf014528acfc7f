// SPDX-License-Identifier: MPL-2.0

// Command baseline is what the benchmark compares the engine with: an external
// secrets engine on the same SDK, as an ordinary author would write it, whose
// read returns a constant. Its cost is that of Vault and the plugin boundary.
//
// Run under the name "bare" it is the platform's limit: a logical.Backend without
// the framework, see bare.go.
package main

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/plugin"
)

func main() {
	meta := &api.PluginAPIClientMeta{}
	if err := meta.FlagSet().Parse(os.Args[1:]); err != nil {
		os.Exit(2)
	}
	serve := factory
	if filepath.Base(os.Args[0]) == "bare" {
		serve = newBare
	}
	err := plugin.ServeMultiplex(&plugin.ServeOpts{
		BackendFactoryFunc: serve,
		TLSProviderFunc:    api.VaultPluginTLSProvider(meta.GetTLSConfig()),
	})
	if err != nil {
		hclog.New(&hclog.LoggerOptions{}).Error("plugin shutting down", "error", err)
		os.Exit(1)
	}
}

func factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	var constant atomic.Pointer[map[string]any]
	read := func(
		context.Context, *logical.Request, *framework.FieldData,
	) (*logical.Response, error) {
		if data := constant.Load(); data != nil {
			return &logical.Response{Data: *data}, nil
		}
		return nil, nil
	}
	update := func(
		_ context.Context, _ *logical.Request, d *framework.FieldData,
	) (*logical.Response, error) {
		data := d.Get("constant").(map[string]any)
		constant.Store(&data)
		return nil, nil
	}
	b := &framework.Backend{
		Help:           "Answers every read with the same data.",
		BackendType:    logical.TypeLogical,
		RunningVersion: "v0.0.1",
		Paths: []*framework.Path{{
			Pattern: "token/" + framework.GenericNameWithAtRegex("name"),
			Fields: map[string]*framework.FieldSchema{
				"name": {Type: framework.TypeString},
				"constant": {
					Type:        framework.TypeMap,
					Description: "What every read answers from now on.",
				},
			},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation:   &framework.PathOperation{Callback: read},
				logical.UpdateOperation: &framework.PathOperation{Callback: update},
			},
		}},
	}
	return b, b.Setup(ctx, conf)
}
