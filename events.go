// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
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

func (b *backend) sendAccountEvent(event, account string) {
	b.sendEvent(event, logical.EventMetadataPath, accountPath+account, "account", account)
}

// noteTransition tells operators when an account starts or stops needing somebody.
// before is nil for a new account.
func (b *backend) noteTransition(account string, before, after *accountEntry) {
	var cfg *configEntry
	if reg := b.registrations.current.Load(); reg != nil {
		cfg = reg.configEntry
	}
	now := time.Now()
	was := ""
	if before != nil {
		was = before.state(cfg, now)
	}
	is := after.state(cfg, now)
	if was == is {
		return
	}
	needed := before != nil && before.signedIn() && (was == stateLoginRequired || was == stateAccessDenied)
	switch {
	case is == stateDisabled:
		b.sendAccountEvent(eventAccountDisabled, account)
	case (is == stateLoginRequired || is == stateAccessDenied) && after.signedIn():
		r := after.status().refusal
		if r == nil {
			return // the config's doing: it says so at each read
		}
		b.Logger().Warn("account needs attention", "account", account, "state", is, "code", r.code(), "correlation_id", r.CorrelationID)
		event := eventLoginRequired
		if is == stateAccessDenied {
			event = eventAccessDenied
		}
		b.sendAccountEvent(event, account)
	case is == stateActive && needed:
		b.Logger().Warn("account needs attention no longer", "account", account, "state", is)
	}
}
