// SPDX-License-Identifier: MPL-2.0

package explore

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// transport is one instance's way to the authority.
type transport struct {
	w *world
	i *instance
}

// journey is what becomes of one request.
type journey struct {
	there, back time.Duration
	fails       bool // 503
	drops       bool // the answer
}

func (t transport) journey(who *caller) journey {
	r := t.w.roll(who, "entra")
	j := journey{
		there: between(r, 5*time.Millisecond, 60*time.Millisecond),
		back:  between(r, 5*time.Millisecond, 60*time.Millisecond),
	}
	if chance(r, t.w.climate.slow) {
		j.there += between(r, 0, 6*time.Second)
	}
	if chance(r, t.w.climate.slow) {
		j.back += between(r, 0, 6*time.Second)
	}
	j.fails = chance(r, t.w.climate.authorityFail)
	j.drops = chance(r, t.w.climate.authorityDrop)
	return j
}

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, w := req.Context(), t.w
	form, err := formOf(req)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	who := callerOf(ctx, t.i)
	by, _ := ctx.Value(runKey{}).(*run)
	j := t.journey(who)
	e := w.authority.depart(t.i, form, who == t.i.background)
	if by != nil {
		by.called = true
		if by.kind == "check" {
			w.violated("check: %s calls the authority", by)
		}
	}
	sentAt := w.now()
	w.mu.Unlock()

	answer, err := t.exchange(ctx, req, form, j, by)
	if ctx.Err() != nil {
		time.Sleep(j.there / 1000) // who waits for the same context comes first
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.authority.arrive(e)
	t.trace(who, form, answer, err)
	if err != nil {
		if answer != nil {
			answer.lost()
		}
		return nil, err
	}
	if answer.token != nil {
		answer.token.given, t.i.lastToken = t.i, w.now()
	}
	if answer.clientRefusal > 0 && ctx.Err() == nil {
		w.authority.clientRefusals = append(w.authority.clientRefusals,
			clientRefusal{t.i, answer.clientRefusal, sentAt, w.now()})
	}
	return answer.response(req), nil
}

// exchange lets the request travel, be processed, and its answer travel. An answer with an
// error is one that was lost on its way.
func (t transport) exchange(ctx context.Context, req *http.Request, form url.Values, j journey, by *run) (*reply, error) {
	if !sleep(ctx, j.there) {
		return nil, context.Cause(ctx)
	}
	if t.weather() == hangs && !sleep(ctx, 24*time.Hour) {
		return nil, context.Cause(ctx)
	}
	t.w.mu.Lock()
	answer := t.process(req, form, j, by)
	drops := j.drops || t.currentWeather() == drops
	t.w.mu.Unlock()
	if !sleep(ctx, j.back) {
		return answer, context.Cause(ctx)
	}
	if drops {
		return answer, fmt.Errorf("the connection was closed: %w", io.ErrUnexpectedEOF)
	}
	return answer, nil
}

// lost notes that a refresh token never reached anybody.
func (r *reply) lost() {
	if r.token != nil {
		r.family.forgive("the answer with its refresh token was lost")
	}
}

func (t transport) weather() string {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	return t.currentWeather()
}

func (t transport) currentWeather() string {
	if a := t.w.authority; t.w.now() < a.until {
		return a.weather
	}
	return calm
}

// process is the authority's own work. The caller holds mu.
func (t transport) process(req *http.Request, form url.Values, j journey, by *run) *reply {
	a := t.w.authority
	switch weather := t.currentWeather(); {
	case weather == refuses || j.fails:
		return &reply{status: http.StatusServiceUnavailable, body: map[string]any{}}
	case weather == throttles:
		a.pausedTo = max(a.pausedTo, t.w.now()+a.retryAfter)
		return &reply{status: http.StatusTooManyRequests, retryAfter: a.retryAfter,
			body: map[string]any{}}
	case req.Method == http.MethodGet:
		return &reply{status: http.StatusOK, body: keySet()}
	}
	return a.token(form, t.i, by)
}

// depart notes that a request is under way. The caller holds mu.
func (a *authority) depart(i *instance, form url.Values, background bool) *exchange {
	a.calls++
	e := &exchange{by: i}
	if t := a.refresh[form.Get("refresh_token")]; t != nil {
		e.family = t.family
		if t.kept && !i.mayWrite() && !i.dead {
			a.w.violated("not active: %s spends a refresh token of family %d", i.name,
				t.family.number)
		}
		if background {
			a.background = append(a.background, backgroundCall{a.w.now(), t.family})
		}
		if i.dead {
			t.family.forgive("a node that was killed spends its token")
		}
	}
	a.sent = append(a.sent, e)
	return e
}

func (a *authority) arrive(e *exchange) {
	a.sent = slices.DeleteFunc(a.sent, func(o *exchange) bool { return o == e })
}

func (r *reply) response(req *http.Request) *http.Response {
	body, err := json.Marshal(r.body)
	if err != nil {
		panic(err)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	if r.retryAfter > 0 {
		header.Set("Retry-After", fmt.Sprint(int(r.retryAfter/time.Second)))
	}
	return &http.Response{StatusCode: r.status, Header: header, Request: req,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body))}
}

func formOf(req *http.Request) (url.Values, error) {
	if req.Body == nil {
		return url.Values{}, nil
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	_ = req.Body.Close()
	return url.ParseQuery(string(body))
}

// trace notes an exchange. The caller holds mu.
func (t transport) trace(who *caller, form url.Values, answer *reply, err error) {
	if !t.w.options.Trace {
		return
	}
	asked := strings.Join([]string{form.Get("grant_type"), form.Get("refresh_token"),
		plainScopes(form.Get("scope")), form.Get("claims")}, " ")
	became := fmt.Sprint(err)
	switch {
	case answer != nil && answer.token != nil:
		became = fmt.Sprintf("%d %s %v", answer.status, answer.token.text, err)
	case answer != nil:
		became = fmt.Sprintf("%d %v %v", answer.status, answer.body["error_codes"], err)
	}
	t.w.note(who.name, "entra", strings.Join(strings.Fields(t.i.name+" "+asked), " ")+" -> "+became)
}
