// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/entra"
)

const configStorageKey = "config"

// Who may sign in to an account that is not pinned yet.
const (
	bindFirstLogin = "first_login"
	bindPinned     = "pinned"
	bindUsername   = "username"
	bindObjectID   = "object_id"
)

// configEntry is the app registration and how this mount uses it.
type configEntry struct {
	unknownFields

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
	ConfirmCallback        bool   `json:"confirm_callback"`
	AllowDeviceCode        bool   `json:"allow_device_code"`
	CAPEM                  string `json:"ca_pem"`
}

// newConfigEntry is a config with every default of the interface.
func newConfigEntry() *configEntry {
	return &configEntry{
		Version:                schemaVersion,
		Scopes:                 []string{"User.Read"},
		Environment:            "AzurePublicCloud",
		LoginTTL:               10 * time.Minute,
		RefreshMargin:          10 * time.Minute,
		KeepaliveInterval:      24 * time.Hour,
		KeepaliveMax:           180 * 24 * time.Hour,
		RequestTimeout:         10 * time.Second,
		AccountBinding:         bindFirstLogin,
		BackgroundRefresh:      true,
		MaxConcurrentRefreshes: 8,
		ConfirmCallback:        true,
	}
}

func (b *backend) pathConfig() []*framework.Path {
	return []*framework.Path{{
		Pattern:      configStorageKey,
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		Fields:       configFields(),
		// No existence check: it would turn a value of the wrong type into a 500,
		// and cost a round trip and a read before the ACL.
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback:     b.handleConfigRead,
				Summary:      "Read the app registration; no secret is returned.",
				DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "read", OperationSuffix: "configuration"},
				Responses: map[int][]framework.Response{
					http.StatusOK: {{Description: http.StatusText(http.StatusOK), Fields: configResponseFields()}},
				},
			},
			logical.UpdateOperation: &framework.PathOperation{
				Callback:                    b.handleConfigWrite,
				Summary:                     "Write the app registration. A field that is left out keeps its value.",
				DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "configure"},
				ForwardPerformanceStandby:   true,
				ForwardPerformanceSecondary: true,
				Responses: map[int][]framework.Response{
					http.StatusNoContent: {{Description: http.StatusText(http.StatusNoContent)}},
				},
			},
			logical.DeleteOperation: &framework.PathOperation{
				Callback:                    b.handleConfigDelete,
				Summary:                     "Delete the app registration. Accounts stay, and are served again once it is written back.",
				DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "delete", OperationSuffix: "configuration"},
				ForwardPerformanceStandby:   true,
				ForwardPerformanceSecondary: true,
				Responses: map[int][]framework.Response{
					http.StatusNoContent: {{Description: http.StatusText(http.StatusNoContent)}},
				},
			},
		},
		HelpSynopsis:    "Configure the app registration that people sign in to.",
		HelpDescription: configHelp,
	}}
}

