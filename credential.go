// SPDX-License-Identifier: MPL-2.0

package main

import (
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"

	"vault-plugin-secrets-entra/internal/entra"
)

// certificateWarning is how long before its expiry a certificate is warned of.
const certificateWarning = 30 * 24 * time.Hour

// clientAuth says how this mount proves who it is.
func (c *configEntry) clientAuth() string {
	switch {
	case c.ClientSecret != "":
		return "client_secret"
	case c.Certificate != "":
		return "client_certificate"
	}
	return "none"
}

// applyCredential: a secret replaces a certificate and the reverse. What is
// written is checked here and not in validate: a certificate that expires later
// must not keep the rest of the config from being written.
func (c *configEntry) applyCredential(d *framework.FieldData, now time.Time) error {
	secret, hasSecret := d.GetOk("client_secret")
	certPEM, hasCert := d.GetOk("client_certificate")
	keyPEM, hasKey := d.GetOk("client_private_key")
	switch {
	case hasCert != hasKey:
		return invalid("client_certificate: goes with client_private_key, and both are written together")
	case hasSecret && hasCert && secret != "" && certPEM != "":
		return invalid("client_secret: stands instead of client_certificate, not beside it")
	case hasCert && (certPEM == "") != (keyPEM == ""):
		return invalid("client_private_key: goes with client_certificate, and both are cleared together")
	}
	if hasSecret {
		c.ClientSecret = entra.Secret(secret.(string))
		c.CredentialTime = now.UTC()
		if secret != "" {
			c.Certificate, c.PrivateKey = "", ""
		}
	}
	if !hasCert {
		return nil
	}
	c.Certificate, c.PrivateKey = strings.TrimSpace(certPEM.(string)), entra.Secret(keyPEM.(string))
	c.CredentialTime = now.UTC()
	if c.Certificate == "" {
		return nil
	}
	c.ClientSecret = ""
	cert, err := entra.ParseCertificate(c.Certificate, c.PrivateKey)
	switch {
	case err != nil:
		return invalid("%s", err)
	case now.After(cert.NotAfter):
		return invalid("client_certificate: expired at %s", formatTime(cert.NotAfter))
	case now.Before(cert.NotBefore):
		return invalid("client_certificate: is not valid before %s", formatTime(cert.NotBefore))
	}
	return nil
}

// certificate is the credential, nil if that is none or something else.
func (c *configEntry) certificate() *entra.Certificate {
	if c.Certificate == "" {
		return nil
	}
	cert, err := entra.ParseCertificate(c.Certificate, c.PrivateKey)
	if err != nil {
		return nil // it was parsed when it was written
	}
	return cert
}

// certificateStatus is what may be shown of the certificate, zero without one.
func (c *configEntry) certificateStatus() (thumbprint string, expiry time.Time) {
	if cert := c.certificate(); cert != nil {
		return cert.Thumbprint, cert.NotAfter
	}
	return "", time.Time{}
}
