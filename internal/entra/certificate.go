// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	// RFC 7523 section 2.2
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// Microsoft: "recommended to be five to ten minutes"
	assertionLifetime = 10 * time.Minute
	minRSABits        = 2048
)

// Certificate is what a client proves its identity with instead of a secret (private_key_jwt).
type Certificate struct {
	Thumbprint string    // SHA-1 in upper-case hex, as the portal lists it
	NotBefore  time.Time // UTC
	NotAfter   time.Time // UTC

	key     *rsa.PrivateKey
	x5t     string // base64url SHA-256 of the certificate
	x5tSHA1 string // base64url SHA-1 of it
}

// ParseCertificate reads one PEM certificate and its PEM private key: RSA of 2048 bits or more, in
// PKCS #1 or PKCS #8, not encrypted. Whether it is still valid is the caller's to decide. An error
// is a *FieldError.
func ParseCertificate(certPEM string, keyPEM Secret) (*Certificate, error) {
	block, rest := pem.Decode([]byte(strings.TrimSpace(certPEM)))
	switch {
	case block == nil || block.Type != "CERTIFICATE":
		return nil, &FieldError{"client_certificate", "must be one PEM certificate"}
	case strings.TrimSpace(string(rest)) != "":
		return nil, &FieldError{
			"client_certificate",
			"must be one certificate and nothing else: leave out the chain, Entra knows the " +
				"certificate itself",
		}
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, &FieldError{"client_certificate", "cannot be parsed as a certificate"}
	}
	public, isRSA := leaf.PublicKey.(*rsa.PublicKey)
	if !isRSA || public.N.BitLen() < minRSABits {
		return nil, &FieldError{"client_certificate", "must hold an RSA key of 2048 bits or more"}
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(public) {
		return nil, &FieldError{"client_private_key", "is not the key of client_certificate"}
	}
	digest, name := sha256.Sum256(leaf.Raw), sha1.Sum(leaf.Raw)
	return &Certificate{
		Thumbprint: strings.ToUpper(hex.EncodeToString(name[:])),
		NotBefore:  leaf.NotBefore.UTC(),
		NotAfter:   leaf.NotAfter.UTC(),
		key:        key,
		x5t:        base64.RawURLEncoding.EncodeToString(digest[:]),
		x5tSHA1:    base64.RawURLEncoding.EncodeToString(name[:]),
	}, nil
}

func parseKey(keyPEM Secret) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(strings.TrimSpace(keyPEM.Reveal())))
	if block == nil {
		return nil, &FieldError{"client_private_key", "must be a PEM private key"}
	}
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
		return nil, &FieldError{"client_private_key",
			"is encrypted: write it in plain, Vault encrypts what it stores"}
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, &FieldError{"client_private_key",
			"cannot be parsed as a PKCS #1 or PKCS #8 private key"}
	}
	ofRSA, isRSA := key.(*rsa.PrivateKey)
	if !isRSA {
		return nil, &FieldError{"client_private_key", "must be an RSA key"}
	}
	return ofRSA, nil
}

// assertion is a new proof for one request to the token endpoint: at Entra PS256 over a JWT that
// names the certificate by its SHA-256 ("Microsoft identity platform application authentication
// certificate credentials"), elsewhere as algorithm says. RS256 goes with the SHA-1 name, for AD FS
// and other providers know no other.
func (c *Certificate) assertion(algorithm jose.SignatureAlgorithm, clientID, tokenURL string,
	now time.Time) (Secret, error) {
	name, thumbprint := jose.HeaderKey("x5t#S256"), c.x5t
	if algorithm == jose.RS256 {
		name, thumbprint = "x5t", c.x5tSHA1
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: algorithm, Key: c.key},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader(name, thumbprint),
	)
	if err != nil {
		return "", err
	}
	signed, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer:    clientID,
		Subject:   clientID,
		Audience:  jwt.Audience{tokenURL},
		ID:        newUUID(),
		IssuedAt:  jwt.NewNumericDate(now),
		NotBefore: jwt.NewNumericDate(now),
		Expiry:    jwt.NewNumericDate(now.Add(assertionLifetime)),
	}).Serialize()
	return Secret(signed), err
}

// Format keeps the key out of print.
func (c Certificate) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "entra.Certificate{thumbprint: %s}", c.Thumbprint)
}
