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
	Mark     string             `json:"mark"` // run, its script run, or rules tested
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
	"Terraform, an ephemeral variable", "Terraform, ephemeral vault_generic_secret",
	"Terraform, data vault_generic_secret",
	"vault-csi-provider", "bank-vaults vault-env", "Spring Vault",
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
			b.WriteString(readersRow(name, r))
			for _, f := range failures {
				if was, there := r.Failures[f]; there {
					fmt.Fprintf(&said, "    %s, %s:\n        %s\n", name, f, was.Line)
				}
			}
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

// readersRow is a reader's row: without figures of tokens where it was not over expiries.
func readersRow(name string, r reader) string {
	tokens, after := " | | |", []string(nil)
	if r.Changes > 0 {
		tokens = fmt.Sprintf(" %d | %d | %.1f |", r.Changes, r.Stale, r.Reads)
	}
	for _, f := range failures {
		was, there := r.Failures[f]
		if !there {
			continue
		}
		again := ""
		if was.Ended {
			again = ", started again"
		}
		after = append(after, fmt.Sprintf("%d s%s", was.Seconds, again))
	}
	title := strings.TrimSpace(name + " " + r.Version)
	if len(after) == 0 {
		return fmt.Sprintf("| %s | %s |%s |\n", title, r.Mark, tokens)
	}
	return fmt.Sprintf("| %s | %s |%s %s |\n", title, r.Mark, tokens, strings.Join(after, ", "))
}
