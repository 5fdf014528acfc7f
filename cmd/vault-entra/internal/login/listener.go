// SPDX-License-Identifier: MPL-2.0

package login

import (
	"context"
	"crypto/subtle"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"time"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// maxAnswer bounds what a browser may post: a code is one or two KiB.
const maxAnswer = 64 << 10

// listener waits on this machine for the browser to come back.
type listener struct {
	redirectURI string // with the port that is listened on
	path        string
	sockets     []net.Listener
	server      *http.Server
}

// listen opens the redirect URI's port on loopback, or a free one where it names
// none. The name localhost can mean either address.
func listen(redirectURI string) (*listener, error) {
	u, err := url.Parse(redirectURI)
	if err != nil || u.Scheme != "http" {
		return nil, fmt.Errorf(
			"-redirect-uri: %q is not a loopback URI such as http://localhost/callback",
			redirectURI)
	}
	hosts := map[string][]string{"localhost": {"127.0.0.1", "::1"}, "127.0.0.1": {"127.0.0.1"},
		"::1": {"::1"}}[u.Hostname()]
	if hosts == nil {
		return nil, fmt.Errorf("-redirect-uri: %q is not on this machine", redirectURI)
	}
	port := u.Port()
	if port == "" {
		port = "0"
	}
	first, err := net.Listen("tcp", net.JoinHostPort(hosts[0], port))
	if err != nil {
		return nil, fmt.Errorf(
			"cannot wait for the browser: %w (another port can be given by -redirect-uri, if "+
				"the mount allows it)",
			err)
	}
	_, port, err = net.SplitHostPort(first.Addr().String())
	if err != nil {
		return nil, err
	}
	l := &listener{path: u.Path, sockets: []net.Listener{first}}
	for _, host := range hosts[1:] {
		// a machine may have no IPv6
		if also, err := net.Listen("tcp", net.JoinHostPort(host, port)); err == nil {
			l.sockets = append(l.sockets, also)
		}
	}
	if l.path == "" { // http://localhost, as Microsoft's own tools register it
		l.path = "/"
	}
	u.Host = net.JoinHostPort(u.Hostname(), port)
	l.redirectURI = u.String()
	return l, nil
}

func (l *listener) close() {
	if l.server != nil {
		// The page that says how it went is still on its way.
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = l.server.Shutdown(ctx)
	}
	for _, socket := range l.sockets {
		_ = socket.Close()
	}
}

// outcome is how the sign-in ended.
type outcome struct {
	result *Result
	err    error
}

// await serves the redirect URI until a browser brings the login's state, hands
// over what it brings, and shows how that went. Anything else that knocks is
// refused and changes nothing.
func (l *listener) await(ctx context.Context, state string,
	handOver func(context.Context, map[string]any) (*Result, error)) (*Result, error) {
	done := make(chan outcome, 1)
	used := make(chan struct{}, 1) // the first with the right state is the only one
	l.server = &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			params, err := l.params(r, state)
			if err != nil {
				show(w, http.StatusBadRequest, "Nothing waits for this", err.Error())
				return
			}
			select {
			case used <- struct{}{}:
			default:
				show(w, http.StatusBadRequest, "Nothing waits for this",
					"This sign-in has been handed over already. See your terminal.")
				return
			}
			result, err := handOver(ctx, params)
			if err != nil {
				show(w, http.StatusBadGateway, "The sign-in did not work", err.Error())
			} else {
				show(w, http.StatusOK, "You are signed in",
					"Signed in as "+result.Username+". You can close this page and go back to "+
						"your terminal.")
			}
			done <- outcome{result, err}
		}),
	}
	for _, socket := range l.sockets {
		go func() { _ = l.server.Serve(socket) }() // ends with close
	}
	select {
	case o := <-done:
		return o.result, o.err
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, refused("the browser did not come back before the sign-in expired")
		}
		return nil, ctx.Err()
	}
}

// params are what Entra answered, if it is for this login.
func (l *listener) params(r *http.Request, state string) (map[string]any, error) {
	if r.URL.Path != l.path {
		return nil, errors.New("this is not the address of the sign-in")
	}
	r.Body = http.MaxBytesReader(nil, r.Body, maxAnswer)
	if err := r.ParseForm(); err != nil {
		return nil, errors.New("the answer cannot be read")
	}
	params := map[string]any{}
	for _, name := range []string{"code", "state", "iss", "error", "error_description",
		"error_subcode"} {
		switch values := r.Form[name]; len(values) {
		case 0:
		case 1:
			params[name] = values[0]
		default:
			return nil, fmt.Errorf("%s is given twice", name)
		}
	}
	given, _ := params["state"].(string)
	if subtle.ConstantTimeCompare([]byte(given), []byte(state)) != 1 {
		return nil, errors.New("this answer is for another sign-in; yours is still waiting")
	}
	return params, nil
}

// show answers the browser.
func show(w http.ResponseWriter, status int, title, text string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy",
		"default-src 'none'; base-uri 'none'; frame-ancestors 'none'")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_ = pageTemplate.Execute(w,
		struct{ Title, Text string }{title, text}) // the browser may have gone
}
