// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Redirect is where the browser is sent to at the end of a sign-in. It is not
// followed.
type Redirect struct {
	URI    string     // the redirect URI, without the answer's parameters
	Method string     // GET, or POST for form_post
	Params url.Values // code, state, error, …
	// the whole URL as it would stand in the address bar; for form_post the same as URI
	URL string
}

// PageError is an error that Entra shows to the person instead of redirecting.
type PageError struct {
	Status  int
	AADSTS  int
	Message string // with the AADSTS number
}

func (e *PageError) Error() string { return fmt.Sprintf("sign-in page: %s", e.Message) }

// Browser is a scripted browser with cookies of its own: a second sign-in in it
// finds the session of the first. It talks to the simulator directly, so the
// URL it opens may have any host.
type Browser struct {
	client *http.Client
}

// NewBrowser returns a browser that nobody has signed in with.
func (s *Simulator) NewBrowser() *Browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic("entratest: cookie jar: " + err.Error())
	}
	return &Browser{client: &http.Client{
		Transport: s.Transport(),
		Jar:       jar,
		CheckRedirect: func(*http.Request,
			[]*http.Request) error {
			return http.ErrUseLastResponse
		},
	}}
}

// SignIn opens an authorization URL in a new browser, signs the user in, agrees
// to what is asked, and returns the final redirect. An error page is a [*PageError].
func (s *Simulator) SignIn(ctx context.Context, authURL, user string) (Redirect, error) {
	return s.NewBrowser().SignIn(ctx, authURL, user)
}

// Cancel opens an authorization URL in a new browser and presses Cancel.
func (s *Simulator) Cancel(ctx context.Context, authURL string) (Redirect, error) {
	return s.NewBrowser().Cancel(ctx, authURL)
}

// ApproveDevice enters a device's user code and signs the user in.
func (s *Simulator) ApproveDevice(ctx context.Context, userCode, user string) error {
	return s.NewBrowser().device(ctx,
		url.Values{"otc": {userCode}, "username": {user}, "action": {"signin"}})
}

// DeclineDevice enters a device's user code and presses Cancel.
func (s *Simulator) DeclineDevice(ctx context.Context, userCode string) error {
	return s.NewBrowser().device(ctx, url.Values{"otc": {userCode}, "action": {"cancel"}})
}

// SignIn is like [Simulator.SignIn] in this browser. Where its session is
// enough, no page is shown and the session's user counts.
func (b *Browser) SignIn(ctx context.Context, authURL, user string) (Redirect, error) {
	return b.drive(ctx, authURL, url.Values{"username": {user}, "action": {"signin"}})
}

// Cancel is like [Simulator.Cancel] in this browser.
func (b *Browser) Cancel(ctx context.Context, authURL string) (Redirect, error) {
	return b.drive(ctx, authURL, url.Values{"action": {"cancel"}})
}

// Open opens an authorization URL and touches no page: it is an error if one is
// shown. Use it for prompt=none and single sign-on.
func (b *Browser) Open(ctx context.Context, authURL string) (Redirect, error) {
	return b.drive(ctx, authURL, nil)
}

// drive opens the URL, fills in the pages that come, and stops at the redirect.
func (b *Browser) drive(ctx context.Context, authURL string, fill url.Values) (Redirect, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, authURL, nil)
	if err != nil {
		return Redirect{}, err
	}
	const steps = 4 // authorize, sign in, consent, and one to spare
	for range steps {
		page, err := b.load(req)
		if err != nil {
			return Redirect{}, err
		}
		switch {
		case page.location != "":
			return redirectTo(page.location)
		case page.problem != nil:
			return Redirect{}, page.problem
		case page.formPost:
			return Redirect{URI: page.action, Method: http.MethodPost, Params: page.hidden,
				URL: page.action}, nil
		case fill == nil:
			return Redirect{}, errors.New("a page is shown that waits for a person")
		}
		form := url.Values{"flow": page.hidden["flow"]}
		for name, values := range fill {
			form[name] = values
		}
		if page.consent && form.Get("action") == "signin" {
			form.Set("action", "accept")
		}
		if req, err = postForm(ctx, page.action, form); err != nil {
			return Redirect{}, err
		}
	}
	return Redirect{}, errors.New("the sign-in pages do not come to an end")
}

func (b *Browser) device(ctx context.Context, form url.Values) error {
	req, err := postForm(ctx, "https://localhost/common/oauth2/deviceauth", form)
	if err != nil {
		return err
	}
	page, err := b.load(req)
	if err != nil {
		return err
	}
	if page.problem != nil {
		return page.problem
	}
	return nil
}

func postForm(ctx context.Context, action string, form url.Values) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, action,
		strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req, nil
}

// redirectTo reads a query or fragment redirect.
func redirectTo(location string) (Redirect, error) {
	u, err := url.Parse(location)
	if err != nil {
		return Redirect{}, fmt.Errorf("redirect: %w", err)
	}
	params := u.Query()
	if u.Fragment != "" {
		if params, err = url.ParseQuery(u.EscapedFragment()); err != nil {
			return Redirect{}, fmt.Errorf("redirect: %w", err)
		}
	}
	u.RawQuery, u.Fragment, u.RawFragment = "", "", ""
	return Redirect{URI: u.String(), Method: http.MethodGet, Params: params, URL: location}, nil
}

// browserPage is what a browser makes of an answer.
type browserPage struct {
	location string
	action   string
	hidden   url.Values
	formPost bool
	consent  bool
	problem  *PageError
}

// The simulator's own templates are all that these have to understand.
var (
	formTag    = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	hiddenTag  = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	problemTag = regexp.MustCompile(`<p class="problem"[^>]*>([^<]*)</p>`)
	aadstsText = regexp.MustCompile(`AADSTS(\d+)`)
)

func (b *Browser) load(req *http.Request) (*browserPage, error) {
	resp, err := b.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	page := &browserPage{location: resp.Header.Get("Location"), hidden: url.Values{}}
	if m := problemTag.FindSubmatch(body); m != nil || resp.StatusCode >= 400 {
		page.problem = &PageError{Status: resp.StatusCode, Message: strings.TrimSpace(string(body))}
		if m != nil {
			page.problem.Message = html.UnescapeString(string(m[1]))
		}
		if m := aadstsText.FindStringSubmatch(page.problem.Message); m != nil {
			page.problem.AADSTS, _ = strconv.Atoi(m[1]) // digits, by the expression
		}
	}
	if m := formTag.FindSubmatch(body); m != nil {
		page.action = html.UnescapeString(string(m[1]))
	}
	for _, m := range hiddenTag.FindAllSubmatch(body, -1) {
		page.hidden.Add(html.UnescapeString(string(m[1])), html.UnescapeString(string(m[2])))
	}
	page.formPost = strings.Contains(string(body), `id="response"`)
	page.consent = strings.Contains(string(body), `value="accept"`)
	return page, nil
}
