// SPDX-License-Identifier: MPL-2.0

package config

import (
	"slices"
	"strings"
	"time"

	"vault-plugin-secrets-entra/internal/problem"
)

// Validate checks the config without any network. Every message names the field.
func (c *Entry) Validate() error {
	if err := c.clientConfig().Validate(); err != nil {
		return problem.Invalid("%s", err)
	}
	if len(c.RedirectURIs) == 0 {
		return problem.Invalid("redirect_uris: at least one is required")
	}
	for _, uri := range c.RedirectURIs {
		if err := checkRedirectURI(uri); err != nil {
			return problem.Invalid("redirect_uris: %s", err)
		}
	}
	if err := c.CheckScopes(c.Scopes); err != nil {
		return problem.Invalid("scopes: %s", err)
	}
	if err := c.validateDurations(); err != nil {
		return err
	}
	if c.MaxConcurrentRefreshes < 1 || c.MaxConcurrentRefreshes > 256 {
		return problem.Invalid("max_concurrent_refreshes: must be 1 to 256")
	}
	if c.CacheSize < 0 || c.CacheSize > maxCacheSize {
		return problem.Invalid("cache_size: must be 0 to %d", maxCacheSize)
	}
	return c.validateBinding()
}

// maxCacheSize is some 4 GiB of accounts.
const maxCacheSize = 1_000_000

func (c *Entry) validateBinding() error {
	switch c.AccountBinding {
	case BindFirstLogin, BindPinned, BindObjectID:
	case BindUsername:
		shared := []string{"common", "organizations", "consumers"}
		if c.AuthorityURL != "" || slices.Contains(shared, strings.ToLower(c.TenantID)) {
			return problem.Invalid("account_binding: username wants one tenant: " +
				"a tenant_id that is a GUID or a verified domain, and no authority_url")
		}
	default:
		return problem.Invalid("account_binding: must be first_login, pinned, username or object_id")
	}
	return nil
}

func (c *Entry) validateDurations() error {
	const forever = 10 * 365 * 24 * time.Hour
	for _, limit := range []struct {
		field      string
		value      time.Duration
		min, max   time.Duration
		zeroIsFine bool
	}{
		{"login_ttl", c.LoginTTL, time.Minute, time.Hour, false},
		{"refresh_margin", c.RefreshMargin, time.Second, 24 * time.Hour, false},
		{"keepalive_interval", c.KeepaliveInterval, time.Second, forever, true},
		{"keepalive_max", c.KeepaliveMax, time.Second, forever, true},
		{"login_max_age", c.LoginMaxAge, time.Second, forever, true},
		{"request_timeout", c.RequestTimeout, time.Second, time.Minute, false},
	} {
		switch {
		case limit.zeroIsFine && limit.value == 0:
		case limit.value < limit.min:
			return problem.Invalid("%s: must be at least %s", limit.field, limit.min)
		case limit.value > limit.max:
			return problem.Invalid("%s: must be at most %s", limit.field, limit.max)
		}
	}
	return nil
}
