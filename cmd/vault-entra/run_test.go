// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaulttest"
)

// children are the programs that the test binary can be.
var children = map[string]func(args []string) int{
	// The program itself. What it starts is the child that envNext names.
	"vault-entra": func(args []string) int {
		if next := os.Getenv(envNext); next != "" {
			os.Setenv(envChild, next)
		}
		return start(append([]string{program}, args[1:]...), streams{os.Stdin, os.Stdout, os.Stderr})
	},
	// Prints the tokens of the resources in its arguments, by App Service's protocol.
	"client": func(args []string) int {
		for _, resource := range args[1:] {
			status, body, err := askIdentity(resource)
			if err != nil {
				fmt.Println(err)
				return 1
			}
			fmt.Printf("%d %s%s\n", status, body["access_token"], body["error_description"])
		}
		return 0
	},
	// Prints its environment and its standard input.
	"environment": func([]string) int {
		fmt.Println(strings.Join(os.Environ(), "\n"))
		_, _ = io.Copy(os.Stdout, os.Stdin)
		return 0
	},
	// Ends with the code in its argument.
	"exit": func(args []string) int {
		code, _ := strconv.Atoi(args[1])
		return code
	},
	// Kills itself by the signal in its argument.
	"killed": func(args []string) int {
		number, _ := strconv.Atoi(args[1])
		signal.Reset()
		self, _ := os.FindProcess(os.Getpid())
		_ = self.Signal(syscall.Signal(number))
		time.Sleep(10 * time.Second)
		return 99
	},
	// Says the first signal that it gets, and ends with 42.
	"signalled": func([]string) int {
		got := make(chan os.Signal, 1)
		signal.Notify(got, passedOn...)
		fmt.Println("ready")
		select {
		case s := <-got:
			fmt.Println("got", s)
			return 42
		case <-time.After(20 * time.Second):
			return 99
		}
	},
}

const envNext = "VAULT_ENTRA_TEST_NEXT"

// askIdentity asks the managed identity that the environment names.
func askIdentity(resource string) (int, map[string]string, error) {
	req, err := http.NewRequest("GET", os.Getenv("IDENTITY_ENDPOINT")+
		"?api-version=2019-08-01&resource="+url.QueryEscape(resource), nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("X-IDENTITY-HEADER", os.Getenv("IDENTITY_HEADER"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	var body map[string]string
	return resp.StatusCode, body, json.NewDecoder(resp.Body).Decode(&body)
}

// asProgram is the test binary as one of the programs.
func asProgram(t *testing.T, what string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), envChild+"="+what)
	return cmd
}

// runs is `vault-entra run OPTIONS -- CHILD`, where the child is one of the programs.
func runs(t *testing.T, child string, options, args []string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	line := append(append([]string{"run"}, options...), append([]string{"--", self}, args...)...)
	cmd := asProgram(t, "vault-entra", line...)
	cmd.Env = append(cmd.Env, envNext+"="+child)
	return cmd
}

// ends runs a command and returns its exit code and what it printed.
func ends(t *testing.T, cmd *exec.Cmd) (code int, out, said string) {
	t.Helper()
	var printed, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &messages
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), printed.String(), messages.String()
}

var asCI = []string{"-account", "ci"}

// TestRun checks that a child gets the tokens of the resources that it asks for, in one read of
// Vault each.
func TestRun(t *testing.T) {
	v := vaultWithTokens(t)
	code, out, said := ends(t, runs(t, "client", asCI, []string{
		"https://graph.microsoft.com", "https://management.azure.com/", "https://graph.microsoft.com",
		"https://vault.azure.net",
	}))
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 0 || said != "" || len(lines) != 4 || lines[0] != "200 graph-token" ||
		lines[1] != "200 arm-token" || lines[2] != "200 graph-token" ||
		!strings.HasPrefix(lines[3], "403 no role is known for https://vault.azure.net") {
		t.Errorf("%d %s%s", code, out, said)
	}
	if n := v.Asked("entra/token/ci"); n != 1 {
		t.Errorf("%d reads of token/ci", n)
	}
}

