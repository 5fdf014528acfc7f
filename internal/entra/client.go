// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-cleanhttp"
)

const (
	maxAnswer = 1 << 20 // bytes; a token answer is some 10 KiB, Entra's keys some 20
	maxHeader = 1 << 16 // bytes
	// to the token endpoint; more than the default of a mount's concurrent refreshes
	maxIdleConns = 16

	// An HTTP/2 connection that a firewall has forgotten swallows requests for as long as TCP
	// believes in it, a quarter of an hour: so one that is silent for silentConn is pinged, and
	// given up where no pong comes within pongTimeout.
	silentConn  = 5 * time.Second
	pongTimeout = 5 * time.Second
)

// Client is one app registration at one authority. It holds what has been fetched from the
// authority, and connections.
type Client struct {
	cfg       Config
	authority authority
	http      *http.Client
	discovery *fetched[*discovery]
	keys      *keys
}

// New validates the configuration and makes a client of it, without any network call. An error is a
// *FieldError.
func New(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.AuthorizeParams = maps.Clone(cfg.AuthorizeParams)
	cfg.Capabilities = slices.Clone(cfg.Capabilities)
	if cfg.RequestTimeout == 0 {
		cfg.RequestTimeout = DefaultRequestTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	transport := cfg.Transport
	if transport == nil {
		own, err := newTransport(cfg.CAPEM)
		if err != nil {
			return nil, err
		}
		transport = own
	}
	c := &Client{cfg: cfg, authority: newAuthority(cfg)}
	c.http = &http.Client{Transport: transport, CheckRedirect: refuseRedirect}
	c.discovery = &fetched[*discovery]{fetch: c.fetchDiscovery, now: cfg.Now}
	c.keys = &keys{fetched: fetched[*keySet]{fetch: c.fetchKeys, now: cfg.Now}}
	return c, nil
}

// Close lets go of idle connections. Requests that are running end by themselves.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// WithoutCredential is the same client without its secret or certificate, and with the same
// connections and documents. Entra wants no credential with a device code, with a code of a
// redirect URI under the platform "Mobile and desktop applications", and with the refresh tokens
// that come of these (AADSTS700025).
func (c *Client) WithoutCredential() *Client {
	public := *c
	public.cfg.ClientSecret, public.cfg.Certificate = "", nil
	return &public
}

// HasCredential reports whether the client proves itself at the token endpoint.
func (c *Client) HasCredential() bool {
	return c.cfg.ClientSecret != "" || c.cfg.Certificate != nil
}

// Format keeps the configuration's secret out of print: fmt does not ask unexported fields how they
// want to look.
func (c Client) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "entra.Client{authority: %s, client_id: %s}", c.authority.base,
		c.cfg.ClientID)
}

// newTransport honours the proxies of the environment, as cleanhttp's transports do.
func newTransport(caPEM string) (*http.Transport, error) {
	transport := cleanhttp.DefaultPooledTransport()
	transport.MaxIdleConnsPerHost = maxIdleConns
	transport.MaxResponseHeaderBytes = maxHeader
	transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: silentConn, PingTimeout: pongTimeout}
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if caPEM == "" {
		return transport, nil
	}
	extra, fieldErr := parseCAPEM(caPEM)
	if fieldErr != nil {
		return nil, fieldErr
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a machine without roots of its own
	}
	for _, root := range extra {
		roots.AddCert(root)
	}
	transport.TLSClientConfig.RootCAs = roots
	return transport, nil
}

// refuseRedirect makes the 3xx itself the answer: a redirected token request would carry its
// secrets to whoever the redirect names, and neither discovery nor keys may come from elsewhere
// than the authority says.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// answer is an HTTP answer that was read to its end.
type answer struct {
	host string
	// when the request left, by the wall clock: what the answer says of lifetimes counts from here
	// at the latest
	sent      time.Time
	requestID string // the client-request-id that was sent
	status    int
	header    http.Header
	body      []byte
}

// do sends one request, bounded by RequestTimeout. The error is an *Error of ClassTransient:
// nothing is known of what the authority thinks.
func (c *Client) do(ctx context.Context, req *http.Request) (*answer, error) {
	ctx, cancel := context.WithTimeoutCause(
		ctx,
		c.cfg.RequestTimeout,
		fmt.Errorf("no complete answer within %s: %w", c.cfg.RequestTimeout,
			context.DeadlineExceeded),
	)
	defer cancel()
	a := &answer{
		host:      req.URL.Host,
		requestID: newUUID(),
		sent:      c.cfg.Now().Round(0).UTC(),
	} // no monotonic reading: it stands still while a machine is suspended
	req.Header.Set("Accept", "application/json")
	req.Header.Set("client-request-id", a.requestID)
	req.Header.Set("return-client-request-id", "true")
	res, err := c.http.Do(req.WithContext(ctx))
	if err != nil {
		return nil, a.unanswered(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	}
	if err != nil {
		return nil, a.unanswered(ctx, err)
	}
	a.status, a.header, a.body = res.StatusCode, res.Header, body
	return a, nil
}

var urlPassword = regexp.MustCompile(`//[^/@\s"]+@`)

// unanswered describes a request that got no whole answer. What net/http says is kept, without the
// URL and without the password that the URL of a proxy can hold.
func (a *answer) unanswered(ctx context.Context, err error) *Error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	text := urlPassword.ReplaceAllString(err.Error(), "//"+redacted+"@")
	return &Error{
		Class:         ClassTransient,
		Description:   oneLine("no answer from " + a.host + ": " + text),
		CorrelationID: a.requestID,
		Err:           err,
	}
}

// getDocument fetches a public document. The error is an *Error: of ClassClient where the authority
// knows no such tenant, else transient, since nothing that is said here can be about a user, a
// grant or a scope.
func (c *Client) getDocument(ctx context.Context, from string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, &Error{Class: ClassTransient, Description: oneLine("cannot ask " + from),
			Err: err}
	}
	a, err := c.do(ctx, req)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		e := a.refusal(nil, c.cfg.Now())
		if e.Class != ClassClient {
			e.Class = ClassTransient
		}
		e.Description = oneLine(e.Description + " at " + from)
		return nil, e
	}
	return a.body, nil
}

// newUUID returns a random UUID (RFC 9562 section 5.4), the form that Entra wants a
// client-request-id in. HashiCorp's go-uuid sets neither the version nor the variant.
func newUUID() string { return uuid.NewString() }
