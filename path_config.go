// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/config"
)

const configPath = "config"

// certificateWarning is how long before its expiry a certificate is warned of.
const certificateWarning = 30 * 24 * time.Hour

func (b *backend) pathConfig() []*framework.Path {
	// No existence check: it would turn a value of the wrong type into a 500, and cost a
	// round trip and a read before the ACL.
	return []*framework.Path{path(configPath, configFields(),
		map[logical.Operation]framework.OperationHandler{
			// client_error is in memory on the active node.
			logical.ReadOperation: fromActiveNode(operation(b.handleConfigRead, "read", "configuration",
				"Read the app registration; no secret is returned.", answers(configResponseFields()))),
			logical.UpdateOperation: forwarded(operation(b.handleConfigWrite, "configure", "",
				"Write the app registration. A field that is left out keeps its value.", noContent())),
			logical.DeleteOperation: forwarded(operation(b.handleConfigDelete, "delete", "configuration",
				"Delete the app registration. Accounts stay, and are served again once it is "+
					"written back.", noContent())),
		},
		"Configure the app registration that people sign in to.", configHelp)}
}

// configFields are the fields of a write; storedConfigFields is what a read answers.
func configFields() map[string]*framework.FieldSchema {
	fields := storedConfigFields()
	maps.Copy(fields, map[string]*framework.FieldSchema{
		"client_secret":      secretField(`Client secret. Never returned. "" clears it (public client).`),
		"client_private_key": secretField("PEM private key of client_certificate. Never returned."),
		"verify": field(framework.TypeBool, "Fetch the authority's discovery document before storing; "+
			"an unreachable or wrong authority is an error and stores nothing. Not stored."),
	})
	for name, value := range configDefaults() {
		fields[name].Default = value
	}
	return fields
}

func configDefaults() map[string]any {
	defaults := config.NewEntry()
	return map[string]any{
		"scopes":                   defaults.Scopes,
		"environment":              defaults.Environment,
		"login_ttl":                defaults.LoginTTL.String(),
		"refresh_margin":           defaults.RefreshMargin.String(),
		"keepalive_interval":       defaults.KeepaliveInterval.String(),
		"keepalive_max":            defaults.KeepaliveMax.String(),
		"login_max_age":            "0s",
		"account_binding":          defaults.AccountBinding,
		"background_refresh":       defaults.BackgroundRefresh,
		"max_concurrent_refreshes": defaults.MaxConcurrentRefreshes,
		"cache_size":               defaults.CacheSize,
		"confirm_callback":         defaults.ConfirmCallback,
		"allow_device_code":        false,
		"request_timeout":          defaults.RequestTimeout.String(),
		"verify":                   true,
	}
}

