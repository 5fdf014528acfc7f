// SPDX-License-Identifier: MPL-2.0

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/internal/entratest"
)

// certificateFor is a self-signed certificate with its key, as PEM.
func certificateFor(t *testing.T, key crypto.Signer, from, until time.Time) (certPEM, keyPEM string) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "vault"}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func rsaKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestCertificateCredential: with a certificate, login and refresh prove who the
// client is by an assertion, a new one each time.
func TestCertificateCredential(t *testing.T) {
	t.Parallel()
	now := time.Now()
	key := rsaKey(t, 2048)
	cert, private := certificateFor(t, key, now.Add(-time.Hour), now.Add(60*24*time.Hour))
	pkcs1 := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	for name, private := range map[string]string{"PKCS #8": private, "PKCS #1": pkcs1} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t, entratest.Options{LogSecrets: true})
			if err := m.sim.UpdateApp(m.sim.App.ClientID, func(app *entratest.App) { app.Certificates, app.Secrets = []string{cert}, nil }); err != nil {
				t.Fatal(err)
			}
			config := m.config(map[string]any{"client_certificate": cert, "client_private_key": private})
			delete(config, "client_secret")
			m.mustWrite("config", config)
			m.login("alice", "alice")
			m.mustReadDue("alice")
			m.mustReadDue("alice")
			seen := map[string]bool{}
			for _, request := range m.sim.Requests() {
				if request.Endpoint != entratest.Token {
					continue
				}
				assertion := request.Params["client_assertion"]
				if assertion == "" || seen[assertion] || request.Params["client_secret"] != "" {
					t.Errorf("a request without an assertion of its own: %v", request.Params)
				}
				seen[assertion] = true
			}
			if len(seen) != 3 {
				t.Errorf("%d assertions", len(seen))
			}
			resp, err := m.read("config")
			if err != nil || len(resp.Warnings) != 0 {
				t.Fatalf("config: %v, %v", resp, err)
			}
			block, _ := pem.Decode([]byte(cert))
			if want := fmt.Sprintf("%X", sha1.Sum(block.Bytes)); resp.Data["client_certificate_thumbprint"] != want || resp.Data["client_auth"] != "client_certificate" {
				t.Errorf("config reads as %v", resp.Data)
			}
			if strings.Contains(fmt.Sprint(resp.Data), "PRIVATE KEY") {
				t.Error("the key is shown")
			}
		})
	}
}

// TestCredentialReplaces: a secret replaces a certificate, and the reverse.
func TestCredentialReplaces(t *testing.T) {
	t.Parallel()
	now := time.Now()
	m := newConfiguredMount(t, entratest.Options{})
	cert, key := certificateFor(t, rsaKey(t, 2048), now.Add(-time.Hour), now.Add(24*time.Hour))
	m.mustWrite("config", map[string]any{"client_certificate": cert, "client_private_key": key})
	resp, err := m.read("config")
	if err != nil || resp.Data["client_auth"] != "client_certificate" || len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], "client_certificate expires at ") {
		t.Errorf("config reads as %v, %q, %v", resp.Data["client_auth"], resp.Warnings, err)
	}
	m.mustWrite("config", map[string]any{"client_secret": "s"})
	if config := m.mustRead("config"); config["client_auth"] != "client_secret" || config["client_certificate"] != "" {
		t.Errorf("config reads as %v", config)
	}
	m.mustWrite("config", map[string]any{"client_certificate": cert, "client_private_key": key})
	m.mustWrite("config", map[string]any{"client_certificate": "", "client_private_key": ""})
	if config := m.mustRead("config"); config["client_auth"] != "none" {
		t.Errorf("config reads as %v", config["client_auth"])
	}
}

func TestCertificateBadInput(t *testing.T) {
	t.Parallel()
	now := time.Now()
	m := newConfiguredMount(t, entratest.Options{})
	key := rsaKey(t, 2048)
	cert, private := certificateFor(t, key, now.Add(-time.Hour), now.Add(time.Hour))
	_, otherPrivate := certificateFor(t, rsaKey(t, 2048), now, now.Add(time.Hour))
	expired, _ := certificateFor(t, key, now.Add(-2*time.Hour), now.Add(-time.Hour))
	early, _ := certificateFor(t, key, now.Add(time.Hour), now.Add(2*time.Hour))
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecCert, ecPrivate := certificateFor(t, curve, now.Add(-time.Hour), now.Add(time.Hour))
	before := m.mustRead("config")
	for name, test := range map[string]struct {
		fields map[string]any
		text   string
	}{
		"certificate alone":        {map[string]any{"client_certificate": cert}, "client_certificate: "},
		"key alone":                {map[string]any{"client_private_key": private}, "client_certificate: "},
		"beside a secret":          {map[string]any{"client_certificate": cert, "client_private_key": private, "client_secret": "s"}, "client_secret: "},
		"another key":              {map[string]any{"client_certificate": cert, "client_private_key": otherPrivate}, "client_private_key: is not the key"},
		"expired":                  {map[string]any{"client_certificate": expired, "client_private_key": private}, "client_certificate: expired"},
		"not valid yet":            {map[string]any{"client_certificate": early, "client_private_key": private}, "client_certificate: is not valid before"},
		"not RSA":                  {map[string]any{"client_certificate": ecCert, "client_private_key": ecPrivate}, "client_certificate: must hold an RSA key"},
		"not RSA, the key":         {map[string]any{"client_certificate": cert, "client_private_key": ecPrivate}, "client_private_key: must be an RSA key"},
		"a chain":                  {map[string]any{"client_certificate": cert + cert, "client_private_key": private}, "client_certificate: must be one certificate"},
		"no PEM":                   {map[string]any{"client_certificate": "x", "client_private_key": private}, "client_certificate: must be one PEM certificate"},
		"a key for a certificate":  {map[string]any{"client_certificate": private, "client_private_key": private}, "client_certificate: must be one PEM certificate"},
		"a key that is no PEM":     {map[string]any{"client_certificate": cert, "client_private_key": "x"}, "client_private_key: must be a PEM"},
		"an encrypted key":         {map[string]any{"client_certificate": cert, "client_private_key": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"}, "client_private_key: is encrypted"},
		"only one of both cleared": {map[string]any{"client_certificate": "", "client_private_key": private}, "client_private_key: "},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := m.write("config", test.fields)
			wantProblem(t, resp, err, 400, "invalid_request: ", test.text)
			if now := m.mustRead("config"); fmt.Sprint(now) != fmt.Sprint(before) {
				t.Errorf("config became %v", now)
			}
		})
	}
}
