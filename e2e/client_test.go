// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// client speaks Vault's HTTP API, without the retries of Vault's own client: a
// test wants to see the first answer.
type client struct {
	t     testing.TB
	addr  string
	token string

	heard func(*answer) // is told every answer, if it is set
}

// callTime bounds one call.
const callTime = 30 * time.Second

// direct follows no redirect: a standby that cannot forward yet answers with one.
var direct = &http.Client{
	Timeout:       callTime,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// answer is what Vault said.
type answer struct {
	t        testing.TB
	what     string
	status   int
	header   http.Header
	body     []byte
	Data     map[string]any `json:"data"`
	Warnings []string       `json:"warnings"`
	Errors   []string       `json:"errors"`
}

func (c *client) get(path string) *answer { c.t.Helper(); return c.call(http.MethodGet, path, nil) }
func (c *client) put(path string, body any) *answer {
	c.t.Helper()
	return c.call(http.MethodPut, path, body)
}

// call makes a request with a JSON body, none if body is nil. A call that gets
// no answer fails the test.
func (c *client) call(method, path string, body any) *answer {
	c.t.Helper()
	a, err := c.try(method, path, body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// try is call for those who expect that there may be no answer.
func (c *client) try(method, path string, body any) (*answer, error) {
	var payload []byte
	if body != nil {
		var err error
		if payload, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequest(method, c.addr+"/v1/"+path, bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Vault-Request", "true")
	if c.token != "" {
		req.Header.Set("X-Vault-Token", c.token)
	}
	a := &answer{t: c.t, what: method + " " + path}
	err = a.read(direct.Do(req))
	if err == nil && c.heard != nil {
		c.heard(a)
	}
	return a, err
}

func (a *answer) read(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	a.status, a.header = resp.StatusCode, resp.Header
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		return err
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") && len(a.body) > 0 {
		return json.Unmarshal(a.body, a)
	}
	return nil
}

// want fails the test unless the status is one of these.
func (a *answer) want(status ...int) *answer {
	a.t.Helper()
	for _, code := range status {
		if a.status == code {
			return a
		}
	}
	a.t.Fatalf("%s: status %d, want %v: %s", a.what, a.status, status, a.body)
	return nil
}

// into decodes the whole body.
func (a *answer) into(v any) {
	a.t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		a.t.Fatalf("%s: %v in %s", a.what, err, a.body)
	}
}

// text is a string of the data.
func (a *answer) text(name string) string {
	a.t.Helper()
	v, ok := a.Data[name].(string)
	if !ok {
		a.t.Fatalf("%s: no string %q in %s", a.what, name, a.body)
	}
	return v
}

// number is an integer of the data.
func (a *answer) number(name string) int {
	a.t.Helper()
	v, ok := a.Data[name].(float64)
	if !ok || v != float64(int(v)) {
		a.t.Fatalf("%s: no integer %q in %s", a.what, name, a.body)
	}
	return int(v)
}

// wantError fails the test unless the answer is this status and its first error
// begins with prefix.
func (a *answer) wantError(status int, prefix string) *answer {
	a.t.Helper()
	a.want(status)
	if len(a.Errors) == 0 || !strings.HasPrefix(a.Errors[0], prefix) {
		a.t.Fatalf("%s: errors %q, want the first to begin with %q", a.what, a.Errors, prefix)
	}
	return a
}

// time is a time of the data, which must be RFC 3339 in UTC.
func (a *answer) time(name string) time.Time {
	a.t.Helper()
	v, err := time.Parse(time.RFC3339, a.text(name))
	if err != nil || v.Location() != time.UTC {
		a.t.Fatalf("%s: %s is %q, want RFC 3339 in UTC (%v)", a.what, name, a.text(name), err)
	}
	return v
}
