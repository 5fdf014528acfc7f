// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

const (
	readersBegin = "<!-- readers: made by scripts/tools/support, from docs/readers.json -->\n"
	readersEnd   = "<!-- end of readers -->\n"
)

// reader is what the end-to-end tests wrote down of a program that reads tokens.
type reader struct {
	Reader   string             `json:"reader"`
	Mark     string             `json:"mark"` // run, or rules tested
	Version  string             `json:"version"`
	Changes  int                `json:"changes"`
	Stale    int                `json:"stale"`
	Reads    float64            `json:"reads"`
	Failures map[string]failure `json:"failures"`
}

// failure is what a reader did about one.
type failure struct {
	Line    string `json:"line"`
	Ended   bool   `json:"ended"`
	Seconds int    `json:"seconds"`
}

// failures are what readers are put to, in the order of the table.
var failures = []string{"outage", "revoked grant", "disabled account", "deleted account"}

// recipes are the readers that docs/recipes is for. What wrote nothing down is not tested.
var recipes = []string{
	"Vault Agent, a file", "Vault Agent, an environment", "Vault Proxy", "consul-template",
	"Vault Secrets Operator", "External Secrets Operator", "vault read", "curl", "Go api", "hvac",
	"Python, standard library", "node-vault", "Ansible", "GitHub vault-action", "GitLab runner",
	"Azure DevOps", "Jenkins", "Reloader", "Terraform, vault_generic_endpoint",
	"Terraform, ephemeral vault_generic_secret", "vault-csi-provider", "bank-vaults vault-env",
	"Spring Vault",
}

// renderReaders writes the tables of readers into a document.
func renderReaders(file, document string) error {
	var readers []reader
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &readers); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	was, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	head, rest, found := bytes.Cut(was, []byte(readersBegin))
	_, tail, ended := bytes.Cut(rest, []byte(readersEnd))
	if !found || !ended {
		return fmt.Errorf("%s has no place for the readers", document)
	}
	made := string(head) + readersBegin + "\n" + readersTable(readers) + "\n" + readersEnd +
		string(tail)
	return os.WriteFile(document, []byte(made), 0o644)
}

// readersTable is the Markdown of what ran, and below it what the logs say of each failure.
func readersTable(readers []reader) string {
	var b, said strings.Builder
	b.WriteString("| reader | tested | token changes | stale | reads for each token | a token again after")
	b.WriteString(" " + strings.Join(failures, ", ") + " |\n|---|---|---|---|---|---|\n")
	for _, name := range recipes {
		marked := false
		for _, r := range readers {
			if r.Reader != name && !strings.HasPrefix(r.Reader, name+" ") {
				continue
			}
			marked = true
			if r.Mark != "run" {
				fmt.Fprintf(&b, "| %s %s | %s | | | | |\n", name, r.Version, r.Mark)
				continue
			}
			var after []string
			for _, f := range failures {
				was := r.Failures[f]
				again := ""
				if was.Ended {
					again = ", started again"
				}
				after = append(after, fmt.Sprintf("%d s%s", was.Seconds, again))
				fmt.Fprintf(&said, "    %s, %s:\n        %s\n", name, f, was.Line)
			}
			fmt.Fprintf(&b, "| %s %s | run | %d | %d | %.1f | %s |\n", name, r.Version, r.Changes,
				r.Stale, r.Reads, strings.Join(after, ", "))
		}
		if !marked {
			fmt.Fprintf(&b, "| %s | not tested | | | | |\n", name)
		}
	}
	if said.Len() > 0 {
		b.WriteString("\nWhat their logs say:\n\n" + said.String())
	}
	return b.String()
}
