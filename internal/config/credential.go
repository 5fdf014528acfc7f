// SPDX-License-Identifier: MPL-2.0

package config

import (
	"strings"
	"time"

	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/problem"
)

// Credential is what a config write says of the credential; nil fields are left
// out of it, "" clears.
type Credential struct{ Secret, Certificate, PrivateKey *string }

// ClientAuth says how this mount proves who it is.
func (c *Entry) ClientAuth() string {
	switch {
	case c.ClientSecret != "":
		return "client_secret"
	case c.Certificate != "":
		return "client_certificate"
	}
	return "none"
}

// SetCredential takes over a credential: a secret replaces a certificate and the
// reverse. What is written is checked here and not in Validate: a certificate that
// expires later does not keep the rest of the config from being written.
func (c *Entry) SetCredential(given Credential, now time.Time) error {
	if err := given.check(); err != nil {
		return err
	}
	if given.Secret != nil {
		c.ClientSecret = entra.Secret(*given.Secret)
		c.CredentialTime = now.UTC()
		if *given.Secret != "" {
			c.Certificate, c.PrivateKey = "", ""
		}
	}
	if given.Certificate == nil {
		return nil
	}
	c.Certificate = strings.TrimSpace(*given.Certificate)
	c.PrivateKey = entra.Secret(*given.PrivateKey)
	c.CredentialTime = now.UTC()
	if c.Certificate == "" {
		return nil
	}
	c.ClientSecret = ""
	cert, err := entra.ParseCertificate(c.Certificate, c.PrivateKey)
	switch {
	case err != nil:
		return problem.Invalid("%s", err)
	case now.After(cert.NotAfter):
		expiry := cert.NotAfter.UTC().Format(time.RFC3339)
		return problem.Invalid("client_certificate: expired at %s", expiry)
	case now.Before(cert.NotBefore):
		start := cert.NotBefore.UTC().Format(time.RFC3339)
		return problem.Invalid("client_certificate: is not valid before %s", start)
	}
	return nil
}

// check refuses a write that names halves of a credential, or two of them.
func (g Credential) check() error {
	full := func(s *string) bool { return s != nil && *s != "" }
	switch {
	case (g.Certificate != nil) != (g.PrivateKey != nil):
		return problem.Invalid("client_certificate: goes with client_private_key, " +
			"and both are written together")
	case full(g.Secret) && full(g.Certificate):
		return problem.Invalid("client_secret: stands instead of client_certificate, not beside it")
	case full(g.Certificate) != full(g.PrivateKey):
		return problem.Invalid("client_private_key: goes with client_certificate, " +
			"and both are cleared together")
	}
	return nil
}

// certificate is the credential, nil if that is none or something else.
func (c *Entry) certificate() *entra.Certificate {
	if c.Certificate == "" {
		return nil
	}
	cert, err := entra.ParseCertificate(c.Certificate, c.PrivateKey)
	if err != nil {
		return nil // it was parsed when it was written
	}
	return cert
}

// CertificateStatus is what may be shown of the certificate, zero without one.
func (c *Entry) CertificateStatus() (thumbprint string, expiry time.Time) {
	if cert := c.certificate(); cert != nil {
		return cert.Thumbprint, cert.NotAfter
	}
	return "", time.Time{}
}
