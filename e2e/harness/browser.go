// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// Browser does what a person's browser does: it loads pages, keeps cookies and
// submits the forms that it finds. Redirects wait for Follow.
type Browser struct {
	t      testing.TB
	client *http.Client
}

// NewBrowser is a browser that trusts the simulator's CA.
func NewBrowser(sim *Simulator) *Browser {
	sim.t.Helper()
	return newBrowser(sim.t, sim.HTTPClient())
}

// NewPlainBrowser is a browser for pages without TLS.
func NewPlainBrowser(t testing.TB) *Browser {
	t.Helper()
	return newBrowser(t, &http.Client{Timeout: callTime, CheckRedirect: noRedirect})
}

func newBrowser(t testing.TB, client *http.Client) *Browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client.Jar = jar
	return &Browser{t: t, client: client}
}

// Page is what the browser shows.
type Page struct {
	URL      *url.URL
	Status   int
	Header   http.Header
	Location string // where a redirect leads
	Text     string // what a person reads, with single spaces
	Form     *Form  // the first one, nil if there is none
}

// Form is a form of a page.
type Form struct {
	Method string
	action string // resolved
	Hidden url.Values
}

// Open loads a page.
func (b *Browser) Open(address string) *Page {
	b.t.Helper()
	return b.load(b.client.Get(address))
}

// Submit sends a page's form, its hidden fields together with what was filled in.
func (b *Browser) Submit(p *Page, fill url.Values) *Page {
	b.t.Helper()
	if p.Form == nil {
		b.t.Fatalf("no form on the page at %s: %s", p.URL, p.Text)
	}
	values := url.Values{}
	for _, fields := range []url.Values{p.Form.Hidden, fill} {
		for name, v := range fields {
			values[name] = v
		}
	}
	if p.Form.Method != "post" {
		b.t.Fatalf("the form's method is %q", p.Form.Method)
	}
	return b.load(b.client.PostForm(p.Form.action, values))
}

func (b *Browser) load(resp *http.Response, err error) *Page {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	p := &Page{
		URL: resp.Request.URL, Status: resp.StatusCode, Header: resp.Header,
		Location: resp.Header.Get("Location"),
	}
	if p.Location != "" {
		_, _ = io.Copy(io.Discard, resp.Body)
		return p
	}
	root, err := html.Parse(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	var words []string
	for n := range root.Descendants() {
		switch {
		case n.Type == html.TextNode && n.Parent.Data != "style" && n.Parent.Data != "script" &&
			n.Parent.Data != "noscript":
			words = append(words, strings.Fields(n.Data)...)
		case n.Type == html.ElementNode && n.Data == "form" && p.Form == nil:
			p.Form = b.readForm(p.URL, n)
		}
	}
	p.Text = strings.Join(words, " ")
	return p
}

func (b *Browser) readForm(page *url.URL, n *html.Node) *Form {
	b.t.Helper()
	action, err := page.Parse(attribute(n, "action"))
	if err != nil {
		b.t.Fatal(err)
	}
	f := &Form{Method: attribute(n, "method"), action: action.String(), Hidden: url.Values{}}
	for child := range n.Descendants() {
		if child.Data == "input" && attribute(child, "type") == "hidden" {
			f.Hidden.Add(attribute(child, "name"), attribute(child, "value"))
		}
	}
	return f
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// SignIn opens an authorization URL and signs user in at Entra. The page it
// returns leads to the redirect URI: by its form, or by its location.
func (b *Browser) SignIn(authURL, user string) *Page {
	b.t.Helper()
	p := b.Submit(b.Open(authURL), url.Values{"username": {user}, "action": {"signin"}})
	if p.Status >= 400 {
		b.t.Fatalf("Entra says: %s", p.Text)
	}
	return p
}

// Follow goes from Entra's last page to the redirect URI.
func (b *Browser) Follow(p *Page) *Page {
	b.t.Helper()
	if p.Location != "" {
		return b.Open(p.Location)
	}
	return b.Submit(p, nil)
}

// Confirm presses Confirm on Vault's page.
func (b *Browser) Confirm(p *Page) *Page {
	b.t.Helper()
	return b.Submit(p, url.Values{"decision": {"confirm"}})
}

// Complete signs a user in at Entra and presses Confirm on Vault's page.
func (b *Browser) Complete(authURL, user string) *Page {
	b.t.Helper()
	return b.Confirm(b.Follow(b.SignIn(authURL, user)))
}

// WantPage fails the test unless the page has this status and says all of this.
func WantPage(t testing.TB, p *Page, status int, says ...string) {
	t.Helper()
	if p.Status != status {
		t.Fatalf("page at %s: status %d, want %d: %s", p.URL, p.Status, status, p.Text)
	}
	for _, words := range says {
		if !strings.Contains(p.Text, words) {
			t.Fatalf("page at %s does not say %q: %s", p.URL, words, p.Text)
		}
	}
}
