// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
)

func selfSigned(t *testing.T, key crypto.Signer) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(7),
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func pkcs8(t *testing.T, key any) Secret {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return Secret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// TestParseCertificate checks that what is refused names the field, and repeats nothing of a key.
func TestParseCertificate(t *testing.T) {
	key, other := signingKeys()[0], signingKeys()[1]
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good, goodKey := selfSigned(t, key), pkcs8(t, key)
	block := func(kind, content string) string {
		return "-----BEGIN " + kind + "-----\n" + content + "\n-----END " + kind + "-----\n"
	}
	for name, test := range map[string]struct {
		cert  string
		key   Secret
		field string // "" = good
	}{
		"PKCS #8": {good, goodKey, ""},
		"PKCS #1": {"\n" + good,
			Secret(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY",
				Bytes: x509.MarshalPKCS1PrivateKey(key)})), ""},
		"no certificate":       {"", goodKey, "client_certificate"},
		"a key as certificate": {goodKey.Reveal(), goodKey, "client_certificate"},
		"a chain":              {good + good, goodKey, "client_certificate"},
		"bytes":                {block("CERTIFICATE", "AAAA"), goodKey, "client_certificate"},
		"of an elliptic curve": {selfSigned(t, curve), pkcs8(t, curve), "client_certificate"},
		"of 1024 bits":         {selfSigned(t, small), pkcs8(t, small), "client_certificate"},
		"no key":               {good, "", "client_private_key"},
		"a key of bytes": {good, Secret(block("PRIVATE KEY", "AAAA")),
			"client_private_key"},
		"another key":           {good, pkcs8(t, other), "client_private_key"},
		"a key of another kind": {good, pkcs8(t, curve), "client_private_key"},
		"an encrypted key": {good, Secret(block("ENCRYPTED PRIVATE KEY", "AAAA")),
			"client_private_key"},
		"encrypted, the old way": {good,
			Secret(block("RSA PRIVATE KEY",
				"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA")), "client_private_key"},
		"a certificate as key": {good, Secret(good), "client_private_key"},
	} {
		t.Run(name, func(t *testing.T) {
			cert, err := ParseCertificate(test.cert, test.key)
			if test.field == "" {
				if err != nil || len(cert.Thumbprint) != 40 ||
					cert.Thumbprint != strings.ToUpper(cert.Thumbprint) ||
					!cert.NotBefore.Before(cert.NotAfter) {
					t.Errorf("read as %v, %v", cert, err)
				}
				return
			}
			var field *FieldError
			if !errors.As(err, &field) || field.Field != test.field || cert != nil {
				t.Fatalf("answered %v, %v", cert, err)
			}
			for _, line := range strings.Split(test.key.Reveal(), "\n") {
				if len(line) > 20 && !strings.HasPrefix(line, "-----") &&
					strings.Contains(err.Error(), line) {
					t.Errorf("the key is repeated: %v", err)
				}
			}
		})
	}
}
