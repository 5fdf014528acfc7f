// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// upTime bounds how long a server may take to come up or to change its state.
const upTime = time.Minute

// server is one Vault server: its files, and the process while it runs. Its
// client is logged in as root.
type server struct {
	t   testing.TB
	dir string
	*client

	addr        string // http://127.0.0.1:PORT
	clusterAddr string
	unsealKey   string
	process     *process
}

// newServer starts a single server with file storage and an audit device,
// initialised and unsealed, and mounts the engine at entra/.
func newServer(t testing.TB) *server {
	t.Helper()
	s := configureServer(t, `storage "file" { path = "%s" }`)
	s.start()
	s.initialize()
	s.unseal()
	s.audit()
	s.mount()
	return s
}

// configureServer makes the files of a server. The one %s of storage is the
// directory of its data.
func configureServer(t testing.TB, storage string) *server {
	t.Helper()
	s := &server{
		t:           t,
		dir:         t.TempDir(),
		addr:        fmt.Sprintf("http://127.0.0.1:%d", freePort(t)),
		clusterAddr: fmt.Sprintf("https://127.0.0.1:%d", freePort(t)),
	}
	s.client = &client{t: t, addr: s.addr}
	data := filepath.Join(s.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(storage, data) + fmt.Sprintf(`
listener "tcp" {
  address         = "%s"
  cluster_address = "%s"
  tls_disable     = true
}
api_addr             = "%s"
cluster_addr         = "%s"
plugin_directory     = "%s"
disable_mlock        = true
raw_storage_endpoint = true # the search for leaked secrets has to know them
log_level            = "trace"
`, strings.TrimPrefix(s.addr, "http://"), strings.TrimPrefix(s.clusterAddr, "https://"), s.addr, s.clusterAddr, program(t, "plugins"))
	if err := os.WriteFile(filepath.Join(s.dir, "vault.hcl"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the Vault at %s:\n%s", s.addr, s.logTail())
		}
	})
	return s
}

func (s *server) logFile() string   { return filepath.Join(s.dir, "vault.log") }
func (s *server) auditFile() string { return filepath.Join(s.dir, "audit.log") }
func (s *server) dataDir() string   { return filepath.Join(s.dir, "data") }

// start starts the process and waits until it answers.
func (s *server) start() {
	s.t.Helper()
	s.process = startProcess(s.t, s.logFile(), []string{"HOME=" + s.dir, "VAULT_LOG_LEVEL="},
		program(s.t, "vault"), "server", "-config", filepath.Join(s.dir, "vault.hcl"))
	eventually(s.t, upTime, "Vault comes up", func() error {
		if s.process.ended() {
			s.t.Fatalf("Vault ended:\n%s", s.logTail())
		}
		_, err := s.health()
		return err
	})
}

// health is the status code of sys/health: 200 active, 429 standby, 501 not
// initialised, 503 sealed.
func (s *server) health() (int, error) {
	resp, err := http.Get(s.addr + "/v1/sys/health")
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}

// awaitHealth waits until the server is in one of the states.
func (s *server) awaitHealth(want ...int) {
	s.t.Helper()
	eventually(s.t, upTime, fmt.Sprintf("health %v", want), func() error {
		got, err := s.health()
		for _, code := range want {
			if err == nil && got == code {
				return nil
			}
		}
		return fmt.Errorf("health is %d, %v", got, err)
	})
}

func (s *server) initialize() {
	s.t.Helper()
	var keys struct {
		Keys      []string `json:"keys_base64"`
		RootToken string   `json:"root_token"`
	}
	s.put("sys/init", map[string]any{"secret_shares": 1, "secret_threshold": 1}).want(200).into(&keys)
	s.unsealKey, s.token = keys.Keys[0], keys.RootToken
}

// unseal unseals the server and waits until it is active or standby.
func (s *server) unseal() {
	s.t.Helper()
	s.put("sys/unseal", map[string]any{"key": s.unsealKey}).want(200)
	s.awaitHealth(200, 429)
}

func (s *server) seal() {
	s.t.Helper()
	s.put("sys/seal", nil).want(204)
	s.awaitHealth(503)
}

// audit enables the file audit device as operators do: secrets are hashed in it.
func (s *server) audit() {
	s.t.Helper()
	s.put("sys/audit/file", map[string]any{
		"type":    "file",
		"options": map[string]string{"file_path": s.auditFile(), "log_raw": "false"},
	}).want(204)
}

// mount registers the plugin by checksum and version and mounts it at entra/.
func (s *server) mount() {
	s.t.Helper()
	s.register(pluginName, pluginVersion)
	s.put("sys/mounts/entra", map[string]any{
		"type": pluginName,
		"config": map[string]any{
			"plugin_version":           pluginVersion,
			"allowed_response_headers": []string{"Content-Security-Policy", "X-Frame-Options", "Referrer-Policy"},
		},
	}).want(204)
}

// register makes a version of the plugin known to Vault, by its checksum.
func (s *server) register(name, version string) {
	s.t.Helper()
	sum, err := checksum(program(s.t, filepath.Join("plugins", name)))
	if err != nil {
		s.t.Fatal(err)
	}
	s.put("sys/plugins/catalog/secret/"+pluginName, map[string]any{
		"command": name, "sha256": sum, "version": version,
	}).want(204)
}

// reloadPlugin ends the plugin's process and starts it anew.
func (s *server) reloadPlugin() {
	s.t.Helper()
	s.put("sys/plugins/reload/backend", map[string]any{"plugin": pluginName}).want(200)
}

// stop ends the process as an operator does.
func (s *server) stop() {
	s.t.Helper()
	s.process.signal(s.t, syscall.SIGTERM)
	if !s.process.wait(upTime) {
		s.t.Fatalf("Vault does not end:\n%s", s.logTail())
	}
}

// kill ends the process as a crash does.
func (s *server) kill() {
	s.t.Helper()
	s.process.signal(s.t, syscall.SIGKILL)
	<-s.process.done
}

// startAgain brings a server that was stopped or killed back into service.
func (s *server) startAgain() {
	s.t.Helper()
	s.start()
	s.unseal()
}

// logTail is the end of the server's log without what is traced.
func (s *server) logTail() string {
	content, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	lines := slices.DeleteFunc(strings.Split(string(content), "\n"), func(line string) bool {
		return strings.Contains(line, "[TRACE]") || strings.HasPrefix(line, "{") // an audit record
	})
	const tail = 40
	return strings.Join(lines[max(0, len(lines)-tail):], "\n")
}