// TestRoleWithoutConsent checks that a role which the account has not consented to gives way to the
// default token where that is of the resource, and Vault is not asked for it in each call; and that
// its refusal is told where it is not.
func TestRoleWithoutConsent(t *testing.T) {
	v := vaultWithTokens(t)
	v.Answer("entra/roles", vaulttest.Answer{Data: map[string]any{"keys": []string{"mail", "kv"}}})
	v.Answer("entra/roles/mail", vaulttest.Answer{Data: map[string]any{
		"scopes": []string{"Mail.Read"}}})
	v.Answer("entra/roles/kv", vaulttest.Answer{Data: map[string]any{
		"scopes": []string{"https://vault.azure.net/.default"}}})
	for _, role := range []string{"mail", "kv"} {
		v.Refuse("entra/token/ci/"+role, 400, "login_required: consent. Run: vault write "+
			"entra/login/ci roles="+role)
	}
	const graph = "https://graph.microsoft.com"
	code, out, said := ends(t, runs(t, "client", asCI, []string{
		graph, graph, graph, "https://vault.azure.net",
	}))
	if code != 0 || said != "" || out != strings.Repeat("200 graph-token\n", 3)+
		"403 login_required: consent. Run: vault-entra login -roles=kv ci\n" {
		t.Errorf("%d %s%s", code, out, said)
	}
	if n := v.Asked("entra/token/ci/mail"); n != 1 {
		t.Errorf("the role was asked for %d times", n)
	}
}

// TestRunByMap checks the same by a map.
func TestRunByMap(t *testing.T) {
	vaultWithTokens(t)
	file := mapFile(t, `
account = "ci"
resource "https://vault.azure.net" { role = "arm" }
`)
	code, out, said := ends(t, runs(t, "client", []string{"-map=" + file},
		[]string{"https://vault.azure.net/", "https://graph.microsoft.com"}))
	if code != 0 || out != "200 arm-token\n200 graph-token\n" || said != "" {
		t.Errorf("%d %s%s", code, out, said)
	}
}

// TestChildEnvironment checks that the child has the variables, and none that leads elsewhere, and
// that it has the input.
func TestChildEnvironment(t *testing.T) {
	vaultWithTokens(t)
	cmd := runs(t, "environment", asCI, nil)
	cmd.Env = append(cmd.Env, "MSI_SECRET=x", "IMDS_ENDPOINT=http://x", "IDENTITY_HEADER=theirs",
		"IDENTITY_SERVER_THUMBPRINT=x", "OTHER=kept")
	cmd.Stdin = strings.NewReader("the input")
	code, out, said := ends(t, cmd)
	if code != 0 || said != "" || !strings.HasSuffix(out, "the input") {
		t.Fatalf("%d %s%s", code, out, said)
	}
	for _, name := range []string{
		"IDENTITY_ENDPOINT=http://127.0.0.1:", "IDENTITY_HEADER=", "ARM_USE_MSI=true\n", "OTHER=kept\n",
		"AZURE_POD_IDENTITY_AUTHORITY_HOST=http://127.0.0.1:", "MSI_ENDPOINT=http://127.0.0.1:",
		"ARM_MSI_ENDPOINT=http://127.0.0.1:",
	} {
		if strings.Count("\n"+out, "\n"+name) != 1 {
			t.Errorf("%s is there %d times", name, strings.Count("\n"+out, "\n"+name))
		}
	}
	for _, gone := range []string{"MSI_SECRET", "IMDS_ENDPOINT", "IDENTITY_SERVER_THUMBPRINT", "theirs"} {
		if strings.Contains(out, gone) {
			t.Errorf("the child has %s", gone)
		}
	}
	if os.Getenv("IDENTITY_ENDPOINT") != "" {
		t.Error("the variables are not the child's alone")
	}
}

