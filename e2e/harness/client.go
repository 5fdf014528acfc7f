// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Client speaks Vault's HTTP API, without the retries of Vault's own client: a
// test wants to see the first answer.
type Client struct {
	T     testing.TB
	Addr  string
	Token string

	Heard func(*Answer) // is told every answer, if it is set
}

// callTime bounds one call.
const callTime = 30 * time.Second

// direct follows no redirect: a standby that cannot forward yet answers with one.
var direct = &http.Client{
	Timeout:       callTime,
	CheckRedirect: noRedirect,
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Answer is what Vault said.
type Answer struct {
	t        testing.TB
	What     string `json:"-"` // method and path
	Status   int    `json:"-"`
	header   http.Header
	Body     []byte         `json:"-"`
	Data     map[string]any `json:"data"`
	Warnings []string       `json:"warnings"`
	Errors   []string       `json:"errors"`
}

// Get reads a path.
func (c *Client) Get(path string) *Answer {
	c.T.Helper()
	return c.Call(http.MethodGet, path, nil)
}

// Put writes to a path.
func (c *Client) Put(path string, body any) *Answer {
	c.T.Helper()
	return c.Call(http.MethodPut, path, body)
}

// Call makes a request with a JSON body, none if body is nil. A call that gets
// no answer fails the test.
func (c *Client) Call(method, path string, body any) *Answer {
	c.T.Helper()
	a, err := c.Try(method, path, body)
	if err != nil {
		c.T.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// Try is call for those who expect that there may be no answer.
func (c *Client) Try(method, path string, body any) (*Answer, error) {
	var payload []byte
	if body != nil {
		var err error
		if payload, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequest(method, c.Addr+"/v1/"+path, bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Vault-Request", "true")
	if c.Token != "" {
		req.Header.Set("X-Vault-Token", c.Token)
	}
	a := &Answer{t: c.T, What: method + " " + path}
	err = a.read(direct.Do(req))
	if err == nil && c.Heard != nil {
		c.Heard(a)
	}
	return a, err
}

func (a *Answer) read(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	a.Status, a.header = resp.StatusCode, resp.Header
	if a.Body, err = io.ReadAll(resp.Body); err != nil {
		return err
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") && len(a.Body) > 0 {
		return json.Unmarshal(a.Body, a)
	}
	return nil
}

// Want fails the test unless the status is one of these.
func (a *Answer) Want(status ...int) *Answer {
	a.t.Helper()
	for _, code := range status {
		if a.Status == code {
			return a
		}
	}
	a.t.Fatalf("%s: status %d, want %v: %s", a.What, a.Status, status, a.Body)
	return nil
}

// Into decodes the whole body.
func (a *Answer) Into(v any) {
	a.t.Helper()
	if err := json.Unmarshal(a.Body, v); err != nil {
		a.t.Fatalf("%s: %v in %s", a.What, err, a.Body)
	}
}

// Text is a string of the data.
func (a *Answer) Text(name string) string {
	a.t.Helper()
	v, ok := a.Data[name].(string)
	if !ok {
		a.t.Fatalf("%s: no string %q in %s", a.What, name, a.Body)
	}
	return v
}

// Number is an integer of the data.
func (a *Answer) Number(name string) int {
	a.t.Helper()
	v, ok := a.Data[name].(float64)
	if !ok || v != float64(int(v)) {
		a.t.Fatalf("%s: no integer %q in %s", a.What, name, a.Body)
	}
	return int(v)
}

// WantError fails the test unless the answer is this status and its first error
// begins with prefix.
func (a *Answer) WantError(status int, prefix string) *Answer {
	a.t.Helper()
	a.Want(status)
	if len(a.Errors) == 0 || !strings.HasPrefix(a.Errors[0], prefix) {
		a.t.Fatalf("%s: errors %q, want the first to begin with %q", a.What, a.Errors, prefix)
	}
	return a
}

// Time is a time of the data, which must be RFC 3339 in UTC.
func (a *Answer) Time(name string) time.Time {
	a.t.Helper()
	v, err := time.Parse(time.RFC3339, a.Text(name))
	if err != nil || v.Location() != time.UTC {
		a.t.Fatalf("%s: %s is %q, want RFC 3339 in UTC (%v)", a.What, name, a.Text(name), err)
	}
	return v
}
