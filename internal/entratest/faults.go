// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Endpoint names a part of the simulator that is counted and can fail.
type Endpoint string

// The endpoints.
const (
	Discovery  Endpoint = "discovery" // .well-known/openid-configuration
	Keys       Endpoint = "keys"      // JWKS
	Instance   Endpoint = "instance"  // instance discovery, as MSAL does it
	Authorize  Endpoint = "authorize"
	Token      Endpoint = "token"
	DeviceCode Endpoint = "devicecode"
)

// Match picks requests. An empty field picks all.
type Match struct {
	Endpoint Endpoint `json:"endpoint,omitempty"`
	// authorization_code, refresh_token, device_code
	GrantType string `json:"grant_type,omitempty"`
	// alice or alice@contoso.example; token requests only
	User     string `json:"user,omitempty"`
	ClientID string `json:"client_id,omitempty"`
	Scope    string `json:"scope,omitempty"` // one of the scopes asked for, ignoring case
}

// Fault is one scripted failure. What it does comes in this order: wait, then
// one of drop, hang or an answer of its own (Status, AADSTS, Body, BodySize).
// A fault with none of these lets the request be answered as usual; Omit, Set
// and IDToken then change that answer if it is a success.
type Fault struct {
	Match

	// After lets that many matching requests pass first. Times is for how many
	// the fault then lasts; 0 is until it is removed.
	After int `json:"after,omitempty"`
	Times int `json:"times,omitempty"`

	// AbovePerSecond lets so many matching requests of each second pass, as a throttle does.
	AbovePerSecond int `json:"above_per_second,omitempty"`

	// AfterProcessing lets the request take effect first: a refresh token is
	// rotated, a code is used up, and then the client gets the fault.
	AfterProcessing bool `json:"after_processing,omitempty"`

	Delay time.Duration   `json:"-"`
	Until <-chan struct{} `json:"-"` // wait until this is closed

	Drop bool `json:"drop,omitempty"` // close the connection without an answer
	Hang bool `json:"hang,omitempty"` // no answer until the client gives up

	// default 400, or what the AADSTS number has
	Status int `json:"status,omitempty"`
	// answer with this Entra error; at the authorize endpoint by a redirect
	AADSTS int `json:"aadsts,omitempty"`
	// its "error"; alone: an error with no AADSTS number
	Error    string `json:"error,omitempty"`
	Suberror string `json:"suberror,omitempty"` // its "suberror"
	Claims   string `json:"claims,omitempty"`   // its claims challenge
	Text     string `json:"text,omitempty"`     // its text
	Body     string `json:"body,omitempty"`     // answer with this very body
	// answer with that many bytes of JSON-like text
	BodySize   int64             `json:"body_size,omitempty"`
	RetryAfter string            `json:"retry_after,omitempty"` // header of the fault's answer
	Header     map[string]string `json:"header,omitempty"`      // more headers

	// members to leave out of a token response; refresh_token: nothing is rotated
	Omit    []string       `json:"omit,omitempty"`
	Set     map[string]any `json:"set,omitempty"` // members to put into a token response
	IDToken *IDTokenFault  `json:"id_token,omitempty"`
}

// IDTokenFault spoils an ID token.
type IDTokenFault struct {
	Kind   IDTokenKind    `json:"kind,omitempty"`
	Claims map[string]any `json:"claims,omitempty"` // claims to set; null removes one
}

// IDTokenKind names a way to spoil an ID token.
type IDTokenKind string

// The kinds of spoilt ID token.
const (
	IDWrongSignature IDTokenKind = "wrong_signature" // signed by another key under the right kid
	IDUnknownKey     IDTokenKind = "unknown_key"     // signed by a key that is in no JWKS
	IDAlgNone        IDTokenKind = "alg_none"        // no signature
	IDAlgHS256       IDTokenKind = "alg_hs256"       // signed with the public key as an HMAC secret
	IDWrongAudience  IDTokenKind = "wrong_aud"
	IDWrongNonce     IDTokenKind = "wrong_nonce"
	IDNoNonce        IDTokenKind = "no_nonce"
	IDWrongIssuer    IDTokenKind = "wrong_iss"
	IDWrongTenant    IDTokenKind = "wrong_tid" // tid and iss of another tenant
	IDTenantNoGUID   IDTokenKind = "tid_no_guid"
	IDExpired        IDTokenKind = "expired"
	IDNotYetValid    IDTokenKind = "not_yet_valid"
	IDOtherUser      IDTokenKind = "other_user"
	IDGarbage        IDTokenKind = "garbage" // no JWT at all
)

// validate refuses what a script has misspelt: such a fault would never be met,
// or do nothing.
func (f Fault) validate() error {
	endpoints := []Endpoint{"", Discovery, Keys, Instance, Authorize, Token, DeviceCode, signInPage,
		devicePage}
	kinds := []IDTokenKind{
		"", IDWrongSignature, IDUnknownKey, IDAlgNone, IDAlgHS256, IDWrongAudience, IDWrongNonce,
		IDNoNonce, IDWrongIssuer,
		IDWrongTenant, IDTenantNoGUID, IDExpired, IDNotYetValid, IDOtherUser, IDGarbage,
	}
	switch {
	case !slices.Contains(endpoints, f.Endpoint):
		return fmt.Errorf("no endpoint %q", f.Endpoint)
	case f.IDToken != nil && !slices.Contains(kinds, f.IDToken.Kind):
		return fmt.Errorf("no kind of ID token %q", f.IDToken.Kind)
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("status %d is not one of an answer", f.Status)
	case f.After < 0, f.Times < 0, f.BodySize < 0, f.AbovePerSecond < 0:
		return errors.New("after, times, body_size and above_per_second must not be negative")
	}
	return nil
}

