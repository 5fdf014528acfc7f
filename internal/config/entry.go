// SPDX-License-Identifier: MPL-2.0

// Package config keeps the app registration that people sign in to: its entry and
// credential, its redirect URIs, the roles, and the client made from it.
package config

import (
	"fmt"
	"strings"
	"time"

	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/store"
)

// StorageKey is where the app registration is stored.
const StorageKey = "config"

// Who may sign in to an account that is not pinned yet.
const (
	BindFirstLogin = "first_login"
	BindPinned     = "pinned"
	BindUsername   = "username"
	BindObjectID   = "object_id"
)

// Entry is the app registration and how this mount uses it.
type Entry struct {
	store.UnknownFields

	Version         int               `json:"version"`
	TenantID        string            `json:"tenant_id"`
	ClientID        string            `json:"client_id"`
	ClientSecret    entra.Secret      `json:"client_secret"`
	Certificate     string            `json:"client_certificate"`
	PrivateKey      entra.Secret      `json:"client_private_key"`
	CredentialTime  time.Time         `json:"credential_time"`
	RedirectURIs    []string          `json:"redirect_uris"`
	Scopes          []string          `json:"scopes"`
	Environment     string            `json:"environment"`
	AuthorityURL    string            `json:"authority_url"`
	Issuer          string            `json:"issuer"`
	AuthorizeParams map[string]string `json:"authorize_params"`
	Capabilities    []string          `json:"client_capabilities"`

	LoginTTL          time.Duration `json:"login_ttl"`
	RefreshMargin     time.Duration `json:"refresh_margin"`
	KeepaliveInterval time.Duration `json:"keepalive_interval"`
	KeepaliveMax      time.Duration `json:"keepalive_max"`
	LoginMaxAge       time.Duration `json:"login_max_age"`
	RequestTimeout    time.Duration `json:"request_timeout"`

	AccountBinding         string `json:"account_binding"`
	BackgroundRefresh      bool   `json:"background_refresh"`
	MaxConcurrentRefreshes int    `json:"max_concurrent_refreshes"`
	CacheSize              int    `json:"cache_size"` // accounts; 0: as many as fit a size
	ConfirmCallback        bool   `json:"confirm_callback"`
	AllowDeviceCode        bool   `json:"allow_device_code"`
	CAPEM                  string `json:"ca_pem"`
}

// NewEntry is a config with every default of the interface.
func NewEntry() *Entry {
	return &Entry{
		Version:                store.SchemaVersion,
		Scopes:                 []string{"User.Read"},
		Environment:            "AzurePublicCloud",
		LoginTTL:               10 * time.Minute,
		RefreshMargin:          10 * time.Minute,
		KeepaliveInterval:      24 * time.Hour,
		KeepaliveMax:           180 * 24 * time.Hour,
		RequestTimeout:         10 * time.Second,
		AccountBinding:         BindFirstLogin,
		BackgroundRefresh:      true,
		MaxConcurrentRefreshes: 8,
		ConfirmCallback:        true,
	}
}

// Authority says in one string where refresh tokens of this config belong.
func (c *Entry) Authority() string {
	if c.AuthorityURL != "" {
		return strings.TrimSuffix(c.AuthorityURL, "/")
	}
	return c.Environment + "/" + c.TenantID
}

// CheckScopes says whether one token can be had for these scopes at this authority.
func (c *Entry) CheckScopes(scopes []string) error { return c.clientConfig().CheckScopes(scopes) }

// ComposeScopes puts together what one authorization request asks for: see entra.Config.
func (c *Entry) ComposeScopes(base []string, roles []entra.ScopeSet) ([]string, []entra.LeftOut) {
	return c.clientConfig().ComposeScopes(base, roles)
}

// AllowsPrompt reports whether the authority knows a value of prompt.
func (c *Entry) AllowsPrompt(prompt string) bool { return c.clientConfig().AllowsPrompt(prompt) }

// OwnAPIWarning says what some tenants refuse at a refresh; "" where it does not matter.
func (c *Entry) OwnAPIWarning(scopes []string) string {
	for _, scope := range scopes {
		if by, own := entra.ByClientID(c.ClientID, scope); own && c.AuthorityURL == "" {
			return fmt.Sprintf("scopes: some tenants refuse %s at a refresh (AADSTS90009); %s names "+
				"the same", scope, by)
		}
	}
	return ""
}

// clientConfig is what the protocol needs to know of this config.
func (c *Entry) clientConfig() entra.Config {
	return entra.Config{
		Environment:     c.Environment,
		TenantID:        c.TenantID,
		AuthorityURL:    c.AuthorityURL,
		Issuer:          c.Issuer,
		ClientID:        c.ClientID,
		ClientSecret:    c.ClientSecret,
		Certificate:     c.certificate(),
		AuthorizeParams: c.AuthorizeParams,
		Capabilities:    c.Capabilities,
		CAPEM:           c.CAPEM,
		RequestTimeout:  c.RequestTimeout,
	}
}
