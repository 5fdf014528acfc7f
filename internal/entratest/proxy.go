// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Proxy is an HTTP CONNECT proxy that leads Entra's real host names to a
// simulator, and nowhere else. A process with HTTPS_PROXY set to it, and the
// simulator's CA trusted, can be tested under those names.
type Proxy struct {
	URL string // http://127.0.0.1:PORT

	target   string // host:port of the simulator
	listener net.Listener
	http     *http.Server
	done     chan struct{}

	mu      sync.Mutex // guards all below
	tunnels map[string]int
	refused map[string]int
	open    map[net.Conn]bool // nil once the proxy is closed
}

// StartProxy runs a proxy to the server on a free loopback port until the test ends.
func (srv *Server) StartProxy(t TB) *Proxy {
	t.Helper()
	p, err := srv.ListenProxy("127.0.0.1:0")
	if err != nil {
		t.Fatalf("starting the proxy to the Entra simulator: %v", err)
	}
	t.Cleanup(p.Close)
	return p
}

// ListenProxy runs a proxy to the server on a loopback address until Close.
func (srv *Server) ListenProxy(addr string) (*Proxy, error) {
	listener, err := listenLoopback(addr)
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		URL:    "http://" + listener.Addr().String(),
		target: srv.listener.Addr().String(), listener: listener, done: make(chan struct{}),
		tunnels: make(map[string]int), refused: make(map[string]int), open: make(map[net.Conn]bool),
	}
	p.http = &http.Server{Handler: p, ReadHeaderTimeout: 30 * time.Second}
	go func() {
		defer close(p.done)
		_ = p.http.Serve(listener) // always an error: Close ends it
	}()
	return p, nil
}

// Close stops listening and ends every tunnel.
func (p *Proxy) Close() {
	_ = p.http.Close()
	p.mu.Lock()
	for conn := range p.open {
		conn.Close()
	}
	p.open = nil
	p.mu.Unlock()
	<-p.done
}

// Tunnels counts the tunnels made, by host name, and Refused what was asked for
// beside Entra's hosts.
func (p *Proxy) Tunnels() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.tunnels)
}

// Refused counts the requests refused, by what they asked for.
func (p *Proxy) Refused() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.refused)
}

// isCloudHost reports whether a name is one that real Entra answers to.
func isCloudHost(host string) bool {
	host = strings.ToLower(host)
	return slices.ContainsFunc(cloudHosts, func(known string) bool {
		if suffix, ok := strings.CutPrefix(known, "*"); ok {
			label, found := strings.CutSuffix(host, suffix)
			return found && label != "" && !strings.Contains(label, ".")
		}
		return host == known
	})
}

// ServeHTTP implements [http.Handler].
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, port, err := net.SplitHostPort(r.Host)
	if r.Method != http.MethodConnect || err != nil || port != "443" || !isCloudHost(host) {
		p.mu.Lock()
		p.refused[r.Host]++
		p.mu.Unlock()
		http.Error(w, "this proxy leads to the Entra simulator only", http.StatusForbidden)
		return
	}
	upstream, err := net.DialTimeout("tcp", p.target, 10*time.Second)
	if err != nil {
		http.Error(w, "the Entra simulator is not there", http.StatusBadGateway)
		return
	}
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		upstream.Close()
		return
	}
	if !p.track(host, client, upstream) {
		return
	}
	if _, err := client.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")); err == nil {
		go func() {
			_, _ = io.Copy(upstream, buffered) // ends when either side closes
			p.end(client, upstream)
		}()
		_, _ = io.Copy(client, upstream)
	}
	p.end(client, upstream)
}

// track notes an open tunnel, or closes it if the proxy is closed.
func (p *Proxy) track(host string, conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		for _, conn := range conns {
			conn.Close()
		}
		return false
	}
	p.tunnels[strings.ToLower(host)]++
	for _, conn := range conns {
		p.open[conn] = true
	}
	return true
}

func (p *Proxy) end(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		conn.Close()
		delete(p.open, conn)
	}
}
