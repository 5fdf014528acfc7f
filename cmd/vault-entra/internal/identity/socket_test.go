// SPDX-License-Identifier: MPL-2.0

//go:build unix

package identity

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestUnixSocket checks the socket's rights, and that it takes the place of a dead one and of no
// live one.
func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	s := serve(t, "unix:"+path, tokenOf)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := Listen("unix:"+path, "", tokenOf); err == nil ||
		!strings.Contains(err.Error(), "another process does") {
		t.Errorf("a live one: %v", err)
	}
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return net.Dial("unix", path)
		},
	}}
	req, err := http.NewRequest("GET", "http://any/msi/token"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-IDENTITY-HEADER", "the-secret")
	resp, err := client.Do(req)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v, %v", resp, err)
	}
	resp.Body.Close()
	client.CloseIdleConnections()
	if len(s.Variables()) != 0 || s.Address() != "unix:"+path {
		t.Errorf("%v %v", s.Variables(), s.Address())
	}
	s.Close()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// TestPeers checks whose connections are taken, where the system tells.
func TestPeers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	there, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	here, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	user, told := peerUser(here)
	if tells := runtime.GOOS == "linux" || runtime.GOOS == "darwin"; told != tells {
		t.Fatalf("on %s the peer's user is told: %t", runtime.GOOS, told)
	}
	if told && user != os.Getuid() {
		t.Errorf("the peer is %d", user)
	}
	for _, test := range []struct {
		peer, user int
		want       bool
	}{{1000, 1000, true}, {0, 1000, true}, {1001, 1000, false}, {1001, 0, false}, {-1, 1000, false}} {
		if got := mayConnect(test.peer, test.user); got != test.want {
			t.Errorf("user %d at the socket of %d: %t", test.peer, test.user, got)
		}
	}
}
