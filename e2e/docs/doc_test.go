// SPDX-License-Identifier: MPL-2.0

// Package docs holds the documents to what they say: commands, samples, transcripts, policies,
// recipes, the help, the OpenAPI document, the demo and the release.
package docs

// object is a JSON object.
type object = map[string]any
