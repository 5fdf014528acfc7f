// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// Kubernetes is an API server of Kubernetes on an etcd of its own, with nothing behind it: no
// controllers of its own, no scheduler, no node. A Deployment there is what somebody has
// written down, and whoever may speak to it may do everything.
type Kubernetes struct {
	t      testing.TB
	addr   string // https://127.0.0.1:PORT
	token  string
	client *http.Client

	Config string // a kubeconfig file for programs
}

// NewKubernetes starts both programs, and ends them with the test.
func NewKubernetes(t testing.TB) *Kubernetes {
	t.Helper()
	dir := t.TempDir()
	port := FreePort(t)
	k := &Kubernetes{
		t: t, addr: fmt.Sprintf("https://127.0.0.1:%d", port), token: "operators-token",
		Config: filepath.Join(dir, "kubeconfig"),
	}
	signer, tokens := filepath.Join(dir, "signer.pem"), filepath.Join(dir, "tokens.csv")
	k.write(signer, signingKey(t))
	k.write(tokens, []byte(k.token+",operator,operator,system:masters\n"))
	log := filepath.Join(dir, "kube-apiserver.log")
	server := StartProcess(t, log, nil, Program(t, "kube-apiserver"),
		"--etcd-servers="+startEtcd(t, dir), "--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port), "--cert-dir="+dir,
		"--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/24",
		"--token-auth-file="+tokens, "--authorization-mode=AlwaysAllow",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+signer, "--service-account-signing-key-file="+signer)
	certificate := filepath.Join(dir, "apiserver.crt") // it makes one for itself
	Eventually(t, UpTime, "Kubernetes is ready", func() error {
		if server.Ended() {
			t.Fatalf("kube-apiserver has ended:\n%s", k.read(log))
		}
		pem, err := os.ReadFile(certificate)
		roots := x509.NewCertPool()
		if err != nil || !roots.AppendCertsFromPEM(pem) {
			return errors.New("it has no certificate yet")
		}
		k.client = &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots},
		}}
		status, body, err := k.call(http.MethodGet, "/readyz", nil)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%d: %s", status, body)
		}
		return err
	})
	k.writeConfig(certificate)
	return k
}

// startEtcd returns the address of an etcd, which keeps its data in a folder of dir.
func startEtcd(t testing.TB, dir string) string {
	t.Helper()
	clients := fmt.Sprintf("http://127.0.0.1:%d", FreePort(t))
	peers := fmt.Sprintf("http://127.0.0.1:%d", FreePort(t))
	StartProcess(t, filepath.Join(dir, "etcd.log"), nil, Program(t, "etcd"),
		"--data-dir="+filepath.Join(dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls="+clients, "--advertise-client-urls="+clients,
		"--listen-peer-urls="+peers, "--initial-advertise-peer-urls="+peers,
		"--initial-cluster=default="+peers)
	return clients
}

// signingKey is a key for the tokens of service accounts, which nobody has here.
func signingKey(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

// writeConfig writes the kubeconfig.
func (k *Kubernetes) writeConfig(certificate string) {
	k.t.Helper()
	config, err := json.Marshal(object{
		"apiVersion": "v1", "kind": "Config", "current-context": "test",
		"clusters": []object{{"name": "test", "cluster": object{
			"server": k.addr, "certificate-authority": certificate,
		}}},
		"users":    []object{{"name": "test", "user": object{"token": k.token}}},
		"contexts": []object{{"name": "test", "context": object{"cluster": "test", "user": "test"}}},
	})
	if err != nil {
		k.t.Fatal(err)
	}
	k.write(k.Config, config)
}

func (k *Kubernetes) write(file string, content []byte) {
	k.t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		k.t.Fatal(err)
	}
}

func (k *Kubernetes) read(file string) []byte {
	k.t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		k.t.Fatal(err)
	}
	return content
}
