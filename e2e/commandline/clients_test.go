// SPDX-License-Identifier: MPL-2.0

package commandline

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// TestClients: clients that know nothing of Vault get the token that vault read gives, of either
// resource, across its expiry, when the person has to sign in and has, and when Vault is sealed.
func TestClients(t *testing.T) {
	git, registry, cluster := newGitServer(t), newRegistry(t), newCluster(t)
	s := newSetUp(t, git.blocks("git")+registry.blocks("registry"), "-token-lifetime", "40s")
	for _, server := range []*service{git, registry, cluster} {
		server.active = s.Sim.Active
	}
	callers := append(s.sdkCallers(), s.kubeloginCallers()...)
	callers = append(callers, s.gitCaller(git), s.dockerCaller(registry), s.kubernetesCaller(cluster))
	show(callers)

	var mu sync.Mutex
	first := map[*caller]string{}
	each(t, callers, "same token", func(c *caller) error {
		token, err := s.same(c, graph)
		mu.Lock()
		defer mu.Unlock()
		first[c] = token
		return err
	})
	each(t, callers, "second resource", func(c *caller) error {
		token, err := s.same(c, arm)
		if err == nil && token == first[c] {
			err = errors.New("the same token for both resources")
		}
		return err
	})
	var crowds, secrets []*caller
	for _, c := range callers {
		if c.crowd != nil {
			crowds = append(crowds, c)
		}
		if c.wrong != nil {
			secrets = append(secrets, c)
		}
	}
	each(t, secrets, "wrong secret refused", func(c *caller) error {
		if token, err := c.wrong(); err == nil {
			return fmt.Errorf("it gets %.10s…", token)
		}
		return nil
	})
	for _, c := range crowds { // one after the other: the reads of each are counted
		each(t, []*caller{c}, "1,000 calls at once, 1 read", func(c *caller) error {
			var err error
			for range 3 { // a token that ends on the way makes it two
				before := s.Reads("entra/token/ci/mail")
				_, err = c.crowd(1000)
				reads := s.Reads("entra/token/ci/mail") - before
				if err == nil && reads <= 1 {
					return nil
				}
				if err == nil {
					err = fmt.Errorf("%d reads", reads)
				}
			}
			return err
		})
	}
	harness.Until(t, time.Now().Add(41*time.Second)) // no token of the first round lives
	each(t, callers, "expiry", func(c *caller) error {
		token, err := s.same(c, graph)
		if err == nil && token == first[c] {
			err = errors.New("it is the token that has ended")
		}
		return err
	})

	s.Sim.Control("revoke", object{"user": "alice"}, nil)
	harness.Eventually(t, harness.UpTime, "the account has to sign in", func() error {
		if a := s.Get("entra/token/ci/mail"); a.Status != 400 {
			return fmt.Errorf("status %d", a.Status)
		}
		return nil
	})
	each(t, callers, "login_required", func(c *caller) error {
		return refuses(c, "vault-entra login")
	})
	s.SignInFor("ci", "alice", "mail,arm")
	each(t, callers, "signed in again", func(c *caller) error {
		_, err := s.same(c, graph)
		return err
	})

	s.Seal()
	each(t, callers, "Vault sealed", func(c *caller) error {
		if c.name == msiAuthorizer { // after its retries it does not show the answer
			return refuses(c, "giving up after")
		}
		return refuses(c, "sealed")
	})
	s.Unseal()
	each(t, callers, "unsealed", func(c *caller) error {
		_, err := s.same(c, graph)
		return err
	})
}

const msiAuthorizer = "go-azure-sdk ManagedIdentityAuthorizer"

