// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// PluginName is the plugin's binary, and its name in Vault's catalog.
const PluginName = "vault-plugin-secrets-entra"

// The versions of the plugin that scripts/e2e-build.sh builds.
const (
	PluginVersion   = "v0.0.1-e2e" // the one under test
	PreviousVersion = "v0.0.0-e2e" // its binary is PluginName with -previous
)

// mount registers the plugin by checksum and version and mounts it at entra/.
func (s *Server) mount() {
	s.T.Helper()
	s.Register(PluginName, PluginVersion)
	s.Put("sys/mounts/entra", map[string]any{
		"type": PluginName,
		"config": map[string]any{
			"plugin_version": PluginVersion,
			"allowed_response_headers": []string{
				"Content-Security-Policy", "X-Frame-Options", "Referrer-Policy",
			},
		},
	}).Want(204)
}

// Register makes a version of the plugin known to Vault, by its checksum.
func (s *Server) Register(name, version string) {
	s.T.Helper()
	s.RegisterWith(name, version)
}

// RegisterWith is Register with variables of the environment, NAME=VALUE each.
func (s *Server) RegisterWith(name, version string, environment ...string) {
	s.T.Helper()
	sum, err := Checksum(Program(s.T, filepath.Join("plugins", name)))
	if err != nil {
		s.T.Fatal(err)
	}
	s.Put("sys/plugins/catalog/secret/"+PluginName, map[string]any{
		"command": name, "sha256": sum, "version": version, "env": environment,
	}).Want(204)
}

// ReloadPlugin ends the plugin's process and starts it anew.
func (s *Server) ReloadPlugin() {
	s.T.Helper()
	s.Put("sys/plugins/reload/backend", map[string]any{"plugin": PluginName}).Want(200)
}

// PluginProcesses are the plugin processes of a server that live: those in its own
// process group, so that no other is ever taken for one.
func (s *Server) PluginProcesses() []int {
	s.T.Helper()
	listed, err := exec.Command("ps", "-A", "-o", "pid=,pgid=,args=").Output()
	if err != nil {
		s.T.Fatal(err)
	}
	var alive []int
	for _, line := range strings.Split(string(listed), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[1] != strconv.Itoa(s.process.cmd.Process.Pid) ||
			filepath.Base(fields[2]) != PluginName {
			continue
		}
		pid, err := strconv.Atoi(fields[0])
		if err != nil {
			s.T.Fatal(err)
		}
		alive = append(alive, pid)
	}
	return alive
}

// KillPlugin ends the plugin's process as a crash does. Vault notices, and starts
// another with the next request: one that was just killed is waited for until it
// serves, since Vault gives a plugin up that dies while it comes up (TestDeadMount).
func (s *Server) KillPlugin() {
	s.T.Helper()
	Eventually(s.T, UpTime, "a plugin process serves, and is killed", func() error {
		if a := s.Get("entra/config"); a.Status != 200 {
			return fmt.Errorf("%s: status %d: %s", a.What, a.Status, a.Body)
		}
		if len(s.KillPluginProcesses()) == 0 {
			return errors.New("no process of the plugin lives")
		}
		return nil
	})
}

// KillPluginProcesses ends the plugin's processes, whether they serve or not yet, and
// says which.
func (s *Server) KillPluginProcesses() []int {
	s.T.Helper()
	var killed []int
	for _, pid := range s.PluginProcesses() {
		if err := syscall.Kill(pid, syscall.SIGKILL); err == nil {
			killed = append(killed, pid)
		}
	}
	return killed
}
