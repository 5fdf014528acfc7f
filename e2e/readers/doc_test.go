// SPDX-License-Identifier: MPL-2.0

// Package readers runs programs that others have written and that get access tokens from the
// engine, as docs/recipes has them: over expiries, an outage of Entra, a revoked grant, a
// disabled and a deleted account. A reader says how it is started and where its token shows;
// the stage does the rest, and one table at the end says what each of them did.
package readers

// object is a JSON object.
type object = map[string]any
