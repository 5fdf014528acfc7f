// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"vault-plugin-secrets-entra/e2e/harness"
)

// The OpenAPI document, from which clients are generated, is what Vault says of the
// engine; scripts/tools/openapi holds it to what generators need.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)
	var help struct {
		Document object `json:"openapi"`
	}
	e.Get("entra/?help=1").Want(200).Into(&help)
	addItems(help.Document)
	path := harness.Path("docs", "openapi.json")
	committed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !*harness.Update { // the version is the server's: any that says the same otherwise will do
		var was struct {
			Info object `json:"info"`
		}
		if err := json.Unmarshal(committed, &was); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		help.Document["info"].(object)["version"] = was.Info["version"]
	}
	made, err := json.MarshalIndent(help.Document, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	made = append(made, '\n')
	if *harness.Update {
		if err := os.WriteFile(path, made, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(committed, made) {
		t.Errorf("%s is not what Vault says: write it anew with %s", path,
			harness.UpdateCommand(t))
	}

	// Vault's own document has every path, under the mount's.
	var whole struct {
		Paths map[string]object `json:"paths"`
	}
	e.Get("sys/internal/specs/openapi").Want(200).Into(&whole)
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
