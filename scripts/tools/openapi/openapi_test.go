// SPDX-License-Identifier: MPL-2.0

// Package openapi holds docs/openapi.json to what its readers do with it: it is
// valid, says all that it should, and a client that is generated from it compiles.
// That it is what Vault answers is for the end-to-end tests to say.
package openapi

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oapi-codegen/oapi-codegen/v2/pkg/codegen"
	_ "github.com/oapi-codegen/runtime" // what is generated imports it
)

func load(t *testing.T) *openapi3.T {
	t.Helper()
	loader := openapi3.NewLoader()
	// It resolves every reference.
	document, err := loader.LoadFromFile(filepath.Join("..", "..", "..", "docs", "openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := document.Validate(loader.Context); err != nil {
		t.Fatal(err)
	}
	return document
}

func TestDescribed(t *testing.T) {
	document := load(t)
	operations := map[string]string{}
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			what := method + " " + path
			id := operation.OperationID
			if !strings.HasPrefix(id, "entra-") || operations[id] != "" {
				t.Errorf("%s: its operation id %q is wrong, or that of %s, too",
					what, id, operations[id])
			}
			operations[id] = what
			if operation.Summary == "" || operation.Responses.Len() == 0 {
				t.Errorf("%s has no summary, or no responses", what)
			}
			for _, p := range append(item.Parameters, operation.Parameters...) {
				if p.Value.Description == "" && p.Value.Name != "list" {
					t.Errorf("%s: parameter %s is not described", what, p.Value.Name)
				}
			}
		}
	}
	if len(operations) < 24 {
		t.Errorf("only %d operations: %v", len(operations), operations)
	}
	for name, schema := range document.Components.Schemas {
		for field, property := range schema.Value.Properties {
			if property.Value.Description == "" && field != "keys" {
				t.Errorf("%s: field %s is not described", name, field)
			}
		}
	}
}

// TestGenerates generates a Go client and compiles it.
func TestGenerates(t *testing.T) {
	code, err := codegen.Generate(load(t), codegen.Configuration{
		PackageName:   "generated",
		Generate:      codegen.GenerateOptions{Models: true, Client: true},
		OutputOptions: codegen.OutputOptions{ResponseTypeSuffix: "Answer"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, function := range []string{"EntraReadToken(", "EntraConfigure(", "EntraStartLogin("} {
		if !strings.Contains(code, function) {
			t.Errorf("the client has no function %s", function)
		}
	}
	// Compiled as a package of this module that exists in an overlay only.
	dir := t.TempDir()
	here, err := filepath.Abs("generated")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(here, "client.go"): filepath.Join(dir, "client.go"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"client.go": []byte(code), "overlay.json": overlay,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-buildvcs=false",
		"-overlay", filepath.Join(dir, "overlay.json"), "./generated")
	if out, err := build.CombinedOutput(); err != nil {
		t.Errorf("the client does not compile: %v\n%s", err, out)
	}
}
