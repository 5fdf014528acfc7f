// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// Server is a simulator that listens on HTTPS with a certificate of its own CA.
// It speaks HTTP/1.1, so that a dropped request is a closed connection.
type Server struct {
	*Simulator
	URL string // https://127.0.0.1:PORT

	listener net.Listener
	http     *http.Server
	ca       *authorityCA
	done     chan struct{} // closed when the server has ended
}

// TB is the part of [testing.TB] that Start needs.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Start runs a simulator on a free loopback port until the test ends.
func Start(t TB, opts Options) *Server {
	t.Helper()
	srv, err := Listen("127.0.0.1:0", opts)
	if err != nil {
		t.Fatalf("starting the Entra simulator: %v", err)
	}
	t.Cleanup(srv.Close)
	return srv
}

// Listen runs a simulator on a loopback address, such as 127.0.0.1:0, until
// Close. Any other address is an error: whoever reaches a simulator can sign in
// as anybody.
func Listen(addr string, opts Options) (*Server, error) {
	listener, err := listenLoopback(addr)
	if err != nil {
		return nil, err
	}
	ca, err := newAuthorityCA()
	if err != nil {
		listener.Close()
		return nil, fmt.Errorf("making the simulator's CA: %w", err)
	}
	srv := &Server{
		Simulator: New(opts),
		URL:       "https://" + listener.Addr().String(),
		listener:  listener,
		ca:        ca,
		done:      make(chan struct{}),
	}
	srv.http = &http.Server{
		Handler:           srv.Simulator,
		ReadHeaderTimeout: 30 * time.Second,
		// handshakes that clients break off on purpose
		ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{ca.leaf},
			MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}},
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	go func() {
		defer close(srv.done)
		_ = srv.http.ServeTLS(listener, "", "") // always an error: Close ends it
	}()
	return srv, nil
}

func listenLoopback(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listen address: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, errors.New(
			"listen address " + addr +
				" is not a loopback address: a simulator signs anybody in as anyone",
		)
	}
	return net.Listen("tcp", addr)
}

// Close stops listening and ends every open request.
func (srv *Server) Close() {
	srv.Simulator.Close()
	_ = srv.http.Close() // what was open is lost on purpose
	<-srv.done
}

// Authority is the URL that the discovery document stands under.
func (srv *Server) Authority() string { return srv.URL + "/" + srv.Tenant() + "/v2.0" }

// CAPEM is the certificate of the CA that signed the server's own, as PEM.
func (srv *Server) CAPEM() string { return string(srv.ca.pem) }

// Client returns an HTTP client that trusts the server and follows no redirect.
func (srv *Server) Client() *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(srv.ca.pem)
	return &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
		CheckRedirect: func(*http.Request,
			[]*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}
