// SPDX-License-Identifier: MPL-2.0

package commandline

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker-credential-helpers/client"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd/api"

	"vault-plugin-secrets-entra/e2e/harness"
)

// service is a server behind TLS that lets those in who have an access token. It has a name for
// each resource, so that a caller's setting can tell them apart.
type service struct {
	port   string
	caFile string
	active func(token string) bool // set before it is asked

	mu   sync.Mutex
	last string // the token that came last
}

// hostOf is the name for each resource.
var hostOf = map[string]string{graph: "localhost", arm: "127.0.0.1"}

// newService starts a server with a certificate of its own for both names.
func newService(t testing.TB, handler http.Handler) *service {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a service"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{caFile: filepath.Join(t.TempDir(), "ca.pem")}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(s.caFile, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, s.port, _ = net.SplitHostPort(server.Listener.Addr().String())
	return s
}

// blocks are the service's in a map.
func (s *service) blocks(kind string) string {
	var blocks strings.Builder
	for resource, host := range hostOf {
		fmt.Fprintf(&blocks, "%s %q { role = %q }\n", kind, host+":"+s.port, roleOf[resource])
	}
	return blocks.String()
}

func (s *service) address(resource string) string { return hostOf[resource] + ":" + s.port }

// lets reports whether a token lets its bearer in, and remembers it.
func (s *service) lets(token string) bool {
	s.mu.Lock()
	s.last = token
	s.mu.Unlock()
	return token != "" && s.active(token)
}

// taken is the token that came last, and forgets it.
func (s *service) taken() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := s.last
	s.last = ""
	return token
}

// newGitServer is git's own smart HTTP server with one repository, behind Basic authentication with
// a token as the password, as Azure DevOps has it.
func newGitServer(t *testing.T) *service {
	t.Helper()
	root := t.TempDir()
	git := func(dir string, args ...string) string {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_AUTHOR_NAME=a",
			"GIT_AUTHOR_EMAIL=a@contoso.example", "GIT_COMMITTER_NAME=a",
			"GIT_COMMITTER_EMAIL=a@contoso.example")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	work := t.TempDir()
	git(work, "init", "-q")
	git(work, "commit", "-q", "--allow-empty", "-m", "first")
	git(root, "clone", "-q", "--bare", work, "tools.git")
	backend := &cgi.Handler{
		Path: filepath.Join(git(root, "--exec-path"), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1"},
	}
	var s *service
	s = newService(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); !s.lets(password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="Azure DevOps"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	return s
}

// gitCaller is git, which clones with the helper named vault-entra.
func (s *setUp) gitCaller(server *service) *caller {
	s.T.Helper()
	version, err := exec.Command("git", "version").Output()
	if err != nil {
		s.T.Fatal(err)
	}
	return &caller{
		name: "git clone", version: strings.TrimPrefix(strings.TrimSpace(string(version)), "git version "),
		ask: func(resource string) (string, error) {
			cmd := exec.Command("git", "-c", "credential.helper=vault-entra", "clone", "-q",
				"https://"+server.address(resource)+"/tools.git", filepath.Join(s.T.TempDir(), "tools"))
			cmd.Env = append(s.environment, "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_TERMINAL_PROMPT=0",
				"GIT_CONFIG_NOSYSTEM=1", "GIT_SSL_CAINFO="+server.caFile)
			if code, out, said := harness.Ends(s.T, cmd); code != 0 {
				return "", fmt.Errorf("exit %d: %s%s", code, out, said)
			}
			return server.taken(), nil
		},
	}
}

// newRegistry is Azure Container Registry's exchange. Its refresh token tells what it was made of.
func newRegistry(t *testing.T) *service {
	t.Helper()
	var s *service
	s = newService(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/oauth2/exchange" ||
			r.PostFormValue("grant_type") != "access_token" || r.PostFormValue("service") != r.Host ||
			r.PostFormValue("tenant") == "" || !s.lets(r.PostFormValue("access_token")) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		// a caller that has left sees nothing
		_ = json.NewEncoder(w).Encode(object{"refresh_token": "acr:" + r.PostFormValue("access_token")})
	}))
	return s
}

// dockerCaller is docker's own package for helpers, as docker calls it.
func (s *setUp) dockerCaller(server *service) *caller {
	s.T.Helper()
	return &caller{
		name: "docker-credential-helpers client", version: moduleVersion(s.T,
			"github.com/docker/docker-credential-helpers"),
		ask: func(resource string) (string, error) {
			environment := map[string]string{"SSL_CERT_FILE": server.caFile}
			program := ""
			for _, setting := range s.environment {
				name, value, _ := strings.Cut(setting, "=")
				environment[name] = value
				if name == "PATH" {
					links, _, _ := strings.Cut(value, ":")
					program = filepath.Join(links, "docker-credential-vault-entra")
				}
			}
			got, err := client.Get(client.NewShellProgramFuncWithEnv(program, &environment),
				"https://"+server.address(resource))
			if err != nil {
				return "", err
			}
			if got.Username != "00000000-0000-0000-0000-000000000000" {
				return "", fmt.Errorf("the username is %q", got.Username)
			}
			return strings.TrimPrefix(got.Secret, "acr:"), nil
		},
	}
}

// newCluster is an API server of Kubernetes', which takes bearer tokens.
func newCluster(t *testing.T) *service {
	t.Helper()
	var s *service
	s = newService(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !bearer || !s.lets(token) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, token) // a caller that has left sees nothing
	}))
	return s
}

// kubernetesCaller is client-go, with the plugin of a kubeconfig. One client lives as long as the
// test, and has to ask for a token anew by itself.
func (s *setUp) kubernetesCaller(server *service) *caller {
	s.T.Helper()
	clients := map[string]*http.Client{}
	for resource := range hostOf {
		plugin := &api.ExecConfig{
			APIVersion: "client.authentication.k8s.io/v1",
			Command:    harness.Program(s.T, "vault-entra"),
			Args:       []string{"kubectl-credential", "-resource", resource},

			InteractiveMode: api.NeverExecInteractiveMode,
		}
		for _, setting := range s.environment {
			name, value, _ := strings.Cut(setting, "=")
			plugin.Env = append(plugin.Env, api.ExecEnvVar{Name: name, Value: value})
		}
		config := &rest.Config{
			Host:            "https://" + server.address(resource),
			TLSClientConfig: rest.TLSClientConfig{CAFile: server.caFile}, ExecProvider: plugin,
		}
		var err error
		if clients[resource], err = rest.HTTPClientFor(config); err != nil {
			s.T.Fatal(err)
		}
	}
	return &caller{
		name: "client-go exec plugin", version: moduleVersion(s.T, "k8s.io/client-go"),
		ask: func(resource string) (string, error) {
			resp, err := clients[resource].Get("https://" + server.address(resource) + "/api")
			if err != nil {
				// What the plugin says goes to standard error; client-go tells its exit code.
				for code, says := range map[string]string{"code 3": "vault-entra login", "code 4": "sealed"} {
					if strings.Contains(err.Error(), "failed with exit "+code) {
						return "", errors.New(err.Error() + ": " + says)
					}
				}
				return "", err
			}
			defer resp.Body.Close()
			content, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != http.StatusOK {
				return "", fmt.Errorf("status %d, %v", resp.StatusCode, err)
			}
			return string(content), nil
		},
	}
}

// moduleVersion is the version of a module that this test is built with.
func moduleVersion(t testing.TB, path string) string {
	t.Helper()
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Version}}", path)
	cmd.Dir = harness.Path("e2e")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v", cmd.Args, err)
	}
	return strings.TrimSpace(string(out))
}
