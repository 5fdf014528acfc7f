// SPDX-License-Identifier: MPL-2.0

// Package clients runs programs that others have written: providers and Microsoft's own clients,
// which show that the simulator is a fair judge, and the vault command at a terminal. What
// reads tokens is in package readers.
package clients

// object is a JSON object.
type object = map[string]any