// sdkCallers are the credentials of Azure's SDKs for Go and Node.js, and HashiCorp's.
func (s *setUp) sdkCallers() []*caller {
	s.T.Helper()
	golang := harness.Program(s.T, "azure-go")
	node := filepath.Join(harness.NPMProgram(s.T, harness.Path("e2e", "commandline", "azure-node")),
		"client.mjs")
	goVersions, nodeVersions := versions(s.T, golang), versions(s.T, "node", node)
	const (
		azidentity = "github.com/Azure/azure-sdk-for-go/sdk/azidentity"
		hashicorp  = "github.com/hashicorp/go-azure-sdk/sdk"
	)
	appService := "IDENTITY_HEADER=wrong"
	// Without App Service's variables the others are looked at.
	imds := "-u IDENTITY_ENDPOINT -u IDENTITY_HEADER -u MSI_ENDPOINT"
	cloudShell := "-u IDENTITY_ENDPOINT -u IDENTITY_HEADER"
	callers := []*caller{
		s.identity("azidentity ManagedIdentityCredential", goVersions[azidentity], "", appService,
			golang, "azidentity.ManagedIdentityCredential"),
		s.identity("azidentity ManagedIdentityCredential, Cloud Shell's endpoint",
			goVersions[azidentity], cloudShell, "", golang, "azidentity.ManagedIdentityCredential"),
		s.identity("azidentity DefaultAzureCredential", goVersions[azidentity], "", appService,
			golang, "azidentity.DefaultAzureCredential"),
		s.az("azidentity AzureCLICredential", goVersions[azidentity], golang,
			"azidentity.AzureCLICredential"),
		s.identity(msiAuthorizer, goVersions[hashicorp], "",
			"ARM_MSI_ENDPOINT=", golang, "go-azure-sdk.ManagedIdentityAuthorizer"),
		s.az("go-azure-sdk AzureCliAuthorizer", goVersions[hashicorp], golang,
			"go-azure-sdk.AzureCliAuthorizer"),
		s.identity("@azure/identity ManagedIdentityCredential", nodeVersions["@azure/identity"], "",
			appService, "node", node, "ManagedIdentityCredential"),
		s.identity("@azure/identity ManagedIdentityCredential, IMDS", nodeVersions["@azure/identity"],
			imds, "", "node", node, "ManagedIdentityCredential"),
		s.identity("@azure/identity DefaultAzureCredential", nodeVersions["@azure/identity"], "",
			appService, "node", node, "DefaultAzureCredential"),
		s.az("@azure/identity AzureCliCredential", nodeVersions["@azure/identity"], "node", node,
			"AzureCliCredential"),
	}
	return callers
}

// versions are what a client program says of its libraries.
func versions(t testing.TB, command ...string) map[string]string {
	t.Helper()
	out, err := exec.Command(command[0], append(command[1:], "-versions")...).Output()
	var versions map[string]string
	if err != nil || json.Unmarshal(out, &versions) != nil {
		t.Fatalf("%q -versions: %v: %s", command, err, out)
	}
	return versions
}

// identity is a program under vault-entra run. without are env's options that hide variables from
// it; wrong is a setting that gives it a wrong secret, "" if its address has the secret.
func (s *setUp) identity(name, version, without, wrong string, command ...string) *caller {
	s.T.Helper()
	under := func(env string) *asking {
		line := "exec env " + env + ` "$@"`
		if env == "ARM_MSI_ENDPOINT=" { // the secret is the first part of its path
			line = `exec env "ARM_MSI_ENDPOINT=$(echo "$ARM_MSI_ENDPOINT" | ` +
				`sed 's,/[^/]*/metadata,/wrong/metadata,')" "$@"`
		}
		return start(s.T, s.bare, harness.Program(s.T, "vault-entra"),
			append([]string{"run", "--", "sh", "-c", line, "sh"}, command...)...)
	}
	right := under(without)
	c := &caller{name: name, version: version}
	c.ask = func(resource string) (string, error) { return right.ask(resource, 1) }
	c.crowd = func(calls int) (string, error) { return right.ask(graph, calls) }
	if wrong != "" {
		c.wrong = func() (string, error) { return under(wrong).ask(graph, 1) }
	}
	return c
}

