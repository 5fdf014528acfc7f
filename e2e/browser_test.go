// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// browser does what a person's browser does: it loads pages, keeps cookies and
// submits the forms that it finds. Redirects wait for follow.
type browser struct {
	t      testing.TB
	client *http.Client
}

// newBrowser is a browser that trusts the simulator's CA.
func newBrowser(sim *simulator) *browser {
	sim.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		sim.t.Fatal(err)
	}
	b := &browser{t: sim.t, client: sim.client()}
	b.client.Jar = jar
	return b
}

// webPage is what the browser shows.
type webPage struct {
	url      *url.URL
	status   int
	header   http.Header
	location string // where a redirect leads
	text     string // what a person reads, with single spaces
	form     *form  // the first one, nil if there is none
}

// form is a form of a page.
type form struct {
	method string
	action string // resolved
	hidden url.Values
}

func (b *browser) open(address string) *webPage {
	b.t.Helper()
	return b.load(b.client.Get(address))
}

// submit sends a page's form, its hidden fields together with what was filled in.
func (b *browser) submit(p *webPage, fill url.Values) *webPage {
	b.t.Helper()
	if p.form == nil {
		b.t.Fatalf("no form on the page at %s: %s", p.url, p.text)
	}
	values := url.Values{}
	for _, fields := range []url.Values{p.form.hidden, fill} {
		for name, v := range fields {
			values[name] = v
		}
	}
	if p.form.method != "post" {
		b.t.Fatalf("the form's method is %q", p.form.method)
	}
	return b.load(b.client.PostForm(p.form.action, values))
}

func (b *browser) load(resp *http.Response, err error) *webPage {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	p := &webPage{url: resp.Request.URL, status: resp.StatusCode, header: resp.Header, location: resp.Header.Get("Location")}
	if p.location != "" {
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
		case n.Type == html.TextNode && n.Parent.Data != "style" && n.Parent.Data != "script" && n.Parent.Data != "noscript":
			words = append(words, strings.Fields(n.Data)...)
		case n.Type == html.ElementNode && n.Data == "form" && p.form == nil:
			p.form = b.readForm(p.url, n)
		}
	}
	p.text = strings.Join(words, " ")
	return p
}

func (b *browser) readForm(page *url.URL, n *html.Node) *form {
	b.t.Helper()
	action, err := page.Parse(attribute(n, "action"))
	if err != nil {
		b.t.Fatal(err)
	}
	f := &form{method: attribute(n, "method"), action: action.String(), hidden: url.Values{}}
	for child := range n.Descendants() {
		if child.Data == "input" && attribute(child, "type") == "hidden" {
			f.hidden.Add(attribute(child, "name"), attribute(child, "value"))
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

// signIn opens an authorization URL and signs user in at Entra. The page it
// returns leads to the redirect URI: by its form, or by its location.
func (b *browser) signIn(authURL, user string) *webPage {
	b.t.Helper()
	p := b.submit(b.open(authURL), url.Values{"username": {user}, "action": {"signin"}})
	if p.status >= 400 {
		b.t.Fatalf("Entra says: %s", p.text)
	}
	return p
}

// follow goes from Entra's last page to the redirect URI.
func (b *browser) follow(p *webPage) *webPage {
	b.t.Helper()
	if p.location != "" {
		return b.open(p.location)
	}
	return b.submit(p, nil)
}

// confirm presses Confirm on Vault's page.
func (b *browser) confirm(p *webPage) *webPage {
	b.t.Helper()
	return b.submit(p, url.Values{"decision": {"confirm"}})
}

// wantPage fails the test unless the page has this status and says all of this.
func wantPage(t testing.TB, p *webPage, status int, says ...string) {
	t.Helper()
	if p.status != status {
		t.Fatalf("page at %s: status %d, want %d: %s", p.url, p.status, status, p.text)
	}
	for _, words := range says {
		if !strings.Contains(p.text, words) {
			t.Fatalf("page at %s does not say %q: %s", p.url, words, p.text)
		}
	}
}
