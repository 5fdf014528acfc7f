// SPDX-License-Identifier: MPL-2.0

package readers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// readers are all that run here.
func readers() []*reader {
	return slices.Concat(askers(), operators(), []*reader{
		{name: "Vault Agent, a file", version: vaultVersion, start: agentFile, byTTL: true,
			says: absent("no secret exists at")},
		{name: "Vault Agent, an environment", version: vaultVersion, start: agentEnvironment,
			says: absent("no secret exists at")},
		{name: "Vault Proxy", version: vaultVersion, start: proxy},
		{name: "consul-template", version: moduleVersion("e2e/consul-template",
			"github.com/hashicorp/consul-template"), start: consulTemplate, byTTL: true,
			says: absent("no secret exists at")},
	})
}

// absent is what the log of a reader says that does not show the text of a 404.
func absent(words string) map[string]string {
	return map[string]string{"deleted account": words}
}

// vaultVersion is that of the vault program.
func vaultVersion(t testing.TB) string {
	t.Helper()
	return says(harness.Program(t, "vault"), "version")(t)
}

// number is a version in what a program says of itself.
var number = regexp.MustCompile(`\d+(\.\d+)+`)

// says is the version that a command prints.
func says(program string, args ...string) func(t testing.TB) string {
	return func(t testing.TB) string {
		t.Helper()
		out, err := exec.Command(program, args...).Output()
		version := number.FindString(string(out))
		if err != nil || version == "" {
			t.Fatalf("%s %s: %v: %s", program, args, err, out)
		}
		return version
	}
}

// moduleVersion is the version of a Go module in the go.mod of a folder.
func moduleVersion(folder, module string) func(t testing.TB) string {
	return func(t testing.TB) string {
		t.Helper()
		content, err := os.ReadFile(harness.Path(folder, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(content)) {
			fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
			if len(fields) > 1 && fields[0] == module {
				return strings.TrimPrefix(fields[1], "v")
			}
		}
		t.Fatalf("%s/go.mod does not require %s", folder, module)
		return ""
	}
}

func agentFile(s *seat) *harness.Process {
	config := s.recipe("vault-agent/file.hcl", recipeVault, s.e.Addr,
		"/etc/vault-agent/token", s.tokenFile(), "/run/entra/graph", s.file)
	return harness.StartProcess(s.t, s.log, nil, harness.Program(s.t, "vault"), "agent",
		"-config="+config)
}

// agentEnvironment runs a program that writes down the token that it was given.
func agentEnvironment(s *seat) *harness.Process {
	report := filepath.Join(s.dir, "report")
	script := fmt.Sprintf(`#!/bin/sh
printf '%%s %%s' "$GRAPH_TOKEN" "$GRAPH_TOKEN_EXPIRES" >%s.new && mv %[1]s.new %[1]s
exec sleep 600
`, s.file)
	if err := os.WriteFile(report, []byte(script), 0o700); err != nil {
		s.t.Fatal(err)
	}
	config := s.recipe("vault-agent/environment.hcl", recipeVault, s.e.Addr,
		"/etc/vault-agent/token", s.tokenFile(), "/usr/local/bin/report", report)
	return harness.StartProcess(s.t, s.log, nil, harness.Program(s.t, "vault"), "agent",
		"-config="+config)
}

// proxy runs Vault Proxy, and beside it a program that knows no token of Vault's.
func proxy(s *seat) *harness.Process {
	address := fmt.Sprintf("127.0.0.1:%d", harness.FreePort(s.t))
	config := s.recipe("vault-proxy/proxy.hcl", recipeVault, s.e.Addr,
		"/etc/vault-proxy/token", s.tokenFile(), "127.0.0.1:8100", address)
	process := harness.StartProcess(s.t, s.log, nil, harness.Program(s.t, "vault"), "proxy",
		"-config="+config)
	asked(2*time.Second, false, func(s *seat) *exec.Cmd {
		cmd := exec.Command("sh", s.recipe("shell/me.sh"))
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "VAULT_ADDR=http://" + address,
			"GRAPH=" + s.graph.address(s),
		}
		return cmd
	})(s)
	return process
}

func consulTemplate(s *seat) *harness.Process {
	config := s.recipe("consul-template/file.hcl", recipeVault, s.e.Addr,
		"/run/entra/graph", s.file)
	return harness.StartProcess(s.t, s.log, []string{"VAULT_TOKEN=" + s.e.Token},
		harness.Program(s.t, "consul-template"), "-config="+config)
}