// TestExitCodesOfRun checks that the child's code is passed on, and what stands for no child.
func TestExitCodesOfRun(t *testing.T) {
	v := vaultWithTokens(t)
	for _, want := range []int{0, 1, 3, 42, 125, 255} {
		if code, out, said := ends(t, runs(t, "exit", asCI, []string{strconv.Itoa(want)})); code != want {
			t.Errorf("%d became %d: %s%s", want, code, out, said)
		}
	}
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, 127, []string{"there is no command no-such-command"}, "run", "-account=ci", "--",
		"no-such-command")
	expect(t, 127, []string{"there is no command /no/such"}, "run", "-account=ci", "--", "/no/such")
	expect(t, 125, []string{"entra.hcl cannot be parsed"}, "run", "-map", mapFile(t, "{"), "true")
	if runtime.GOOS != "windows" {
		expect(t, 126, []string{"plain is not executable"}, "run", "-account=ci", "--", plain)
		if err := os.Chmod(plain, 0o700); err != nil {
			t.Fatal(err)
		}
		expect(t, 126, []string{"plain cannot be executed"}, "run", "-account=ci", "--", plain)
	}
	v.Refuse("entra/token/old", 400, "login_required: again. Run: vault write -f entra/login/old")
	code, _, said := ends(t, runs(t, "exit", []string{"-account=old"}, []string{"7"}))
	if code != 7 || !strings.Contains(said, "Warning: login_required: again. Run: vault-entra login old") {
		t.Errorf("the child runs with a warning: %d %s", code, said)
	}
	v.Refuse("entra/token/roles", 403, "permission denied")
	code, _, said = ends(t, runs(t, "exit", []string{"-account=roles"}, []string{"7"}))
	if code != 7 || said != "" {
		t.Errorf("a policy that grants roles alone is no reason to warn: %d %s", code, said)
	}
	v.Seal(true)
	expect(t, 125, []string{"is sealed"}, "run", "-account=ci", "true")
	v.Close()
	expect(t, 125, []string{"cannot be reached"}, "run", "-account=ci", "true")
}

// TestVaultGoes checks that a child which has a token keeps it while Vault is sealed, and what it
// is told of another.
func TestVaultGoes(t *testing.T) {
	v := vaultWithTokens(t)
	selected := selection{account: "ci"}
	tokens, err := selected.open()
	if err != nil {
		t.Fatal(err)
	}
	c := newCommand(streams{out: io.Discard, messages: io.Discard}, manual{})
	server, end, err := c.endpoint(tokens, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	go func() { _ = server.Serve() }()
	for _, variable := range server.Variables() {
		t.Setenv(variable.Name, variable.Value)
	}
	wants := func(resource string, status int, text string) {
		t.Helper()
		got, body, err := askIdentity(resource)
		if err != nil || got != status || !strings.Contains(body["access_token"]+body["error"], text) {
			t.Errorf("%s: %d %v, %v", resource, got, body, err)
		}
	}
	wants("https://graph.microsoft.com", 200, "graph-token")
	v.Seal(true)
	wants("https://graph.microsoft.com", 200, "graph-token")
	wants("https://management.azure.com", 503, "vault_unavailable")
	v.Seal(false)
	wants("https://management.azure.com", 200, "arm-token")
}

// TestThousandAtOnce checks that a thousand requests at once are one read of Vault.
func TestThousandAtOnce(t *testing.T) {
	v := vaultWithTokens(t)
	tokens, err := (&selection{account: "ci"}).open()
	if err != nil {
		t.Fatal(err)
	}
	c := newCommand(streams{out: io.Discard, messages: io.Discard}, manual{})
	server, end, err := c.endpoint(tokens, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	go func() { _ = server.Serve() }()
	for _, variable := range server.Variables() {
		t.Setenv(variable.Name, variable.Value)
	}
	release := v.Hold()
	defer release()
	var callers sync.WaitGroup
	failures := make(chan string, 1000)
	for range 1000 {
		callers.Go(func() {
			status, body, err := askIdentity("https://management.azure.com")
			if err != nil || status != 200 || body["access_token"] != "arm-token" {
				failures <- fmt.Sprint(status, body, err)
			}
		})
	}
	time.Sleep(200 * time.Millisecond) // most of them wait by now
	release()
	callers.Wait()
	close(failures)
	for failure := range failures {
		t.Error(failure)
	}
	if n := v.Asked("entra/token/ci/arm"); n != 1 {
		t.Errorf("%d reads of Vault", n)
	}
}

// started is a run whose child has said that it is ready.
func started(t *testing.T, cmd *exec.Cmd) (out *lines) {
	t.Helper()
	out = &lines{came: make(chan string, 100)}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	out.wants(t, "ready")
	return out
}

// lines hands on lines as they come.
type lines struct {
	mu   sync.Mutex
	rest string
	came chan string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest += string(p)
	for {
		line, rest, whole := strings.Cut(l.rest, "\n")
		if !whole {
			return len(p), nil
		}
		l.rest = rest
		l.came <- line
	}
}

func (l *lines) wants(t *testing.T, text string) string {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case line := <-l.came:
			if strings.Contains(line, text) {
				return line
			}
			t.Logf("it says %s", line)
		case <-deadline:
			t.Fatalf("it does not say %s", text)
		}
	}
}