// FaultScript is an ordered list of faults. A request meets the first one that
// matches it and is not used up.
type FaultScript struct {
	mu     sync.Mutex
	next   int
	faults []*scriptedFault
}

type scriptedFault struct {
	Fault
	id    int
	seen  int
	fired int

	second time.Time // that requests are counted in, for AbovePerSecond
	passed int
}

// passes reports whether the request is one of those that AbovePerSecond lets pass.
func (f *scriptedFault) passes(now time.Time) bool {
	if second := now.Truncate(time.Second); !second.Equal(f.second) {
		f.second, f.passed = second, 0
	}
	f.passed++
	return f.passed <= f.AbovePerSecond
}

func newFaultScript() *FaultScript { return &FaultScript{} }

// Add appends a fault and returns its id.
func (f *FaultScript) Add(fault Fault) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next++
	f.faults = append(f.faults, &scriptedFault{Fault: fault, id: f.next})
	return f.next
}

// Remove takes one fault out of the script; false if it was not there.
func (f *FaultScript) Remove(id int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, fault := range f.faults {
		if fault.id == id {
			f.faults = append(f.faults[:i], f.faults[i+1:]...)
			return true
		}
	}
	return false
}

// Clear removes all faults.
func (f *FaultScript) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// Fired returns how many requests have met a fault.
func (f *FaultScript) Fired(id int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range f.faults {
		if fault.id == id {
			return fault.fired
		}
	}
	return 0
}

// ScriptedFault is a fault with what became of it.
type ScriptedFault struct {
	ID    int `json:"id"`
	Fired int `json:"fired"`
	Fault
}

// List returns the script.
func (f *FaultScript) List() []ScriptedFault {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]ScriptedFault, 0, len(f.faults))
	for _, fault := range f.faults {
		list = append(list, ScriptedFault{ID: fault.id, Fired: fault.fired, Fault: fault.Fault})
	}
	return list
}

// take returns the fault that a request meets, or nil.
func (f *FaultScript) take(r Request) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range f.faults {
		if !fault.matches(r) || fault.Times > 0 && fault.fired >= fault.Times {
			continue
		}
		fault.seen++
		if fault.seen <= fault.After || fault.passes(time.Now()) {
			continue
		}
		fault.fired++
		met := fault.Fault
		return &met
	}
	return nil
}

func (m Match) matches(r Request) bool {
	user, _, _ := strings.Cut(r.User, "@")
	scope := m.Scope == ""
	for _, s := range strings.Fields(r.Scope) {
		scope = scope || strings.EqualFold(s, m.Scope)
	}
	return scope &&
		(m.Endpoint == "" || m.Endpoint == r.Endpoint) &&
		(m.GrantType == "" || m.GrantType == r.GrantType) &&
		(m.ClientID == "" || strings.EqualFold(m.ClientID, r.ClientID)) &&
		(m.User == "" || strings.EqualFold(m.User, r.User) || strings.EqualFold(m.User, user))
}

// perform does what a fault does instead of an answer. It reports whether the
// request is answered by that.
func (f *Fault) perform(c *call) bool {
	if !c.wait(f.Delay, f.Until) {
		panic(http.ErrAbortHandler)
	}
	switch {
	case f.Hang:
		c.wait(0, make(chan struct{}))
		panic(http.ErrAbortHandler)
	case f.Drop:
		panic(http.ErrAbortHandler) // net/http closes the connection without an answer
	case f.BodySize > 0:
		f.huge(c)
	case f.Body != "":
		f.answer(c, f.status(http.StatusBadRequest), "text/plain; charset=utf-8", []byte(f.Body))
	case f.AADSTS != 0 || f.Error != "":
		f.refuse(c)
	case f.Status != 0 && f.Status != http.StatusOK:
		// A gateway's answer, not OAuth's.
		f.answer(
			c,
			f.Status,
			"text/html",
			[]byte(
				"<html><body><h1>"+strconv.Itoa(f.Status)+" "+http.StatusText(
					f.Status)+"</h1></body></html>\n",
			),
		)
	default:
		return false
	}
	return true
}

func (f *Fault) status(otherwise int) int {
	if f.Status != 0 {
		return f.Status
	}
	return otherwise
}

func (f *Fault) refuse(c *call) {
	e := otherProviderError(f.Error, f.Text)
	if f.AADSTS != 0 {
		e = aadsts(f.AADSTS, f.Text)
	}
	if f.Error != "" {
		e.Err = f.Error
	}
	if f.Suberror != "" {
		e.Suberror = f.Suberror
	}
	if f.Claims != "" {
		e.Claims = f.Claims
	}
	if c.entry.Endpoint == Authorize {
		c.authorizeRefused(e)
		f.headers(c)
		return
	}
	body, err := json.Marshal(e.body(c.host(), c.traceID, c.correlationID, c.s.now()))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	c.entry.Error, c.entry.AADSTS = e.Err, e.Code
	f.answer(c, f.status(e.Status), "application/json; charset=utf-8", body)
}

func (f *Fault) answer(c *call, status int, contentType string, body []byte) {
	c.discard()
	c.header.Set("Content-Type", contentType)
	f.headers(c)
	c.status = status
	c.body.Write(body)
}

func (f *Fault) headers(c *call) {
	if f.RetryAfter != "" {
		c.header.Set("Retry-After", f.RetryAfter)
	}
	for name, value := range f.Header {
		c.header.Set(name, value)
	}
}

// huge answers with a body that a careful client stops reading.
func (f *Fault) huge(c *call) {
	c.discard()
	c.status = f.status(http.StatusOK)
	c.header.Set("Content-Type", "application/json; charset=utf-8")
	f.headers(c)
	c.padding = f.BodySize
}
