// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

const (
	operationPrefix = "entra"

	// schemaVersion is written into every storage entry.
	schemaVersion = 1
)

const backendHelp = `
The entra secrets engine turns one browser sign-in to Microsoft Entra ID into
access tokens that people, services and CI pipelines can read for months.

Write the app registration to "config", start a sign-in with "login/<account>",
open the URL it returns, and read fresh access tokens from "token/<account>".
Refresh tokens, client secrets, PKCE verifiers and authorization codes never
leave Vault.
`

// backend is one mount of the engine.
//
// A request walks: path_login.go → path_callback.go → signin.go → account.go
// (the entry) → path_token.go → refresh.go.
type backend struct {
	*framework.Backend

	// storage is the mount's storage, for work that no request carries.
	storage logical.Storage
	system  *rememberedSystem // what System returns

	configLock    sync.Mutex              // one config write at a time; no reader takes it
	registrations registrationCache       // config and the client made from it
	roles         *entryCache[*roleEntry] // nil entries too: roles that are not there
	accounts      *accountStore           // entries, their cache and their locks
	index         *accountIndex           // what a list shows of every account
	refreshes     *refresher              // who is refreshing what, and what failed
	worker        *worker                 // what is done when nobody asks
	work          workTracker             // what Clean has to wait for
	mountPoint    atomic.Value            // string: "entra/", as seen on the last request
}

// Factory makes the backend of one mount. It does no storage access: storage is
// ready only when Vault calls Initialize.
func Factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	b := newBackend(conf.StorageView)
	b.system = &rememberedSystem{SystemView: conf.System}
	remembering := *conf
	remembering.System = b.system
	if err := b.Setup(ctx, &remembering); err != nil {
		return nil, err
	}
	return b, nil
}

func newBackend(storage logical.Storage) *backend {
	b := &backend{
		storage:   storage,
		roles:     newEntryCache[*roleEntry](cachedRoles),
		index:     newAccountIndex(),
		refreshes: newRefresher(),
	}
	b.accounts = newAccountStore(b)
	b.worker = newWorker(b)
	b.work.init()
	b.Backend = &framework.Backend{
		Help:           strings.TrimSpace(backendHelp),
		BackendType:    logical.TypeLogical,
		RunningVersion: version,
		PathsSpecial: &logical.Paths{
			Unauthenticated: []string{callbackPath},
			SealWrapStorage: []string{configStorageKey, loginStoragePrefix, accountStoragePrefix},
		},
		Paths: framework.PathAppend(
			b.pathConfig(),
			b.pathRoles(),
			b.pathLogin(),
			b.pathCallback(),
			b.pathDevice(),
			b.pathToken(),
			b.pathRefresh(),
			b.pathImport(),
			b.pathAccount(),
		),
		InitializeFunc: b.initialize,
		PeriodicFunc:   b.periodic,
		Invalidate:     b.invalidate,
		Clean:          b.clean,
	}
	return b
}

// initialize starts the background: storage is ready now.
func (b *backend) initialize(_ context.Context, _ *logical.InitializationRequest) error {
	b.Logger().Info("entra secrets engine", "version", version, "commit", commit)
	b.worker.start()
	b.worker.setActive(b.mayWrite())
	return nil
}

// periodic runs about once a minute while Vault holds locks that block step-down
// and reload: no network, no storage. It finds out whether the node's role changed.
func (b *backend) periodic(context.Context, *logical.Request) error {
	b.worker.setActive(b.mayWrite())
	return nil
}

// invalidate is called when another node has changed key. It returns at once:
// no storage call, and no lock that is held across one.
func (b *backend) invalidate(_ context.Context, key string) {
	switch {
	case key == configStorageKey:
		b.registrations.drop()
	case strings.HasPrefix(key, roleStoragePrefix):
		b.roles.drop(strings.TrimPrefix(key, roleStoragePrefix))
	case strings.HasPrefix(key, accountStoragePrefix):
		b.accounts.cache.drop(strings.TrimPrefix(key, accountStoragePrefix))
	}
}

// clean runs when the mount is unmounted, reloaded, sealed or stepped down.
// While it runs, every mount of the same plugin process waits.
func (b *backend) clean(_ context.Context) {
	b.work.stop(cleanTimeout)
	b.registrations.drop()
}

// HandleRequest is every request's way in and out: it remembers where the mount
// is, for the commands in messages, and turns a fault into its response.
func (b *backend) HandleRequest(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	if req.MountPoint != "" {
		if last, _ := b.mountPoint.Load().(string); last != req.MountPoint {
			b.mountPoint.Store(req.MountPoint)
		}
	}
	resp, err := b.Backend.HandleRequest(ctx, req)
	if err != nil {
		return b.answerError(err)
	}
	if resp.IsError() { // by the framework itself: a value of the wrong type
		return logical.ErrorResponse("%s: %s", invalidRequest, resp.Error()), nil
	}
	return resp, nil
}

// mount is the mount's path with its trailing slash, as a person types it.
func (b *backend) mount() string {
	if m, _ := b.mountPoint.Load().(string); m != "" {
		return m
	}
	return "entra/"
}
