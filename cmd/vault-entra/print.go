// SPDX-License-Identifier: MPL-2.0

package main

import (
	"encoding/json"
	"io"
)

// printJSON prints a value as people and jq read it.
func printJSON(out io.Writer, v any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}
