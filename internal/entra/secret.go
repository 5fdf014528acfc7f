// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// redacted stands wherever a secret would have been printed.
const redacted = "[redacted]"

// Secret is a string that must not be printed: a token, a client secret, an authorization code, a
// PKCE verifier. It is [redacted] under every fmt verb, in hclog's text and in slog, and its plain
// value in JSON, because JSON is how it is stored.
//
// Two holes cannot be closed by a type: fmt prints unexported struct fields without asking them,
// and hclog in JSON mode, which is how a plugin logs to Vault, marshals as storage does. So a
// struct that hides a Secret in an unexported field formats itself (see [Client.Format]), and no
// log line takes a Secret or a struct that holds one.
type Secret string

// Reveal returns the secret itself, for the wire and for storage.
func (s Secret) Reveal() string { return string(s) }

// Format implements fmt.Formatter, which goes before every verb, %#v and %q and %x included.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String is for the callers that ask for a Stringer without going through fmt.
func (s Secret) String() string { return redacted }

// MarshalText is for map keys, flags and the like.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue is what slog asks for.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON gives the plain value: a Secret in JSON is on its way to seal-wrapped storage.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(string(s)) }

// UnmarshalJSON takes the plain value that MarshalJSON gave. A token is nearly always ASCII without
// escapes: such a one is taken as it stands, for secrets are most of what an account's entry holds.
func (s *Secret) UnmarshalJSON(data []byte) error {
	n := len(data)
	if n < 2 || data[0] != '"' || data[n-1] != '"' {
		return json.Unmarshal(data, (*string)(s))
	}
	for _, b := range data[1 : n-1] { // slices.ContainsFunc calls a function for each byte
		if needsDecoding(b) {
			return json.Unmarshal(data, (*string)(s))
		}
	}
	*s = Secret(data[1 : n-1])
	return nil
}

// needsDecoding tells the bytes of a JSON string that do not stand for themselves, or are not
// allowed.
func needsDecoding(b byte) bool { return b < ' ' || b > '~' || b == '"' || b == '\\' }