// TestServe checks that the endpoint serves until it is interrupted, and a port in use.
func TestServe(t *testing.T) {
	vaultWithTokens(t)
	port := freePort(t)
	file := filepath.Join(t.TempDir(), "env")
	cmd := asProgram(t, "vault-entra", "serve", "-account=ci", "-listen=127.0.0.1:"+port,
		"-environment="+file)
	out := &lines{came: make(chan string, 100)}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	out.wants(t, "Listening on http://127.0.0.1:"+port)
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Fatalf("%v, %v", info, err)
	}
	variables, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(variables)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			t.Setenv(name, strings.Trim(value, "'"))
		}
	}
	status, body, err := askIdentity("https://graph.microsoft.com")
	if err != nil || status != 200 || body["access_token"] != "graph-token" {
		t.Errorf("%d %v, %v", status, body, err)
	}
	expect(t, 1, []string{"cannot listen on 127.0.0.1:" + port + ": address already in use"},
		"serve", "-account=ci", "-listen=127.0.0.1:"+port)
	expect(t, 1, []string{"-environment: open " + file + ": file exists"},
		"serve", "-account=ci", "-environment="+file)
	if runtime.GOOS == "windows" {
		return // no signal can be sent there
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the file is left behind: %v", err)
	}
}

// TestServeWithoutVault checks that a sidecar starts before Vault, and says so.
func TestServeWithoutVault(t *testing.T) {
	v := vaultWithTokens(t)
	v.Seal(true)
	cmd := asProgram(t, "vault-entra", "serve", "-account=ci", "-format=json")
	var printed bytes.Buffer
	said := &lines{came: make(chan string, 100)}
	cmd.Stdout, cmd.Stderr = &printed, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said.wants(t, "Warning: Vault at "+v.URL+" is sealed")
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	var announced struct {
		Address   string            `json:"address"`
		Variables map[string]string `json:"variables"`
	}
	if err := json.Unmarshal(printed.Bytes(), &announced); err != nil ||
		announced.Variables["IDENTITY_ENDPOINT"] != announced.Address+"/msi/token" {
		t.Errorf("%v: %s", err, printed.String())
	}
}

// BenchmarkCachedCall is a call of the identity endpoint, over a connection that is kept, for a
// token that is in memory.
func BenchmarkCachedCall(b *testing.B) {
	v := vaulttest.New(b)
	v.AccessToken("entra/token/ci", "graph-token", "User.Read", time.Hour, time.Hour)
	v.Answer("entra/roles", vaulttest.Answer{Data: map[string]any{"keys": []string{}}})
	tokens, err := (&selection{account: "ci"}).open()
	if err != nil {
		b.Fatal(err)
	}
	c := newCommand(streams{out: io.Discard, messages: io.Discard}, manual{})
	server, end, err := c.endpoint(tokens, "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer end()
	go func() { _ = server.Serve() }()
	for _, variable := range server.Variables() {
		b.Setenv(variable.Name, variable.Value)
	}
	for b.Loop() {
		if status, body, err := askIdentity("https://graph.microsoft.com"); status != 200 {
			b.Fatal(status, body, err)
		}
	}
	if n := v.Asked("entra/token/ci"); n != 1 {
		b.Errorf("%d reads of Vault", n)
	}
}
