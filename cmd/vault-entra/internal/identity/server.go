// SPDX-License-Identifier: MPL-2.0

// Package identity is a managed identity on loopback: the endpoints at which Azure's SDKs look for
// one, answered with tokens from elsewhere.
//
// App Service:
// https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
// IMDS:
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
package identity

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

// The limits of the server.
const (
	headerTime = 5 * time.Second  // for the header of a request to come
	bodyTime   = 10 * time.Second // for the whole of it
	answerTime = 90 * time.Second // for Vault and Entra, and for the answer to leave
	idleTime   = 2 * time.Minute  // of a connection between requests
	maxIdle    = 100              // of such connections; the one that is idle longest goes first
	maxHeader  = 32 << 10
	maxBody    = 32 << 10
)

// Token gives the token for a resource as a program wrote it.
type Token func(ctx context.Context, resource string) (*vaultclient.Token, error)

// Server answers as a managed identity does.
type Server struct {
	token    Token
	listener net.Listener
	server   *http.Server
	idle     *idleConnections

	host   string // HOST:PORT that clients address; "" at a unix socket
	secret string // of the header and of the path
	unlink string // the socket to remove at the end
}

// Listen opens a loopback address such as 127.0.0.1:0, or a unix socket (unix:/path). The secret
// is the header's and the path's, in lower case and without what a path escapes; "" makes
// a new one.
func Listen(address, secret string, token Token) (*Server, error) {
	s := &Server{token: token, secret: secret, idle: newIdleConnections(maxIdle)}
	if s.secret == "" {
		random := make([]byte, 32)
		_, _ = rand.Read(random)              // never fails (crypto/rand)
		s.secret = hex.EncodeToString(random) // MSAL for Node.js turns addresses into lower case
	}
	var err error
	if path, isSocket := strings.CutPrefix(address, "unix:"); isSocket {
		err = s.listenUnix(path)
	} else {
		err = s.listenLoopback(address)
	}
	if err != nil {
		return nil, err
	}
	s.server = &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       bodyTime,
		WriteTimeout:      answerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ConnState:         s.idle.observe,
		ErrorLog:          log.New(io.Discard, "", 0), // what a client does wrong, it is told
	}
	return s, nil
}

func (s *Server) listenLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("-listen=%s is no address such as 127.0.0.1:0 or unix:/run/entra.sock",
			address)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("-listen=%s is not on loopback: who reaches it, reaches the tokens",
			address)
	}
	s.listener, err = net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w (127.0.0.1:0 takes a free port)", address,
			innermost(err))
	}
	s.host = s.listener.Addr().String()
	return nil
}

// listenUnix opens a socket that the user alone may open, and takes the place of one that nobody
// listens on any more.
func (s *Server) listenUnix(path string) error {
	if conn, err := net.Dial("unix", path); err == nil {
		_ = conn.Close()
		return fmt.Errorf("cannot listen on %s: another process does", path)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("cannot listen on %s: %w", path, err)
		}
	}
	listener, err := listenPrivately(path)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", path, innermost(err))
	}
	s.listener, s.unlink = ownPeers{listener}, path
	return nil
}

// innermost is the cause of a network error, without the operation around it.
func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// Serve answers until Close. It returns nil then.
func (s *Server) Serve() error {
	err := s.server.Serve(s.listener)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Close ends the server: at once for what is idle, and within a moment for what is being answered.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close()
	}
	_ = s.listener.Close() // also where Serve was never called
	if s.unlink != "" {
		_ = os.Remove(s.unlink)
	}
}

// Address is where the server listens: http://HOST:PORT, or unix:PATH.
func (s *Server) Address() string {
	if s.unlink != "" {
		return "unix:" + s.unlink
	}
	return "http://" + s.host
}

// Variable is one of a program's environment.
type Variable struct{ Name, Value string }

// Variables are what a program has to find in its environment to use the server; none at a unix
// socket, which no SDK can address.
func (s *Server) Variables() []Variable {
	if s.host == "" {
		return nil
	}
	base := "http://" + s.host
	hidden := base + "/" + s.secret
	return []Variable{
		// App Service has a header for the secret.
		{"IDENTITY_ENDPOINT", base + pathAppService},
		{"IDENTITY_HEADER", s.secret},
		// The others have none: the secret is a part of the address.
		{"AZURE_POD_IDENTITY_AUTHORITY_HOST", hidden},
		{"MSI_ENDPOINT", hidden + pathMSI},
		{"ARM_USE_MSI", "true"},
		{"ARM_MSI_ENDPOINT", hidden + pathIMDS},
	}
}

// Withdrawn are variables that would make a program look for another kind of managed identity, or
// send another secret: they are taken out of its environment.
var Withdrawn = []string{"IMDS_ENDPOINT", "IDENTITY_SERVER_THUMBPRINT", "MSI_SECRET"}
