// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/config"
	"vault-plugin-secrets-entra/internal/lifecycle"
	"vault-plugin-secrets-entra/internal/problem"
	"vault-plugin-secrets-entra/internal/refresh"
	"vault-plugin-secrets-entra/internal/signin"
	"vault-plugin-secrets-entra/internal/store"
)

const (
	operationPrefix = "entra"

	// cleanTimeout bounds how long Clean waits: longer than one call to Entra with
	// the default timeout ordinarily takes, shorter than what an operator who steps
	// a node down puts up with.
	cleanTimeout = 10 * time.Second
)

const backendHelp = `
The entra secrets engine turns one browser sign-in to Microsoft Entra ID into
access tokens that people, services and CI pipelines can read for months.

Write the app registration to "config", start a sign-in with "login/<account>",
open the URL it returns, and read fresh access tokens from "token/<account>".
Refresh tokens, client secrets, PKCE verifiers and authorization codes never
leave Vault.
`

// backend is one mount of the engine: the rooms of internal/, wired.
//
// A request walks: path_login.go → path_callback.go → signin → account →
// path_token.go → refresh.
type backend struct {
	*framework.Backend

	node       *lifecycle.Node    // what System returns
	work       *lifecycle.Work    // what Clean waits for
	config     *config.Store      // the app registration, the client made from it, the roles
	accounts   *account.Store     // entries, their cache, their locks and their index
	signIns    *signin.SignIns    // from authorization URL to stored account
	refreshes  *refresh.Refresher // who is refreshing what, and what failed
	worker     *refresh.Worker    // what is done when nobody asks
	mountPoint atomic.Value       // string: "entra/", as seen on the last request
}

// Factory makes the backend of one mount. It does no storage access: storage is ready
// only when Vault calls Initialize.
func Factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	return newBackend(ctx, conf, nil)
}

// newBackend makes a backend whose requests to Entra go through transport; nil is a
// pooled transport of the client's own.
func newBackend(ctx context.Context, conf *logical.BackendConfig, transport http.RoundTripper) (*backend, error) {
	log := conf.Logger
	if log == nil {
		log = hclog.NewNullLogger()
	}
	entries := store.New(conf.StorageView)
	b := &backend{node: &lifecycle.Node{SystemView: conf.System}, work: lifecycle.NewWork()}
	b.config = config.NewStore(entries, b.work, transport)
	b.accounts = account.NewStore(entries, b.config.Roles, b.work, log)
	b.signIns = signin.New(b.config, b.accounts, b.work, log)
	b.refreshes = refresh.New(b.config, b.accounts, b.node, b.work, log)
	b.worker = refresh.NewWorker(b.refreshes)
	b.wire()
	b.Backend = b.framework()
	remembering := *conf
	remembering.System = b.node
	if err := b.Setup(ctx, &remembering); err != nil {
		return nil, err
	}
	return b, nil
}

// wire hands to the rooms what they tell others.
func (b *backend) wire() {
	b.config.OnChange = func() {
		b.refreshes.ConfigChanged()
		b.worker.Rebuild()
	}
	b.config.OnLoad = func(cfg *config.Entry) { b.accounts.SetCacheSize(cfg.CacheSize) }
	b.accounts.OnChange = func(name string, before, after *account.Entry) {
		b.refreshes.AccountChanged(name, before, after)
		b.worker.AccountChanged(name, before, after)
		b.accountChanged(name, before, after)
	}
	b.signIns.ClientRefused = b.refreshes.ShowClientError
	b.refreshes.Recovered = func(name string) { b.sendAccountEvent(eventRefreshRecovered, name) }
	b.refreshes.ClientRejected = b.sendClientRejected
}

func (b *backend) framework() *framework.Backend {
	return &framework.Backend{
		Help:           strings.TrimSpace(backendHelp),
		BackendType:    logical.TypeLogical,
		RunningVersion: version,
		PathsSpecial: &logical.Paths{
			Unauthenticated: []string{callbackPath},
			SealWrapStorage: []string{
				config.StorageKey, account.LoginStoragePrefix, account.StoragePrefix,
			},
		},
		Paths: framework.PathAppend(
			b.pathConfig(),
			b.pathRoles(),
			b.pathLogin(),
			b.pathCallback(),
			b.pathDevice(),
			b.pathToken(),
			b.pathCheck(),
			b.pathRefresh(),
			b.pathImport(),
			b.pathAccount(),
		),
		Secrets:        []*framework.Secret{leasedToken()},
		InitializeFunc: b.initialize,
		PeriodicFunc:   b.periodic,
		Invalidate:     b.invalidate,
		Clean:          b.clean,
	}
}

// initialize starts the background: storage is ready now.
func (b *backend) initialize(_ context.Context, _ *logical.InitializationRequest) error {
	b.Logger().Info("entra secrets engine", "version", version, "commit", commit)
	b.worker.Start()
	b.signIns.Run()
	b.setActive()
	return nil
}

// periodic runs about once a minute while Vault holds locks that block step-down and
// reload: no network, no storage. It finds out whether the node's role changed.
func (b *backend) periodic(context.Context, *logical.Request) error {
	b.setActive()
	return nil
}

// setActive starts or stops the background, as the node may write or not.
func (b *backend) setActive() {
	active := b.node.MayWrite()
	b.worker.SetActive(active)
	b.signIns.SetActive(active)
}

// invalidate is called when another node has changed key. It returns at once: no
// storage call, and no lock that is held across one.
func (b *backend) invalidate(_ context.Context, key string) {
	if name, found := strings.CutPrefix(key, account.StoragePrefix); found {
		b.accounts.Invalidate(name)
	}
	if hash, found := strings.CutPrefix(key, account.LoginStoragePrefix); found {
		b.signIns.LoginInvalidated(hash)
	}
	if name, found := strings.CutPrefix(key, config.RoleStoragePrefix); found {
		b.config.Roles.Drop(name)
	}
	if key == config.StorageKey {
		b.config.Drop()
		b.refreshes.ConfigChanged() // what failed was the old registration's
	}
}

// clean runs when the mount is unmounted, reloaded, sealed or stepped down. While it
// runs, every mount of the same plugin process waits.
func (b *backend) clean(_ context.Context) {
	b.work.Stop(cleanTimeout)
	b.config.Drop()
}

// HandleRequest is every request's way in and out: it remembers where the mount is,
// for the commands in messages, and turns a problem into its response.
func (b *backend) HandleRequest(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	if req.MountPoint != "" {
		if last, _ := b.mountPoint.Load().(string); last != req.MountPoint {
			b.mountPoint.Store(req.MountPoint)
		}
	}
	if p := checkNames(req.Path); p != nil {
		return b.answerError(p)
	}
	if req.Path == callbackPath {
		if err := checkParameters(req.Data); err != nil {
			return b.problemPage(problem.Of(err)).response()
		}
	}
	resp, err := b.Backend.HandleRequest(ctx, req)
	if err != nil {
		return b.answerError(err)
	}
	if resp.IsError() { // by the framework itself: a value of the wrong type
		return logical.ErrorResponse("%s: %s", problem.InvalidRequest, resp.Error()), nil
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
