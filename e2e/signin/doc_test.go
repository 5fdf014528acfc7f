// SPDX-License-Identifier: MPL-2.0

// Package signin shows the ways to sign in: by a browser and its pages, a loopback listener, a
// device code, an import and the command vault-entra; and that none of what is secret
// on the way is written down.
package signin

// object is a JSON object.
type object = map[string]any
