// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// The OpenAPI document, from which clients are generated, has our operations,
// named and with their answers.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	var document struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	e.get("sys/internal/specs/openapi").want(200).into(&document)
	for path, methods := range map[string][]string{
		"/entra/config":             {"get", "post", "delete"},
		"/entra/login/{account}":    {"get", "post"},
		"/entra/callback":           {"get", "post"},
		"/entra/callback/{account}": {"post"},
		"/entra/token/{account}":    {"get", "post"},
		"/entra/account/":           {"get"},
		"/entra/account/{account}":  {"get", "delete"},
	} {
		for _, method := range methods {
			raw, there := document.Paths[path][method]
			if !there {
				t.Errorf("no operation %s %s", method, path)
				continue
			}
			var operation struct {
				ID        string         `json:"operationId"`
				Summary   string         `json:"summary"`
				Responses map[string]any `json:"responses"`
			}
			if err := json.Unmarshal(raw, &operation); err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
			if !strings.HasPrefix(operation.ID, "entra-") || operation.Summary == "" || len(operation.Responses) == 0 {
				t.Errorf("%s %s: %s", method, path, raw)
			}
		}
	}
}