// az is a program that finds az on PATH.
func (s *setUp) az(name, version string, command ...string) *caller {
	s.T.Helper()
	program := start(s.T, s.environment, command[0], command[1:]...)
	return &caller{name: name, version: version, ask: func(resource string) (string, error) {
		return program.ask(resource, 1)
	}}
}

// kubeloginCallers are kubelogin with a managed identity, and with the Azure CLI.
func (s *setUp) kubeloginCallers() []*caller {
	s.T.Helper()
	kubelogin := harness.Program(s.T, "kubelogin")
	info, err := exec.Command("go", "version", "-m", kubelogin).Output()
	if err != nil {
		s.T.Fatal(err)
	}
	version := "unknown"
	for line := range strings.Lines(string(info)) {
		if words := strings.Fields(line); len(words) > 2 && words[0] == "mod" || len(words) > 2 &&
			words[1] == "github.com/Azure/kubelogin" {
			version = words[2]
		}
	}
	ask := func(environment []string, login string, before ...string) func(string) (string, error) {
		return func(resource string) (string, error) {
			line := append(before, kubelogin, "get-token", "--login", login, "--server-id",
				strings.TrimSuffix(resource, "/"))
			cmd := exec.Command(line[0], line[1:]...)
			cmd.Env = environment
			code, out, said := harness.Ends(s.T, cmd)
			var answer struct {
				Status struct {
					Token string `json:"token"`
				} `json:"status"`
			}
			if code != 0 || json.Unmarshal([]byte(out), &answer) != nil {
				return "", fmt.Errorf("exit %d: %s%s", code, out, said)
			}
			return answer.Status.Token, nil
		}
	}
	run := []string{harness.Program(s.T, "vault-entra"), "run", "--"}
	return []*caller{
		{name: "kubelogin --login msi", version: version,
			ask: ask(s.bare, "msi", run...)},
		{name: "kubelogin --login azurecli", version: version,
			ask: ask(s.environment, "azurecli")},
	}
}

// TestThousandCalls: a thousand calls of one resource at once are one read of Vault, and a request
// with a foreign Host header or a wrong secret gets nothing.
func TestThousandCalls(t *testing.T) {
	t.Parallel()
	s := newSetUp(t, "")
	side := serve(t, s.bare)
	before := s.Reads("entra/token/ci/mail")
	client := &http.Client{
		Timeout: callTime, Transport: &http.Transport{MaxIdleConnsPerHost: 1000},
	}
	tokens := make([]string, 1000)
	var calls sync.WaitGroup
	for i := range tokens {
		calls.Go(func() {
			_, body := side.ask(client, graph)
			tokens[i] = body["access_token"]
		})
	}
	calls.Wait()
	reads := s.Reads("entra/token/ci/mail") - before
	want := s.read(graph)
	for i, token := range tokens {
		if token != want {
			t.Fatalf("call %d gets %q", i, token)
		}
	}
	if reads != 1 {
		t.Errorf("1,000 calls are %d reads of Vault", reads)
	}

	for name, change := range map[string]func(*http.Request){
		"a foreign Host header": func(r *http.Request) {
			r.Host = "evil.example:" + r.URL.Port()
		},
		"a wrong secret":      func(r *http.Request) { r.Header.Set("X-IDENTITY-HEADER", "wrong") },
		"no secret":           func(r *http.Request) { r.Header.Del("X-IDENTITY-HEADER") },
		"another api version": func(r *http.Request) { r.URL.RawQuery = "resource=" + graph },
	} {
		req, err := http.NewRequest("GET", side.variables["IDENTITY_ENDPOINT"]+
			"?api-version=2019-08-01&resource="+graph, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-IDENTITY-HEADER", side.variables["IDENTITY_HEADER"])
		change(req)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var body map[string]string
		err = json.NewDecoder(resp.Body).Decode(&body)
		resp.Body.Close()
		if err != nil || resp.StatusCode/100 != 4 || body["access_token"] != "" {
			t.Errorf("%s: %d %v, %v", name, resp.StatusCode, body, err)
		}
	}
}
