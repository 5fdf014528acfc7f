// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// The OpenAPI document, from which clients are generated, is what Vault says of the
// engine; scripts/tools/openapi holds it to what generators need.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	var help struct {
		Document object `json:"openapi"`
	}
	e.get("entra/?help=1").want(200).into(&help)
	addItems(help.Document)
	made, err := json.MarshalIndent(help.Document, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	made = append(made, '\n')
	path := filepath.Join("..", "docs", "openapi.json")
	if *update {
		if err := os.WriteFile(path, made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if committed, err := os.ReadFile(path); err != nil || !bytes.Equal(committed, made) {
		t.Errorf("%s is not what Vault says (%v): write it anew with go -C e2e test -run %s . -update", path, err, t.Name())
	}

	// Vault's own document has every path, under the mount's.
	var whole struct {
		Paths map[string]object `json:"paths"`
	}
	e.get("sys/internal/specs/openapi").want(200).into(&whole)
	for path := range help.Document["paths"].(object) {
		if len(whole.Paths["/entra"+path]) == 0 {
			t.Errorf("sys/internal/specs/openapi does not have /entra%s", path)
		}
	}
}

// addItems completes the schemas of parameters that are lists. The SDK leaves out
// what they are lists of, and a document without it is not valid.
func addItems(v any) {
	switch v := v.(type) {
	case object:
		if v["type"] == "array" && v["items"] == nil {
			v["items"] = object{"type": "string"}
		}
		for _, child := range v {
			addItems(child)
		}
	case []any:
		for _, child := range v {
			addItems(child)
		}
	}
}
