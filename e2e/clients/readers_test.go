// SPDX-License-Identifier: MPL-2.0

package clients

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// reader is a program that keeps an access token for somebody, run from a recipe.
type reader struct {
	name    string
	account string // which the recipe's is replaced with, so that its reads can be told apart
	file    string // where it leaves a token and its expiry
	process *harness.Process
	log     string
}

// recipe is a file of docs/recipes with these words replaced, each of which it
// must have.
func recipe(t testing.TB, name string, replace map[string]string) (file string) {
	t.Helper()
	content, err := os.ReadFile(harness.Path("docs", "recipes", name))
	if err != nil {
		t.Fatal(err)
	}
	for old, by := range replace {
		if !bytes.Contains(content, []byte(old)) {
			t.Fatalf("%s does not have %q", name, old)
		}
		content = bytes.ReplaceAll(content, []byte(old), []byte(by))
	}
	file = filepath.Join(t.TempDir(), filepath.Base(name))
	if err := os.WriteFile(file, content, 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

// Vault Agent and consul-template, as the recipes have them, keep tokens of 20 s
// over several expiries. What they leave is never an expired token, and each reads
// when ttl says so, not more often.
func TestReaders(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t, "-token-lifetime", "20s")
	e.Configure(object{"background_refresh": true})
	e.Put("entra/roles/graph", object{"scopes": "User.Read"}).Want(204)
	readers := []*reader{agentFile(e), agentEnvironment(e), consulTemplate(e)}

	const span = 50 * time.Second
	tokens := map[string]map[string]bool{}
	for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		for _, r := range readers {
			token, expires, err := r.left()
			switch {
			// it comes up
			case err != nil && tokens[r.name] == nil && time.Since(end.Add(-span)) < 15*time.Second:
			case err != nil:
				t.Fatalf("%s: %v\n%s", r.name, err, r.said())
			case time.Now().After(expires):
				t.Fatalf("%s: the token has expired at %s", r.name, expires)
			default:
				if tokens[r.name] == nil {
					tokens[r.name] = map[string]bool{}
				}
				tokens[r.name][token] = true
			}
		}
	}
	for _, r := range readers {
		if n := len(tokens[r.name]); n < 3 || n > 8 {
			t.Errorf("%s has left %d tokens in %s", r.name, n, span)
		}
		if r.process.Ended() || strings.Contains(r.said(), "panic") {
			t.Errorf("%s has ended, or panics:\n%s", r.name, r.said())
		}
		wantReadsByTTL(e, r)
	}
}

// said is what the reader has logged; consul-template logs nothing when all is well.
func (r *reader) said() string {
	content, _ := os.ReadFile(r.log) // best effort: it explains a failure
	return string(content)
}

// left is the token and the expiry that are in a reader's file.
func (r *reader) left() (token string, expires time.Time, err error) {
	content, err := os.ReadFile(r.file)
	if err != nil {
		return "", time.Time{}, err
	}
	fields := strings.Fields(string(content))
	if len(fields) != 2 {
		return "", time.Time{}, fmt.Errorf("%d words in the file", len(fields))
	}
	expires, err = time.Parse(time.RFC3339, fields[1])
	return fields[0], expires, err
}

// newReader signs alice in to an account for one reader.
func newReader(e *harness.Engine, name string) *reader {
	e.T.Helper()
	account := "reader-" + name
	e.SignInFor(account, "alice", "graph")
	dir := e.T.TempDir()
	return &reader{
		name: name, account: account,
		file: filepath.Join(dir, "token"), log: filepath.Join(dir, "log"),
	}
}

func tokenFile(e *harness.Engine) string {
	e.T.Helper()
	file := filepath.Join(e.T.TempDir(), "vault-token")
	if err := os.WriteFile(file, []byte(e.Token), 0o600); err != nil {
		e.T.Fatal(err)
	}
	return file
}

const (
	recipeVault   = "https://vault.example.com:8200"
	recipeAccount = "token/ci/graph"
)

func agentFile(e *harness.Engine) *reader {
	r := newReader(e, "file")
	config := recipe(e.T, "vault-agent/file.hcl", map[string]string{
		recipeVault: e.Addr, recipeAccount: "token/" + r.account + "/graph",
		"/etc/vault-agent/token": tokenFile(e), "/run/entra/graph": r.file,
	})
	r.process = harness.StartProcess(e.T, r.log, nil, harness.Program(e.T, "vault"), "agent",
		"-config="+config)
	return r
}

