// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"time"
)

// statement is an in-toto statement (https://in-toto.io/Statement/v1) whose predicate is
// SLSA's provenance (https://slsa.dev/spec/v1.0/provenance).
type statement struct {
	Type          string       `json:"_type"`
	Subject       []descriptor `json:"subject"`
	PredicateType string       `json:"predicateType"`
	Predicate     predicate    `json:"predicate"`
}

type descriptor struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

type predicate struct {
	BuildDefinition definition `json:"buildDefinition"`
	RunDetails      details    `json:"runDetails"`
}

type definition struct {
	BuildType            string            `json:"buildType"`
	ExternalParameters   map[string]string `json:"externalParameters"`
	InternalParameters   map[string]string `json:"internalParameters"`
	ResolvedDependencies []descriptor      `json:"resolvedDependencies"`
}

type details struct {
	Builder  descriptorID `json:"builder"`
	Metadata metadata     `json:"metadata"`
}

type descriptorID struct {
	ID string `json:"id"`
}

type metadata struct {
	StartedOn string `json:"startedOn"`
}

// writeProvenance writes a line for each file: a statement of what it was made from. The time
// is the commit's, for a later build of it gives the same bytes.
func writeProvenance(out string, b build, builder string, files []string) error {
	if builder == "" {
		builder = "urn:vault-plugin-secrets-entra:scripts/release.sh"
	}
	var lines bytes.Buffer
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		line, err := json.Marshal(statement{
			Type: "https://in-toto.io/Statement/v1",
			Subject: []descriptor{{
				Name: filepath.Base(file), Digest: map[string]string{"sha256": hex.EncodeToString(sum[:])},
			}},
			PredicateType: "https://slsa.dev/provenance/v1",
			Predicate: predicate{
				BuildDefinition: definition{
					BuildType:          "urn:vault-plugin-secrets-entra:scripts/release.sh:v1",
					ExternalParameters: map[string]string{"version": b.version},
					InternalParameters: map[string]string{"go": b.goVersion},
					ResolvedDependencies: []descriptor{{
						Name: "source", URI: "git+vault-plugin-secrets-entra@" + b.commit,
						Digest: map[string]string{"gitCommit": b.commit},
					}},
				},
				RunDetails: details{
					Builder:  descriptorID{ID: builder},
					Metadata: metadata{StartedOn: b.time().Format(time.RFC3339)},
				},
			},
		})
		if err != nil {
			return err
		}
		lines.Write(append(line, '\n'))
	}
	return os.WriteFile(out, lines.Bytes(), 0o644)
}
