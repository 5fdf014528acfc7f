// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/config"
)

// The events of this engine (Vault's event system, where there is one).
const (
	eventLoginSucceeded   = "entra/login-succeeded"
	eventLoginRequired    = "entra/login-required"
	eventAccessDenied     = "entra/access-denied"
	eventRefreshRecovered = "entra/refresh-recovered"
	eventClientRejected   = "entra/client-rejected"
	eventAccountDisabled  = "entra/account-disabled"
	eventAccountDeleted   = "entra/account-deleted"
)

const eventTimeout = 5 * time.Second

// sendEvent is best effort: nobody waits for it, and nothing depends on it.
func (b *backend) sendEvent(event string, metadata ...string) {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), eventTimeout)
		defer cancel()
		if err := logical.SendEvent(ctx, b, event, metadata...); err != nil {
			b.Logger().Trace("event not sent", "event", event, "error", err)
		}
	}()
}

func (b *backend) sendAccountEvent(event, name string) {
	b.sendEvent(event, logical.EventMetadataPath, accountPath+name, "account", name)
}

func (b *backend) sendClientRejected(entraCode string) {
	b.sendEvent(eventClientRejected, logical.EventMetadataPath, config.StorageKey, "code", entraCode)
}

// accountChanged tells operators when an account starts or stops needing somebody.
// before is nil for a new account, after for one that was deleted.
func (b *backend) accountChanged(name string, before, after *account.Entry) {
	if after == nil {
		b.sendAccountEvent(eventAccountDeleted, name)
		return
	}
	if after.SignedIn() && (before == nil || before.Generation != after.Generation) {
		b.sendAccountEvent(eventLoginSucceeded, name)
	}
	var cfg *config.Entry
	if reg := b.config.Current(); reg != nil {
		cfg = reg.Entry
	}
	now := time.Now()
	was := ""
	if before != nil {
		was = before.State(cfg, now)
	}
	is := after.State(cfg, now)
	if was == is {
		return
	}
	needed := before != nil && before.SignedIn() && needsSomebody(was)
	switch {
	case is == account.StateDisabled:
		b.sendAccountEvent(eventAccountDisabled, name)
	case needsSomebody(is) && after.SignedIn():
		r := after.Status().Error
		if r == nil {
			return // the config's doing: it says so at each read
		}
		b.Logger().Warn("account needs attention", "account", name, "state", is,
			"code", r.EntraCode(), "correlation_id", r.CorrelationID)
		event := eventLoginRequired
		if is == account.StateAccessDenied {
			event = eventAccessDenied
		}
		b.sendAccountEvent(event, name)
	case is == account.StateActive && needed:
		b.Logger().Warn("account needs attention no longer", "account", name, "state", is)
	}
}

func needsSomebody(state string) bool {
	return state == account.StateLoginRequired || state == account.StateAccessDenied
}