func storedConfigFields() map[string]*framework.FieldSchema {
	fields := map[string]*framework.FieldSchema{
		"tenant_id": field(framework.TypeString, "Tenant GUID, verified domain, or organizations, "+
			"common, consumers. Required unless authority_url is set."),
		"client_id": field(framework.TypeString, "Application (client) ID of the app registration. "+
			"Required."),
		"client_certificate": field(framework.TypeString, "Certificate credential instead of a secret: "+
			"one PEM certificate with an RSA key of 2048 bits or more."),
		"redirect_uris": field(framework.TypeCommaStringSlice, "Allowed redirect URIs, the first is "+
			"the default: https, or http on a loopback host. Required."),
		"scopes": field(framework.TypeCommaStringSlice, "Scopes of token/<account> when the login "+
			"names none; one resource. openid, profile and offline_access are always added. With "+
			"authority_url there are none by default."),
		"environment": field(framework.TypeString, "Azure cloud."),
		"authority_url": field(framework.TypeString, "Authority instead of environment and tenant: "+
			"External ID, B2C, AD FS, any OpenID provider. https, or http on a loopback host."),
		"issuer": field(framework.TypeString, "Expected issuer of ID tokens where the provider's "+
			"discovery document cannot be trusted to say it (B2C)."),
		"authorize_params": field(framework.TypeKVPairs, "Extra parameters of the authorization URL, "+
			"such as prompt=consent."),
		"client_capabilities": field(framework.TypeCommaStringSlice, "Client capabilities; cp1 asks "+
			"for tokens with continuous access evaluation."),
		"login_ttl": field(framework.TypeDurationSecond, "How long an authorization URL is good for: "+
			"1m to 1h."),
		"refresh_margin": field(framework.TypeDurationSecond, "A served token has at least this long "+
			"to live: 1s or more. For a token that lives shorter than twice this, half its life "+
			"counts instead."),
		"keepalive_interval": field(framework.TypeDurationSecond, "A refresh token unused this long "+
			"is used once, so that it does not end of inactivity. 0 turns it off."),
		"keepalive_max": field(framework.TypeDurationSecond, "An account that nobody has read for "+
			"this long is no longer kept alive. 0 is no limit."),
		"login_max_age": field(framework.TypeDurationSecond, "This long after its sign-in an account "+
			"is refreshed no more and must sign in again. 0 turns it off."),
		"account_binding": field(framework.TypeString, "Who may sign in to an account that is not "+
			"pinned yet: anyone (first_login), nobody (pinned), the user whose preferred_username "+
			"(username) or oid (object_id) is the account's name."),
		"background_refresh": field(framework.TypeBool, "Refresh tokens in use ahead of their expiry "+
			"and keep idle accounts alive."),
		"max_concurrent_refreshes": field(framework.TypeInt, "Ceiling for background calls to Entra "+
			"from this mount: 1 to 256. All calls at once, readers' too, are at most 64 more."),
		"cache_size": field(framework.TypeInt, "How many accounts each node keeps in memory, those read "+
			"last: 1 to 1000000, at some 4.5 KiB each. 0 is as many as fit 64 MiB. A read of any other "+
			"costs a read of Vault's storage."),
		"confirm_callback": field(framework.TypeBool, "The browser callback asks the person to "+
			"confirm before the code is redeemed."),
		"allow_device_code": field(framework.TypeBool, "Allow device code sign-in. Microsoft advises "+
			"blocking it where it is not needed."),
		"ca_pem": field(framework.TypeString, "PEM certificates trusted for the authority beside the "+
			"system's."),
		"request_timeout": field(framework.TypeDurationSecond, "Time limit of one call to Entra: "+
			"1s to 60s."),
	}
	fields["environment"].AllowedValues = []any{
		"AzurePublicCloud", "AzureUSGovernmentCloud", "AzureChinaCloud",
		"BleuCloud", "DelosCloud", "GovSGCloud",
	}
	fields["account_binding"].AllowedValues = []any{
		config.BindFirstLogin, config.BindPinned, config.BindUsername, config.BindObjectID,
	}
	return fields
}

func configResponseFields() map[string]*framework.FieldSchema {
	fields := storedConfigFields()
	maps.Copy(fields, map[string]*framework.FieldSchema{
		"client_auth": field(framework.TypeString, "How this mount proves who it is: client_secret, "+
			"client_certificate or none."),
		"client_certificate_thumbprint": field(framework.TypeString, "SHA-1 thumbprint of the "+
			"certificate, as the portal lists it."),
		"client_certificate_expire_time": field(framework.TypeString, "When the certificate expires, "+
			"RFC 3339."),
		"credential_time": field(framework.TypeString, "When the credential was last set, RFC 3339."),
		"client_error": field(framework.TypeMap, "What Entra says while it refuses the client itself: "+
			"code, message, since. Empty otherwise."),
	})
	for _, f := range fields {
		f.Required = true
	}
	return fields
}

