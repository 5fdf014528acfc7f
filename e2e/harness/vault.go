// SPDX-License-Identifier: MPL-2.0

package harness

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

// UpTime bounds how long a server may take to come up or to change its state.
const UpTime = time.Minute

// Server is one Vault server: its files, and the process while it runs. Its
// client is logged in as root.
type Server struct {
	T   testing.TB
	dir string
	*Client

	Addr        string // http://127.0.0.1:PORT
	clusterAddr string
	unsealKey   string
	process     *Process
}

// NewServer starts a single server with file storage and an audit device,
// initialised and unsealed, and mounts the engine at entra/.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s := configureServer(t, `storage "file" { path = "%s" }`)
	s.start()
	s.initialize()
	s.Unseal()
	s.audit()
	s.mount()
	return s
}

// configureServer makes the files of a server. The one %s of storage is the
// directory of its data.
func configureServer(t testing.TB, storage string) *Server {
	t.Helper()
	s := &Server{
		T:           t,
		dir:         t.TempDir(),
		Addr:        fmt.Sprintf("http://127.0.0.1:%d", FreePort(t)),
		clusterAddr: fmt.Sprintf("https://127.0.0.1:%d", FreePort(t)),
	}
	s.Client = &Client{T: t, Addr: s.Addr}
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
`, strings.TrimPrefix(s.Addr, "http://"), strings.TrimPrefix(s.clusterAddr, "https://"), s.Addr,
		s.clusterAddr, Program(t, "plugins"))
	if OpenBao(t) {
		config += "unsafe_allow_api_audit_creation = true # the tests enable it as on Vault\n"
	}
	if err := os.WriteFile(filepath.Join(s.dir, "vault.hcl"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the Vault at %s:\n%s", s.Addr, s.logTail())
		}
	})
	return s
}

// LogFile is where the server and its plugin log.
func (s *Server) LogFile() string { return filepath.Join(s.dir, "vault.log") }

// AuditFile is the audit log.
func (s *Server) AuditFile() string { return filepath.Join(s.dir, "audit.log") }

// DataDir is the storage of a server that keeps it in files.
func (s *Server) DataDir() string { return filepath.Join(s.dir, "data") }

// start starts the process and waits until it answers.
func (s *Server) start() {
	s.T.Helper()
	s.process = StartProcess(s.T, s.LogFile(), []string{"HOME=" + s.dir, "VAULT_LOG_LEVEL="},
		Program(s.T, "vault"), "server", "-config", filepath.Join(s.dir, "vault.hcl"))
	Eventually(s.T, UpTime, "Vault comes up", func() error {
		if s.process.Ended() {
			s.T.Fatalf("Vault ended:\n%s", s.logTail())
		}
		_, err := s.health()
		return err
	})
}

// health is the status code of sys/health: 200 active, 429 standby, 501 not
// initialised, 503 sealed.
func (s *Server) health() (int, error) {
	resp, err := http.Get(s.Addr + "/v1/sys/health")
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}

// awaitHealth waits until the server is in one of the states.
func (s *Server) awaitHealth(want ...int) {
	s.T.Helper()
	Eventually(s.T, UpTime, fmt.Sprintf("health %v", want), func() error {
		got, err := s.health()
		for _, code := range want {
			if err == nil && got == code {
				return nil
			}
		}
		return fmt.Errorf("health is %d, %v", got, err)
	})
}

func (s *Server) initialize() {
	s.T.Helper()
	var keys struct {
		Keys      []string `json:"keys_base64"`
		RootToken string   `json:"root_token"`
	}
	s.Put("sys/init", map[string]any{
		"secret_shares": 1, "secret_threshold": 1,
	}).Want(200).Into(&keys)
	s.unsealKey, s.Token = keys.Keys[0], keys.RootToken
}

// Unseal unseals the server and waits until it is active or standby.
func (s *Server) Unseal() {
	s.T.Helper()
	s.Put("sys/unseal", map[string]any{"key": s.unsealKey}).Want(200)
	s.awaitHealth(200, 429)
}

// Seal seals the server.
func (s *Server) Seal() {
	s.T.Helper()
	s.Put("sys/seal", nil).Want(204)
	s.awaitHealth(503)
}

// audit enables the file audit device as operators do: secrets are hashed in it.
func (s *Server) audit() {
	s.T.Helper()
	s.Put("sys/audit/file", map[string]any{
		"type":    "file",
		"options": map[string]string{"file_path": s.AuditFile(), "log_raw": "false"},
	}).Want(204)
}

// Stop ends the process as an operator does.
func (s *Server) Stop() {
	s.T.Helper()
	s.process.signal(s.T, syscall.SIGTERM)
	if !s.process.wait(UpTime) {
		s.T.Fatalf("Vault does not end:\n%s", s.logTail())
	}
}

// Kill ends the process as a crash does.
func (s *Server) Kill() {
	s.T.Helper()
	s.process.signal(s.T, syscall.SIGKILL)
	<-s.process.done
}

// StartAgain brings a server that was stopped or killed back into service.
func (s *Server) StartAgain() {
	s.T.Helper()
	s.start()
	s.Unseal()
}

// logTail is the end of the server's log without what is traced.
func (s *Server) logTail() string {
	content, err := os.ReadFile(s.LogFile())
	if err != nil {
		return err.Error()
	}
	lines := slices.DeleteFunc(strings.Split(string(content), "\n"), func(line string) bool {
		return strings.Contains(line, "[TRACE]") || strings.HasPrefix(line, "{") // an audit record
	})
	const tail = 40
	return strings.Join(lines[max(0, len(lines)-tail):], "\n")
}
