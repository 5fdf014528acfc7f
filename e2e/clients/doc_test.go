// SPDX-License-Identifier: MPL-2.0

// Package clients runs programs that others have written: readers of tokens, and providers and
// Microsoft's own clients, which show that the simulator is a fair judge.
package clients

// object is a JSON object.
type object = map[string]any
