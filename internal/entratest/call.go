// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxForm bounds what is read of a request's body.
const maxForm = 1 << 20

// call is one request to an endpoint and the answer as it is being made. The
// answer is sent when all is done, so that a fault can still take its place.
type call struct {
	s                      *Simulator
	r                      *http.Request
	entry                  *Request
	at                     authority
	form                   url.Values
	traceID, correlationID string
	fault                  *Fault // what to change in a token response, or nil
	// for which the presented code or token was issued; "" if it is unknown
	platform Platform

	status  int
	header  http.Header
	body    bytes.Buffer
	padding int64 // that many bytes instead of a body
}

// serve runs one endpoint: it logs the request, lets it meet a fault, and
// sends the answer.
func (s *Simulator) serve(w http.ResponseWriter, r *http.Request, endpoint Endpoint,
	segment, policy string, handle func(*call)) {
	c := s.newCall(r, endpoint)
	at, refused := s.authorityFor(r.Host, segment, policy)
	c.at = at
	c.identify()
	s.log.begin(c.entry)
	started := time.Now()
	answered := false
	defer func() {
		if !answered { // a fault has dropped the connection
			c.entry.Status = 0
		}
		c.entry.Done, c.entry.Duration = true, time.Since(started)
		s.log.end(c.entry)
	}()

	fault := s.Faults.take(*c.entry)
	c.entry.Faulted = fault != nil
	switch {
	case fault != nil && !fault.AfterProcessing && fault.perform(c):
	case refused != nil:
		c.refuse(refused)
	default:
		c.fault = fault
		handle(c)
	}
	if fault != nil && fault.AfterProcessing {
		fault.perform(c)
	}
	c.entry.Status = c.status
	answered = true
	c.send(w)
}

func (s *Simulator) newCall(r *http.Request, endpoint Endpoint) *call {
	c := &call{s: s, r: r, status: http.StatusOK, header: make(http.Header), traceID: randomGUID()}
	if r.Body != nil {
		r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
	}
	// A body that is no form leaves the form empty, and the endpoint says what it misses.
	_ = r.ParseForm()
	c.form = r.Form
	if endpoint == Token || endpoint == DeviceCode {
		c.form = r.PostForm
	}
	if c.correlationID = r.Header.Get("client-request-id"); !isGUID(c.correlationID) {
		if c.correlationID = r.URL.Query().Get("client-request-id"); !isGUID(c.correlationID) {
			c.correlationID = randomGUID()
		}
	}
	grant := c.form.Get("grant_type")
	if grant == deviceGrantURN {
		grant = deviceGrantShort
	}
	clientID := c.form.Get("client_id")
	if id, _, ok := basicCredentials(r); ok && clientID == "" {
		clientID = id
	}
	c.entry = &Request{
		Time: s.now(), Endpoint: endpoint, Method: r.Method, Host: r.Host, Path: r.URL.Path,
		GrantType: grant, ClientID: clientID, Scope: c.form.Get("scope"),
		Params: s.logged(c.form), UserAgent: r.UserAgent(),
		AnchorMailbox: r.Header.Get("X-AnchorMailbox"), CorrelationID: c.correlationID,
	}
	return c
}

// identify finds out whose code or token a token request presents.
func (c *call) identify() {
	if c.entry.Endpoint != Token {
		return
	}
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch c.entry.GrantType {
	case "authorization_code":
		if code := s.codes[c.form.Get("code")]; code != nil {
			c.entry.User, c.platform = code.username, code.platform
		}
	case "refresh_token":
		if t := s.refreshTokens[hashToken(c.form.Get("refresh_token"))]; t != nil {
			c.entry.User, c.entry.family, c.platform = t.family.username, t.family.id,
				t.family.platform
		}
	case deviceGrantShort:
		if d := s.devices[c.form.Get("device_code")]; d != nil {
			c.entry.User, c.platform = d.username, d.platform
		}
	}
}

// secretParams never stand in the log unless it is asked for.
var secretParams = []string{
	"client_secret",
	"client_assertion",
	"code",
	"code_verifier",
	"refresh_token",
	"device_code",
	"password",
}

func (s *Simulator) logged(form url.Values) map[string]string {
	params := make(map[string]string, len(form))
	for name, values := range form {
		params[name] = strings.Join(values, ",")
	}
	if !s.logSecrets {
		for _, name := range secretParams {
			if _, ok := params[name]; ok {
				params[name] = "[redacted]"
			}
		}
	}
	return params
}

// wait pauses for d, then until the channel is closed (nil: not at all). It
// reports false if the client or the simulator has gone meanwhile.
func (c *call) wait(d time.Duration, until <-chan struct{}) bool {
	gone := c.r.Context().Done()
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-gone:
			return false
		case <-c.s.closing:
			return false
		}
	}
	if until != nil {
		select {
		case <-until:
		case <-gone:
			return false
		case <-c.s.closing:
			return false
		}
	}
	return true
}

func (c *call) host() string { return c.r.Host }

// json answers with a JSON document.
func (c *call) json(status int, document any) {
	body, err := json.Marshal(document)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	c.discard()
	c.status = status
	c.header.Set("Content-Type", "application/json; charset=utf-8")
	c.body.Write(body)
}

// refuse answers with an error as JSON.
func (c *call) refuse(e *entraError) {
	c.json(e.Status, e.body(c.host(), c.traceID, c.correlationID, c.s.now()))
	c.entry.Error, c.entry.AADSTS = e.Err, e.Code
}

// discard forgets the answer so far.
func (c *call) discard() {
	c.status, c.header, c.padding = http.StatusOK, make(http.Header), 0
	c.body.Reset()
}

// send writes the answer with the headers that Entra puts on every one.
func (c *call) send(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Cache-Control", "no-store, no-cache")
	header.Set("Pragma", "no-cache")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("x-ms-request-id", c.traceID)
	header.Set("x-ms-ests-server", "2.1.19000.1 - SIM")
	if strings.EqualFold(c.r.Header.Get("return-client-request-id"), "true") {
		header.Set("client-request-id", c.correlationID)
	}
	for name, values := range c.header {
		header[name] = values
	}
	if c.padding > 0 {
		header.Set("Content-Length", strconv.FormatInt(c.padding, 10))
		w.WriteHeader(c.status)
		_, _ = io.CopyN(w, padding{}, c.padding) // the client may stop reading
		return
	}
	header.Set("Content-Length", strconv.Itoa(c.body.Len()))
	w.WriteHeader(c.status)
	_, _ = w.Write(c.body.Bytes())
}

// padding reads as the start of a JSON string that never ends.
type padding struct{}

func (padding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	copy(p, `{"access_token":"`)
	return len(p), nil
}