func configFields() map[string]*framework.FieldSchema {
	defaults := newConfigEntry()
	return map[string]*framework.FieldSchema{
		"tenant_id":                {Type: framework.TypeString, Description: "Tenant GUID, verified domain, or organizations, common, consumers. Required unless authority_url is set."},
		"client_id":                {Type: framework.TypeString, Description: "Application (client) ID of the app registration. Required."},
		"client_secret":            {Type: framework.TypeString, Description: `Client secret. Never returned. "" clears it (public client).`, DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
		"client_certificate":       {Type: framework.TypeString, Description: "Certificate credential instead of a secret: one PEM certificate with an RSA key of 2048 bits or more."},
		"client_private_key":       {Type: framework.TypeString, Description: "PEM private key of client_certificate. Never returned.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
		"redirect_uris":            {Type: framework.TypeCommaStringSlice, Description: "Allowed redirect URIs, the first is the default: https, or http on a loopback host. Required."},
		"scopes":                   {Type: framework.TypeCommaStringSlice, Default: defaults.Scopes, Description: "Scopes of token/<account> when the login names none; one resource. openid, profile and offline_access are always added."},
		"environment":              {Type: framework.TypeString, Default: defaults.Environment, Description: "Azure cloud.", AllowedValues: []any{"AzurePublicCloud", "AzureUSGovernmentCloud", "AzureChinaCloud"}},
		"authority_url":            {Type: framework.TypeString, Description: "Authority instead of environment and tenant: External ID, B2C, AD FS, any OpenID provider. https, or http on a loopback host."},
		"issuer":                   {Type: framework.TypeString, Description: "Expected issuer of ID tokens where the provider's discovery document cannot be trusted to say it (B2C)."},
		"authorize_params":         {Type: framework.TypeKVPairs, Description: "Extra parameters of the authorization URL, such as prompt=consent."},
		"client_capabilities":      {Type: framework.TypeCommaStringSlice, Description: "Client capabilities; cp1 asks for tokens with continuous access evaluation."},
		"login_ttl":                {Type: framework.TypeDurationSecond, Default: defaults.LoginTTL.String(), Description: "How long an authorization URL is good for: 1m to 1h."},
		"refresh_margin":           {Type: framework.TypeDurationSecond, Default: defaults.RefreshMargin.String(), Description: "A served token has at least this long to live: 1s or more. For a token that lives shorter than twice this, half its life counts instead."},
		"keepalive_interval":       {Type: framework.TypeDurationSecond, Default: defaults.KeepaliveInterval.String(), Description: "A refresh token unused this long is used once, so that it does not end of inactivity. 0 turns it off."},
		"keepalive_max":            {Type: framework.TypeDurationSecond, Default: defaults.KeepaliveMax.String(), Description: "An account that nobody has read for this long is no longer kept alive. 0 is no limit."},
		"login_max_age":            {Type: framework.TypeDurationSecond, Default: "0s", Description: "This long after its sign-in an account is refreshed no more and must sign in again. 0 turns it off."},
		"account_binding":          {Type: framework.TypeString, Default: defaults.AccountBinding, Description: "Who may sign in to an account that is not pinned yet: anyone (first_login), nobody (pinned), the user whose preferred_username (username) or oid (object_id) is the account's name.", AllowedValues: []any{bindFirstLogin, bindPinned, bindUsername, bindObjectID}},
		"background_refresh":       {Type: framework.TypeBool, Default: defaults.BackgroundRefresh, Description: "Refresh tokens in use ahead of their expiry and keep idle accounts alive."},
		"max_concurrent_refreshes": {Type: framework.TypeInt, Default: defaults.MaxConcurrentRefreshes, Description: "Ceiling for background calls to Entra from this mount: 1 to 256."},
		"confirm_callback":         {Type: framework.TypeBool, Default: defaults.ConfirmCallback, Description: "The browser callback asks the person to confirm before the code is redeemed."},
		"allow_device_code":        {Type: framework.TypeBool, Default: false, Description: "Allow device code sign-in. Microsoft advises blocking it where it is not needed."},
		"ca_pem":                   {Type: framework.TypeString, Description: "PEM certificates trusted for the authority beside the system's."},
		"request_timeout":          {Type: framework.TypeDurationSecond, Default: defaults.RequestTimeout.String(), Description: "Time limit of one call to Entra: 1s to 60s."},
		"verify":                   {Type: framework.TypeBool, Default: true, Description: "Fetch the authority's discovery document before storing; an unreachable or wrong authority is an error and stores nothing. Not stored."},
	}
}

func configResponseFields() map[string]*framework.FieldSchema {
	fields := configFields()
	delete(fields, "client_secret")
	delete(fields, "client_private_key")
	delete(fields, "verify")
	for _, f := range fields {
		f.Default = nil
		f.Required = true
	}
	fields["client_auth"] = &framework.FieldSchema{Type: framework.TypeString, Required: true, Description: "How this mount proves who it is: client_secret, client_certificate or none."}
	fields["client_certificate_thumbprint"] = &framework.FieldSchema{Type: framework.TypeString, Required: true, Description: "SHA-1 thumbprint of the certificate, as the portal lists it."}
	fields["client_certificate_expire_time"] = &framework.FieldSchema{Type: framework.TypeString, Required: true, Description: "When the certificate expires, RFC 3339."}
	fields["credential_time"] = &framework.FieldSchema{Type: framework.TypeString, Required: true, Description: "When the credential was last set, RFC 3339."}
	fields["client_error"] = &framework.FieldSchema{Type: framework.TypeMap, Required: true, Description: "What Entra says while it refuses the client itself: code, message, since. Empty otherwise."}
	return fields
}

func (b *backend) handleConfigRead(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	cfg, err := getConfig(ctx, req.Storage)
	if err != nil || cfg == nil {
		return nil, err
	}
	thumbprint, expiry := cfg.certificateStatus()
	resp := &logical.Response{Data: map[string]any{
		"client_certificate":             cfg.Certificate,
		"client_certificate_thumbprint":  thumbprint,
		"client_certificate_expire_time": formatTime(expiry),
		"tenant_id":                      cfg.TenantID,
		"client_id":                      cfg.ClientID,
		"client_auth":                    cfg.clientAuth(),
		"credential_time":                formatTime(cfg.CredentialTime),
		"client_error":                   b.refreshes.clientError(),
		"redirect_uris":                  list(cfg.RedirectURIs),
		"scopes":                         list(cfg.Scopes),
		"environment":                    cfg.Environment,
		"authority_url":                  cfg.AuthorityURL,
		"issuer":                         cfg.Issuer,
		"authorize_params":               pairs(cfg.AuthorizeParams),
		"client_capabilities":            list(cfg.Capabilities),
		"login_ttl":                      seconds(cfg.LoginTTL),
		"refresh_margin":                 seconds(cfg.RefreshMargin),
		"keepalive_interval":             seconds(cfg.KeepaliveInterval),
		"keepalive_max":                  seconds(cfg.KeepaliveMax),
		"login_max_age":                  seconds(cfg.LoginMaxAge),
		"account_binding":                cfg.AccountBinding,
		"background_refresh":             cfg.BackgroundRefresh,
		"max_concurrent_refreshes":       cfg.MaxConcurrentRefreshes,
		"confirm_callback":               cfg.ConfirmCallback,
		"allow_device_code":              cfg.AllowDeviceCode,
		"ca_pem":                         cfg.CAPEM,
		"request_timeout":                seconds(cfg.RequestTimeout),
	}}
	if !expiry.IsZero() && time.Until(expiry) < certificateWarning {
		resp.AddWarning(fmt.Sprintf("client_certificate expires at %s: register a new one at Entra beside it, then write it here", formatTime(expiry)))
	}
	return resp, nil
}

func (b *backend) handleConfigWrite(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	b.configLock.Lock()
	defer b.configLock.Unlock()

	cfg, err := getConfig(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	if cfg == nil {
		cfg = newConfigEntry()
	}
	if err := cfg.apply(d, time.Now()); err != nil {
		return nil, err
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if d.Get("verify").(bool) {
		if err := verifyAuthority(ctx, cfg); err != nil {
			return nil, err
		}
	}
	if err := writeEntry(ctx, req.Storage, configStorageKey, cfg); err != nil {
		return nil, err
	}
	b.registrations.drop()
	b.refreshes.forgetFailures()
	b.worker.rebuild()
	return nil, nil
}

func (b *backend) handleConfigDelete(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	b.configLock.Lock()
	defer b.configLock.Unlock()
	if err := req.Storage.Delete(ctx, configStorageKey); err != nil {
		return nil, fmt.Errorf("delete %s: %w", configStorageKey, err)
	}
	b.registrations.drop()
	b.refreshes.forgetFailures()
	b.worker.rebuild()
	return nil, nil
}

// apply takes over the fields that the request names; the others keep their value.
func (c *configEntry) apply(d *framework.FieldData, now time.Time) error {
	for name, field := range map[string]*string{
		"tenant_id": &c.TenantID, "client_id": &c.ClientID, "environment": &c.Environment,
		"authority_url": &c.AuthorityURL, "issuer": &c.Issuer, "account_binding": &c.AccountBinding, "ca_pem": &c.CAPEM,
	} {
		if v, ok := d.GetOk(name); ok {
			*field = strings.TrimSpace(v.(string))
		}
	}
	for name, field := range map[string]*[]string{
		"redirect_uris": &c.RedirectURIs, "scopes": &c.Scopes, "client_capabilities": &c.Capabilities,
	} {
		if v, ok := d.GetOk(name); ok {
			*field = words(v.([]string))
		}
	}
	for name, field := range map[string]*time.Duration{
		"login_ttl": &c.LoginTTL, "refresh_margin": &c.RefreshMargin, "keepalive_interval": &c.KeepaliveInterval,
		"keepalive_max": &c.KeepaliveMax, "login_max_age": &c.LoginMaxAge, "request_timeout": &c.RequestTimeout,
	} {
		if v, ok := d.GetOk(name); ok {
			*field = time.Duration(v.(int)) * time.Second
		}
	}
	for name, field := range map[string]*bool{
		"background_refresh": &c.BackgroundRefresh, "confirm_callback": &c.ConfirmCallback, "allow_device_code": &c.AllowDeviceCode,
	} {
		if v, ok := d.GetOk(name); ok {
			*field = v.(bool)
		}
	}
	if v, ok := d.GetOk("authorize_params"); ok {
		c.AuthorizeParams = v.(map[string]string)
	}
	if v, ok := d.GetOk("max_concurrent_refreshes"); ok {
		c.MaxConcurrentRefreshes = v.(int)
	}
	return c.applyCredential(d, now)
}

// validate checks the config without any network. Every message names the field.
func (c *configEntry) validate() error {
	if err := c.clientConfig().Validate(); err != nil {
		return invalid("%s", err)
	}
	if len(c.RedirectURIs) == 0 {
		return invalid("redirect_uris: at least one is required")
	}
	for _, uri := range c.RedirectURIs {
		if err := checkRedirectURI(uri); err != nil {
			return invalid("redirect_uris: %s", err)
		}
	}
	if len(c.Scopes) > 0 || c.AuthorityURL == "" {
		if err := entra.CheckScopes(c.Scopes); err != nil {
			return invalid("scopes: %s", err)
		}
	}
	if err := c.validateDurations(); err != nil {
		return err
	}
	if c.MaxConcurrentRefreshes < 1 || c.MaxConcurrentRefreshes > 256 {
		return invalid("max_concurrent_refreshes: must be 1 to 256")
	}
	switch c.AccountBinding {
	case bindFirstLogin, bindPinned, bindObjectID:
	case bindUsername:
		if c.AuthorityURL != "" || slices.Contains([]string{"common", "organizations", "consumers"}, strings.ToLower(c.TenantID)) {
			return invalid("account_binding: username wants one tenant: a tenant_id that is a GUID or a verified domain, and no authority_url")
		}
	default:
		return invalid("account_binding: must be first_login, pinned, username or object_id")
	}
	return nil
}

func (c *configEntry) validateDurations() error {
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
			return invalid("%s: must be at least %s", limit.field, limit.min)
		case limit.value > limit.max:
			return invalid("%s: must be at most %s", limit.field, limit.max)
		}
	}
	return nil
}

// checkRedirectURI holds a redirect URI to what Entra and RFC 8252 section 8.3
// accept: https, or http on a loopback host; absolute and without a fragment.
func checkRedirectURI(uri string) error {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return fmt.Errorf("%q is not a URL", uri)
	case u.Host == "" || u.Fragment != "" || u.User != nil:
		return fmt.Errorf("%q must be absolute, without user and fragment", uri)
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	default:
		return fmt.Errorf("%q must be https, or http on a loopback host", uri)
	}
}

func isLoopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

// redirectURI picks the redirect URI of a login: the first one if none is asked
// for, else the one asked for if it is allowed. A loopback URI that is allowed
// without a port stands for every port, as at Entra (RFC 8252 section 7.3).
func (c *configEntry) redirectURI(asked string) (string, error) {
	if asked == "" {
		return c.RedirectURIs[0], nil
	}
	for _, allowed := range c.RedirectURIs {
		if asked == allowed || sameButPort(asked, allowed) {
			return asked, nil
		}
	}
	return "", invalid("redirect_uri: %q is not among the config's redirect_uris", asked)
}

func sameButPort(asked, allowed string) bool {
	a, errA := url.Parse(asked)
	w, errW := url.Parse(allowed)
	if errA != nil || errW != nil || w.Port() != "" || !isLoopback(w.Hostname()) {
		return false
	}
	a.Host = strings.TrimSuffix(a.Host, ":"+a.Port())
	return a.String() == w.String()
}

// clientConfig is what the protocol needs to know of this config.
func (c *configEntry) clientConfig() entra.Config {
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

// authority says in one string where refresh tokens of this config belong.
func (c *configEntry) authority() string {
	if c.AuthorityURL != "" {
		return strings.TrimSuffix(c.AuthorityURL, "/")
	}
	return c.Environment + "/" + c.TenantID
}

// verifyAuthority fetches the discovery document before anything is stored.
func verifyAuthority(ctx context.Context, cfg *configEntry) error {
	client, err := entra.New(cfg.clientConfig())
	if err != nil {
		return invalid("%s", err)
	}
	defer client.Close()
	err = client.Verify(ctx)
	if err == nil {
		return nil
	}
	field := "tenant_id"
	if cfg.AuthorityURL != "" {
		field = "authority_url"
	}
	f := invalid("%s: the authority could not be verified and nothing was stored: %s (verify=false stores without asking)", field, err)
	var e *entra.Error
	if errors.As(err, &e) && e.NoAnswer() {
		f.word = entraUnavailable
	}
	return f
}

// getConfig reads the stored config, nil if there is none.
func getConfig(ctx context.Context, s logical.Storage) (*configEntry, error) {
	cfg := &configEntry{}
	found, err := readEntry(ctx, s, configStorageKey, cfg)
	if err != nil || !found {
		return nil, err
	}
	return cfg, nil
}

const configHelp = `
The config says which app registration people sign in to and how this mount
uses it. tenant_id (or authority_url), client_id and redirect_uris are required.
Update is partial: a field that is left out keeps its value. A read returns
everything but secrets.

By default a write fetches the authority's discovery document first and stores
nothing if that fails; verify=false stores without asking.

A config change never destroys accounts. Each account remembers the client and
the authority its refresh token belongs to; where they no longer match, it is
login_required with that reason, and works again once the config matches.
`