func (b *backend) handleConfigRead(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	cfg, err := b.config.Entry(ctx)
	if err != nil || cfg == nil {
		return nil, err
	}
	thumbprint, expiry := cfg.CertificateStatus()
	resp := &logical.Response{Data: map[string]any{
		"client_certificate":             cfg.Certificate,
		"client_certificate_thumbprint":  thumbprint,
		"client_certificate_expire_time": formatTime(expiry),
		"tenant_id":                      cfg.TenantID,
		"client_id":                      cfg.ClientID,
		"client_auth":                    cfg.ClientAuth(),
		"credential_time":                formatTime(cfg.CredentialTime),
		"client_error":                   b.clientErrorStatus(),
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
		"cache_size":                     cfg.CacheSize,
		"confirm_callback":               cfg.ConfirmCallback,
		"allow_device_code":              cfg.AllowDeviceCode,
		"ca_pem":                         cfg.CAPEM,
		"request_timeout":                seconds(cfg.RequestTimeout),
	}}
	if !expiry.IsZero() && time.Until(expiry) < certificateWarning {
		resp.AddWarning(fmt.Sprintf("client_certificate expires at %s: register a new one at Entra "+
			"beside it, then write it here", formatTime(expiry)))
	}
	return resp, nil
}

// clientErrorStatus is what Entra says while it refuses the client; empty otherwise.
func (b *backend) clientErrorStatus() map[string]any {
	failure, since := b.refreshes.ClientError()
	if failure == nil {
		return map[string]any{}
	}
	return map[string]any{
		"code":           failure.EntraCode(),
		"message":        failure.Message,
		"correlation_id": failure.CorrelationID,
		"since":          formatTime(since),
	}
}

func (b *backend) handleConfigWrite(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	var written *config.Entry
	err := b.config.Write(ctx, d.Get("verify").(bool), func(cfg *config.Entry) error {
		written = cfg
		isNew := cfg.ClientID == ""
		applyConfigFields(cfg, d)
		if _, named := d.GetOk("scopes"); isNew && !named && cfg.AuthorityURL != "" {
			cfg.Scopes = []string{} // User.Read is Graph's
		}
		return cfg.SetCredential(config.Credential{
			Secret:      given(d, "client_secret"),
			Certificate: given(d, "client_certificate"),
			PrivateKey:  given(d, "client_private_key"),
		}, time.Now())
	})
	if err != nil {
		return nil, err
	}
	return warning(written.OwnAPIWarning(written.Scopes)), nil
}

func (b *backend) handleConfigDelete(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	return nil, b.config.Delete(ctx)
}

// given is a field's value, nil where the request leaves it out.
func given(d *framework.FieldData, name string) *string {
	v, ok := d.GetOk(name)
	if !ok {
		return nil
	}
	value := v.(string)
	return &value
}

// applyConfigFields takes over the fields that the request names; the others keep their
// value.
func applyConfigFields(c *config.Entry, d *framework.FieldData) {
	for name, field := range map[string]*string{
		"tenant_id": &c.TenantID, "client_id": &c.ClientID, "environment": &c.Environment,
		"authority_url": &c.AuthorityURL, "issuer": &c.Issuer, "account_binding": &c.AccountBinding,
		"ca_pem": &c.CAPEM,
	} {
		if v := given(d, name); v != nil {
			*field = strings.TrimSpace(*v)
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
		"login_ttl": &c.LoginTTL, "refresh_margin": &c.RefreshMargin,
		"keepalive_interval": &c.KeepaliveInterval, "keepalive_max": &c.KeepaliveMax,
		"login_max_age": &c.LoginMaxAge, "request_timeout": &c.RequestTimeout,
	} {
		if v, ok := d.GetOk(name); ok {
			*field = time.Duration(v.(int)) * time.Second
		}
	}
	for name, field := range map[string]*bool{
		"background_refresh": &c.BackgroundRefresh, "confirm_callback": &c.ConfirmCallback,
		"allow_device_code": &c.AllowDeviceCode,
	} {
		if v, ok := d.GetOk(name); ok {
			*field = v.(bool)
		}
	}
	if v, ok := d.GetOk("authorize_params"); ok {
		c.AuthorizeParams = v.(map[string]string)
	}
	for name, field := range map[string]*int{
		"max_concurrent_refreshes": &c.MaxConcurrentRefreshes, "cache_size": &c.CacheSize,
	} {
		if v, ok := d.GetOk(name); ok {
			*field = v.(int)
		}
	}
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
