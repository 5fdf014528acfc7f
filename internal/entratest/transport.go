// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
)

// Host is the name in [Simulator.Authority]. Only [Simulator.Transport] leads there.
const Host = "localhost"

// Authority is the URL that the discovery document stands under for clients that use
// [Simulator.Transport].
func (s *Simulator) Authority() string { return "https://" + Host + "/" + s.Tenant() + "/v2.0" }

// Transport returns a transport that hands every request to this simulator without a socket,
// whatever host it names: [Host], the hosts of Entra's clouds, or any other.
//
// It is good for a [testing/synctest] bubble if the simulator is made in the bubble: a request
// waits on channels and timers only. Each runs in a goroutine of its own, which ends before
// [Simulator.Close] returns. A caller whose context ends gets that context's error at once, and
// the simulator sees the context of the request end. A dropped connection is io.ErrUnexpectedEOF.
func (s *Simulator) Transport() http.RoundTripper { return transport{s} }

type transport struct{ s *Simulator }

// exchange is what became of one request.
type exchange struct {
	resp *http.Response
	err  error
}

// RoundTrip implements [http.RoundTripper].
func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	in, err := incoming(req)
	if err != nil {
		return nil, err
	}
	if !t.s.enter() {
		return nil, errors.New("connection refused: the simulator is closed")
	}
	done := make(chan exchange, 1)
	go func() {
		defer t.s.running.Done()
		done <- t.serve(in)
	}()
	select {
	case e := <-done:
		if e.resp != nil {
			e.resp.Request = req
		}
		return e.resp, e.err
	case <-req.Context().Done():
		return nil, context.Cause(req.Context())
	}
}

// incoming is a client's request as a server sees it, with its body read to the end: the client
// may not be asked for more of it once RoundTrip has returned.
func incoming(req *http.Request) (*http.Request, error) {
	in := req.Clone(req.Context())
	in.RequestURI, in.RemoteAddr, in.Body = req.URL.RequestURI(), "127.0.0.1:0", http.NoBody
	if in.Host == "" {
		in.Host = req.URL.Host
	}
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		if errClose := req.Body.Close(); err == nil {
			err = errClose
		}
		if err != nil {
			return nil, fmt.Errorf("reading the request's body: %w", err)
		}
		in.Body = io.NopCloser(bytes.NewReader(body))
	}
	return in, nil
}

// enter counts a handler that is about to start; false once the simulator is closed.
func (s *Simulator) enter() bool {
	s.transportMu.Lock()
	defer s.transportMu.Unlock()
	if s.closed {
		return false
	}
	s.running.Add(1)
	return true
}

// serve runs the handler. What net/http makes a closed connection of becomes an error.
func (t transport) serve(in *http.Request) (e exchange) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			e = exchange{err: fmt.Errorf("the connection was closed: %w", io.ErrUnexpectedEOF)}
		default:
			panic(p)
		}
	}()
	recorder := httptest.NewRecorder()
	t.s.ServeHTTP(recorder, in)
	return exchange{resp: recorder.Result()}
}
