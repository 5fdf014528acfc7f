// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/problem"
	"vault-plugin-secrets-entra/internal/signin"
)

//go:embed callback_page.html
var pagesHTML string

//go:embed callback_page.css
var pagesCSS string

var pageTemplate = template.Must(template.New("pages").Parse(pagesHTML))

// The pages' policy: no script, nothing from elsewhere, their own style only.
// Vault passes headers on only where the mount allows them, so it stands in the
// page too; frame-ancestors counts in the header alone (CSP level 3, section 3.3).
var (
	metaPolicy = "default-src 'none'; base-uri 'none'; form-action 'self'; " +
		"style-src 'sha256-" + styleHash() + "'"
	headerPolicy = metaPolicy + "; frame-ancestors 'none'"
)

func styleHash() string {
	sum := sha256.Sum256([]byte(pagesCSS))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// page is what a person sees at the browser callback. Every value is escaped by
// the template.
type page struct {
	status   int
	Title    string
	Text     []string
	Facts    []pageFact
	Command  string // to type next
	ForAdmin string // to copy
	Confirm  *confirmForm
}

type pageFact struct{ Name, Value string }

// confirmForm carries code and state to the second visit.
type confirmForm struct{ Code, State, Issuer string }

// MetaPolicy and Style are for the template.
func (p *page) MetaPolicy() string  { return metaPolicy }
func (p *page) Style() template.CSS { return template.CSS(pagesCSS) } // ours, embedded

// response is the page as Vault sends it. The body is bytes: a string that looks
// like base64 would be decoded on its way.
func (p *page) response() (*logical.Response, error) {
	var body bytes.Buffer
	if err := pageTemplate.ExecuteTemplate(&body, "page", p); err != nil {
		return nil, fmt.Errorf("callback page: %w", err)
	}
	return &logical.Response{
		Data: map[string]any{
			logical.HTTPContentType: "text/html; charset=utf-8",
			logical.HTTPStatusCode:  p.status,
			logical.HTTPRawBody:     body.Bytes(),
		},
		Headers: map[string][]string{
			"Content-Security-Policy": {headerPolicy},
			"X-Frame-Options":         {"DENY"},
			"Referrer-Policy":         {"same-origin"},
		},
	}, nil
}

// confirmPage says what is about to happen. Who is signed in is not known yet:
// the code is not redeemed before the person confirms.
func (b *backend) confirmPage(login *account.Login, resp *signin.AuthorizationResponse) *page {
	return &page{
		status: http.StatusOK,
		Title:  "Let Vault keep your sign-in?",
		Text: []string{
			"You have signed in to Microsoft Entra ID. If you confirm, Vault keeps this sign-in, " +
				"and everybody whom Vault allows to read this account can act as you within the " +
				"permissions below, for months.",
			"Confirm only if you asked for this yourself, or know who did and why.",
		},
		Facts: []pageFact{
			{"Account", login.Account},
			{"Vault mount", b.mount()},
			{"Asked for by", cut(login.RequestedBy.String())},
			{"Asked for at", login.RequestedBy.Time.Format(time.RFC1123)},
			{"Permissions", strings.Join(permissions(login.Consent), ", ")},
		},
		Confirm: &confirmForm{Code: resp.Code.Reveal(), State: resp.State, Issuer: resp.Issuer},
	}
}

func (b *backend) donePage(login *account.Login, e *account.Entry) *page {
	return &page{
		status: http.StatusOK,
		Title:  "You are signed in",
		Text:   []string{"Vault now keeps this sign-in. You can close this page."},
		Facts: []pageFact{
			{"Signed in", cut(displayUser(e))},
			{"Account", login.Account},
			{"Vault mount", b.mount()},
			{"Permissions", strings.Join(permissions(e.Granted), ", ")},
		},
	}
}

// permissions are the scopes that let somebody do something.
func permissions(scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool {
		return slices.Contains([]string{"openid", "profile", "email", "offline_access"}, scope)
	})
}

func displayUser(e *account.Entry) string {
	if e.User.Name == "" || e.User.Name == e.User.Username {
		return e.User.Username
	}
	return fmt.Sprintf("%s (%s)", e.User.Name, e.User.Username)
}

func (b *backend) cancelledPage(login *account.Login) *page {
	return &page{
		status: http.StatusOK,
		Title:  "Cancelled",
		Text:   []string{"Nothing was kept. You can close this page."},
		Facts:  []pageFact{{"Account", login.Account}, {"Vault mount", b.mount()}},
	}
}

// problemPage explains in a person's words what went wrong and whose turn it is.
func (b *backend) problemPage(p *problem.Error) *page {
	shown := &page{
		status: p.Status(),
		Title:  "The sign-in did not work",
		Text:   []string{sentence(p.Text)},
	}
	if p.Said != "" {
		shown.Text = []string{
			"Microsoft Entra ID says: “" + strings.TrimSuffix(cut(p.Said), ".") + "”.", "Nothing was kept.",
		}
	}
	switch {
	case p.Detail == problem.UnknownState:
		return usedPage()
	case p.Detail == problem.Expired:
		shown.Title = "This sign-in has expired"
		shown.Text = append(shown.Text, "Nothing was kept.")
	case p.Detail == problem.Declined:
		shown.Title = "You did not sign in"
		shown.Text = []string{"You cancelled at Microsoft Entra ID. Nothing was kept, " +
			"and you can close this page."}
	case p.Detail == problem.WrongUser:
		shown.status = http.StatusForbidden
		shown.Title = "This account is not yours to sign in to"
		shown.Text = append(shown.Text, "Nothing of your sign-in was kept.")
	case p.Code == problem.EntraUnavailable:
		shown.Title = "Microsoft Entra ID did not answer"
	case p.Code == problem.ClientRejected:
		shown.Title = "Microsoft Entra ID refuses this app"
	}
	shown.Command = p.CommandAt(b.mount())
	if p.EntraCode != "" || p.CorrelationID != "" {
		shown.ForAdmin = strings.TrimSpace(
			p.EntraCode + "\ncorrelation_id " + p.CorrelationID + "\n" + p.Hint)
	}
	return shown
}

// sentence makes a sentence of an error's text. One that begins with the name of a
// field or a user keeps it as it is.
func sentence(text string) string {
	for _, word := range []string{"account ", "the "} {
		if strings.HasPrefix(text, word) {
			text = strings.ToUpper(text[:1]) + text[1:]
		}
	}
	return strings.TrimSuffix(text, ".") + "."
}

// maxShown is how many runes of a value that somebody else chose a page shows.
const maxShown = 200

// cut shortens an over-long value.
func cut(value string) string {
	if runes := []rune(value); len(runes) > maxShown {
		return string(runes[:maxShown-1]) + "…"
	}
	return value
}

// usedPage answers a state that no login waits for: a reload, the back button, or
// a stranger. Who has just signed in must not be frightened by it.
func usedPage() *page {
	return &page{
		status: http.StatusBadRequest,
		Title:  "Nothing waits for this sign-in",
		Text: []string{
			"It has been completed or cancelled already, it was replaced by a newer one, " +
				"or it never began here (unknown state).",
			"If you have just signed in, all is well: you can close this page. " +
				"Otherwise start the sign-in again.",
		},
	}
}

func internalErrorPage() *page {
	return &page{
		status: http.StatusInternalServerError,
		Title:  "Vault could not finish the sign-in",
		Text:   []string{"Something failed inside Vault; its log says more. Start the sign-in again later."},
	}
}
