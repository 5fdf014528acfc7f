// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"encoding/base64"
	"html"
	"net/url"
	"strings"
	"unicode"
)

const (
	maxDescription = 300  // runes
	maxCode        = 64   // runes of an error code, a suberror, an id
	maxScanned     = 8192 // bytes of a text that are looked at at all
	telling        = 16   // so many bytes of a longer secret give it away
)

// secretParams are the members of a token request that must never come back out in an error.
var secretParams = []string{
	"code",
	"refresh_token",
	"client_secret",
	"client_assertion",
	"code_verifier",
	"device_code",
}

// redactor knows the secrets that one request sent. Providers do repeat them in their error texts.
type redactor []string

// newRedactor collects a token request's secrets in every form they can be repeated in: plain, as
// sent, and escaped for a page.
func newRedactor(clientID string, form url.Values, clientSecret Secret) redactor {
	var plain []string
	for _, name := range secretParams {
		plain = append(plain, form[name]...)
	}
	plain = append(plain, clientSecret.Reveal())
	var r redactor
	for _, secret := range plain {
		if secret == "" {
			continue
		}
		r = append(r, secret)
		for _, escaped := range []string{url.QueryEscape(secret), url.PathEscape(secret),
			html.EscapeString(secret)} {
			if escaped != secret {
				r = append(r, escaped)
			}
		}
	}
	if clientSecret != "" {
		r = append(r, basicCredentials(clientID, clientSecret))
	}
	return r
}

// basicCredentials is what follows "Basic " in an Authorization header (RFC 6749 section 2.3.1:
// both parts form-encoded first).
func basicCredentials(clientID string, clientSecret Secret) string {
	pair := url.QueryEscape(clientID) + ":" + url.QueryEscape(clientSecret.Reveal())
	return base64.StdEncoding.EncodeToString([]byte(pair))
}

// clean replaces whole secrets, and every longer piece of one, by [redacted].
func (r redactor) clean(text string) string {
	if len(text) > maxScanned {
		text = text[:maxScanned]
	}
	for _, secret := range r {
		text = strings.ReplaceAll(text, secret, redacted)
		text = replacePieces(text, secret)
	}
	return text
}

// replacePieces finds the runs of text that are pieces of secret, as a provider prints that cuts
// what it repeats.
func replacePieces(text, secret string) string {
	var out strings.Builder
	for i := 0; i < len(text); {
		end := i + telling
		if end > len(text) || !strings.Contains(secret, text[i:end]) {
			out.WriteByte(text[i])
			i++
			continue
		}
		for end < len(text) && strings.Contains(secret, text[i:end+1]) {
			end++
		}
		out.WriteString(redacted)
		i = end
	}
	return out.String()
}

// oneLine makes a text of a provider's fit for a log line, a page or an error: printable, one line,
// capped. Not printable are also the marks that turn the direction of writing, which could make a
// message read as another.
func oneLine(text string) string { return printable(text, maxDescription) }

func printable(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > limit {
		text = strings.TrimRight(string(runes[:limit-1]), " ") + "…"
	}
	return text
}
