// SPDX-License-Identifier: MPL-2.0

package signin

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// certificateUntil is a self-signed certificate with its key, as PEM.
func certificateUntil(t testing.TB, until time.Time) (certPEM, keyPEM string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "vault"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// A certificate instead of a secret: the same checks of the simulator that accept
// MSAL's assertions accept the engine's. A read warns before it expires.
func TestCertificateCredential(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)
	cert, key := certificateUntil(t, time.Now().Add(20*24*time.Hour))
	var app object
	e.Sim.Control("apps", object{
		"client_id": e.Sim.ClientID, "name": "Vault", "multi_tenant": true,
		"certificates":  []string{cert},
		"redirect_uris": []object{{"uri": e.CallbackURL(), "platform": "web"}},
	}, &app)
	e.Put("entra/config", object{"client_certificate": cert, "client_private_key": key}).Want(204)
	e.SignIn("alice", "alice")
	e.Put("entra/refresh/alice", nil).Want(200)
	config := e.Get("entra/config").Want(200)
	if config.Text("client_auth") != "client_certificate" ||
		config.Text("client_certificate_thumbprint") == "" || len(config.Warnings) != 1 {
		t.Errorf("the config is %s", config.Body)
	}
	other, _ := certificateUntil(t, time.Now().Add(time.Hour))
	e.Put("entra/config", object{
		"client_certificate": other, "client_private_key": key,
	}).WantError(400, "invalid_request: client_private_key: ")
}