// agentEnvironment runs a program that writes down the token that it was given.
func agentEnvironment(e *harness.Engine) *reader {
	r := newReader(e, "environment")
	report := filepath.Join(e.T.TempDir(), "report")
	script := fmt.Sprintf(`#!/bin/sh
printf '%%s %%s' "$GRAPH_TOKEN" "$GRAPH_TOKEN_EXPIRES" >%s.new && mv %[1]s.new %[1]s
exec sleep 600
`, r.file)
	if err := os.WriteFile(report, []byte(script), 0o700); err != nil {
		e.T.Fatal(err)
	}
	config := recipe(e.T, "vault-agent/environment.hcl", map[string]string{
		recipeVault: e.Addr, recipeAccount: "token/" + r.account + "/graph",
		"/etc/vault-agent/token": tokenFile(e), "/usr/local/bin/report": report,
	})
	r.process = harness.StartProcess(e.T, r.log, nil, harness.Program(e.T, "vault"), "agent",
		"-config="+config)
	return r
}

func consulTemplate(e *harness.Engine) *reader {
	r := newReader(e, "consul-template")
	config := recipe(e.T, "consul-template/file.hcl", map[string]string{
		recipeVault: e.Addr, recipeAccount: "token/" + r.account + "/graph",
		"/run/entra/graph": r.file,
	})
	r.process = harness.StartProcess(e.T, r.log, []string{"VAULT_TOKEN=" + e.Token},
		harness.Program(e.T, "consul-template"), "-config="+config)
	return r
}

// wantReadsByTTL looks at a reader's reads in the audit log: each comes a second
// after the ttl of the one before has passed.
func wantReadsByTTL(e *harness.Engine, r *reader) {
	e.T.Helper()
	var due time.Time
	reads := 0
	lines := bufio.NewScanner(bytes.NewReader(e.ReadFile(e.AuditFile())))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var record struct {
			Type    string    `json:"type"`
			Time    time.Time `json:"time"`
			Request struct {
				Path string `json:"path"`
			} `json:"request"`
			Response struct {
				Data struct {
					TTL int `json:"ttl"`
				} `json:"data"`
			} `json:"response"`
		}
		if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
			e.T.Fatal(err)
		}
		if record.Type != "response" || record.Request.Path != "entra/token/"+r.account+"/graph" {
			continue
		}
		reads++
		if early := due.Sub(record.Time); early > 100*time.Millisecond {
			e.T.Errorf("%s: read %d comes %s before its time", r.name, reads, early)
		}
		if late := record.Time.Sub(due); !due.IsZero() && late > 3*time.Second {
			e.T.Errorf("%s: read %d comes %s after its time", r.name, reads, late)
		}
		due = record.Time.Add(time.Duration(record.Response.Data.TTL+1) * time.Second)
	}
	if reads < 4 {
		e.T.Errorf("%s: %d reads", r.name, reads)
	}
}

// What the Vault Secrets Operator acts on with allowStaticCreds, field by field: a
// rotation time that is text, whole numbers, and nothing that ticks but ttl, which
// would restart the workload at each read.
func TestSecretsOperatorShape(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)
	e.SignIn("alice", "alice")
	first := e.Get("entra/token/alice").Want(200)
	first.Time("last_vault_rotation")
	if first.Number("rotation_period") < 1 || first.Number("ttl") <= 2 {
		t.Errorf("rotation_period %d, ttl %d", first.Number("rotation_period"), first.Number("ttl"))
	}
	for _, name := range []string{
		"data", "error", "certificate", "secret_id", "expiration", "expires_in", "lease_duration",
	} {
		if _, there := first.Data[name]; there {
			t.Errorf("there is a field %s, which some reader takes for something else", name)
		}
	}
	harness.Eventually(t, 5*time.Second, "ttl has gone down", func() error {
		later := e.Get("entra/token/alice").Want(200)
		if later.Number("ttl") >= first.Number("ttl") {
			return errors.New("it has not")
		}
		for name, value := range later.Data {
			if name != "ttl" && value != first.Data[name] {
				t.Errorf("%s was %v and is %v", name, first.Data[name], value)
			}
		}
		return nil
	})
}
