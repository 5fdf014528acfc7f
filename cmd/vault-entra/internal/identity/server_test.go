// SPDX-License-Identifier: MPL-2.0

package identity

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

// serve starts a server whose tokens are named for their resource, or refuses with err.
func serve(t *testing.T, address string, token Token) *Server {
	t.Helper()
	s, err := Listen(address, "the-secret", token)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve() }()
	t.Cleanup(func() {
		s.Close()
		if err := <-ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
	return s
}

var expiry = time.Now().Add(time.Hour).Truncate(time.Second)

func tokenOf(_ context.Context, resource string) (*vaultclient.Token, error) {
	return &vaultclient.Token{
		AccessToken: "token of " + resource, TokenType: "Bearer", ClientID: "the-client",
		Expiry: expiry, Obtained: expiry.Add(-time.Hour),
	}, nil
}

// call makes a request with headers "Name: value" and returns the status and the body.
func call(t *testing.T, method, address, form string, headers ...string) (*http.Response,
	map[string]string) {
	t.Helper()
	req, err := http.NewRequest(method, address, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		if name == "Host" {
			req.Host = value
		} else {
			req.Header.Set(name, value)
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var body map[string]string
	if err := json.Unmarshal(content, &body); err != nil {
		t.Fatalf("%s %s: %d %s", method, address, resp.StatusCode, content)
	}
	return resp, body
}

// variables are those of a server, by name.
func variables(s *Server) map[string]string {
	named := map[string]string{}
	for _, v := range s.Variables() {
		named[v.Name] = v.Value
	}
	return named
}

const query = "?api-version=2019-08-01&resource=" + "https%3A%2F%2Fvault.azure.net"

// TestProtocols asks as each kind of client does, at the address that its variable names.
func TestProtocols(t *testing.T) {
	s := serve(t, "127.0.0.1:0", tokenOf)
	env := variables(s)
	for name, test := range map[string]struct {
		method, address, form, header string
	}{
		"App Service": {
			"GET", env["IDENTITY_ENDPOINT"] + query, "",
			"X-IDENTITY-HEADER: " + env["IDENTITY_HEADER"],
		},
		"IMDS": {
			"GET", env["AZURE_POD_IDENTITY_AUTHORITY_HOST"] + "/metadata/identity/oauth2/token" +
				"?api-version=2018-02-01&resource=https://vault.azure.net", "", "Metadata: true",
		},
		"Terraform": {
			"GET", env["ARM_MSI_ENDPOINT"] + "?api-version=2018-02-01&resource=" +
				"https://vault.azure.net&client_id=any", "", "Metadata: true",
		},
		"Cloud Shell": {
			"POST", env["MSI_ENDPOINT"], "resource=https%3A%2F%2Fvault.azure.net", "Metadata: true",
		},
		"MSI_ENDPOINT by GET": {
			"GET", env["MSI_ENDPOINT"] + "?resource=https://vault.azure.net", "", "Metadata: true",
		},
	} {
		resp, body := call(t, test.method, test.address, test.form, test.header)
		if resp.StatusCode != 200 || body["access_token"] != "token of https://vault.azure.net" ||
			body["expires_on"] != fmt.Sprint(expiry.Unix()) || body["token_type"] != "Bearer" ||
			body["resource"] != "https://vault.azure.net" || body["client_id"] != "the-client" {
			t.Errorf("%s: %d %v", name, resp.StatusCode, body)
		}
		if resp.Header.Get("Content-Type") != "application/json" ||
			resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", name, resp.Header)
		}
	}
	if env["ARM_USE_MSI"] != "true" || len(env) != 6 {
		t.Errorf("variables: %v", env)
	}
}

// TestRefused checks what gets no token.
func TestRefused(t *testing.T) {
	s := serve(t, "127.0.0.1:0", tokenOf)
	base := s.Address()
	const good = "X-IDENTITY-HEADER: the-secret"
	imds := "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=x"
	for name, test := range map[string]struct {
		method, path string
		headers      []string
		status       int
		text         string
	}{
		"no header":      {"GET", "/msi/token" + query, nil, 401, "X-IDENTITY-HEADER"},
		"a wrong header": {"GET", "/msi/token" + query, []string{"X-IDENTITY-HEADER: x"}, 401, "X-IDENTITY-HEADER"},
		"another version": {
			"GET", "/msi/token?api-version=2017-09-01&resource=x", []string{good}, 400,
			`"2017-09-01" is not supported`,
		},
		"no version": {"GET", "/msi/token?resource=x", []string{good}, 400, "is not supported"},
		"no resource": {
			"GET", "/msi/token?api-version=2019-08-01", []string{good}, 400, "resource is missing",
		},
		"another host": {
			"GET", "/msi/token" + query, []string{good, "Host: evil.example"}, 403, "Host header",
		},
		"another host at the port": {
			"GET", "/msi/token" + query, []string{good, "Host: evil.example:" + portOf(s)}, 403,
			"Host header",
		},
		"another port": {
			"GET", "/msi/token" + query, []string{good, "Host: 127.0.0.1:1"}, 403, "Host header",
		},
		"no secret":         {"GET", imds, []string{"Metadata: true"}, 400, "nothing at this path"},
		"a wrong secret":    {"GET", "/wrong" + imds, []string{"Metadata: true"}, 401, "the secret"},
		"no Metadata":       {"GET", "/the-secret" + imds, nil, 400, "Metadata: true"},
		"an older version":  {"GET", "/the-secret/metadata/identity/oauth2/token?api-version=2017-01-01&resource=x", []string{"Metadata: true"}, 400, "2018-02-01 and later"},
		"another path":      {"GET", "/", nil, 400, "nothing at this path"},
		"another method":    {"DELETE", "/msi/token" + query, []string{good}, 400, "nothing at this path"},
		"a form, no secret": {"POST", "/msi/token", nil, 400, "nothing at this path"},
	} {
		resp, body := call(t, test.method, base+test.path, "", test.headers...)
		if resp.StatusCode != test.status || !strings.Contains(body["error_description"], test.text) ||
			body["error"] == "" || body["access_token"] != "" {
			t.Errorf("%s: %d %v", name, resp.StatusCode, body)
		}
	}
	for _, host := range []string{"localhost", "LocalHost", "127.0.0.1", "[::1]"} {
		resp, body := call(t, "GET", base+"/msi/token"+query, "", good,
			"Host: "+host+":"+portOf(s))
		if resp.StatusCode != 200 {
			t.Errorf("host %s: %d %v", host, resp.StatusCode, body)
		}
	}
}

func portOf(s *Server) string {
	u, _ := url.Parse(s.Address())
	return u.Port()
}

// TestTrouble checks the status of each failure: what the SDKs try again, and what they print.
func TestTrouble(t *testing.T) {
	var err error
	s := serve(t, "127.0.0.1:0", func(context.Context, string) (*vaultclient.Token, error) {
		return nil, err
	})
	for name, test := range map[string]struct {
		err    error
		status int
		code   string
		text   string
		after  string
	}{
		"login": {
			&vaultclient.Error{Class: vaultclient.LoginRequired, Text: "login_required: revoked",
				Command: "vault-entra login ci"},
			403, "login_required", "login_required: revoked. Run: vault-entra login ci", "",
		},
		"unknown": {vaultclient.Errorf(vaultclient.UnknownAccount, "nobody"), 403, "login_required", "nobody", ""},
		"policy":  {vaultclient.Errorf(vaultclient.Forbidden, "no read"), 403, "access_denied", "no read", ""},
		"a limit": {
			&vaultclient.Error{Class: vaultclient.Throttled, Text: "slow", RetryAfter: 1500 * time.Millisecond},
			429, "throttled", "slow", "2",
		},
		"sealed":      {vaultclient.Errorf(vaultclient.Sealed, "sealed"), 503, "vault_unavailable", "sealed", ""},
		"unreachable": {vaultclient.Errorf(vaultclient.Unreachable, "down"), 503, "vault_unavailable", "down", ""},
		"Entra":       {vaultclient.Errorf(vaultclient.EntraUnavailable, "e"), 502, "entra_unavailable", "e", ""},
		"no mapping":  {errors.New("no token is mapped to x"), 403, "invalid_resource", "no token is mapped", ""},
		"too late":    {context.DeadlineExceeded, 504, "timeout", "in time", ""},
	} {
		err = test.err
		resp, body := call(t, "GET", s.Address()+"/msi/token"+query, "",
			"X-IDENTITY-HEADER: the-secret")
		if resp.StatusCode != test.status || body["error"] != test.code ||
			!strings.Contains(body["error_description"], test.text) ||
			body["message"] != body["error_description"] ||
			resp.Header.Get("Retry-After") != test.after {
			t.Errorf("%s: %d %v %v", name, resp.StatusCode, body, resp.Header)
		}
	}
}

// TestLargeRequests checks that a request of 1 MiB is refused, in its body and in its header.
func TestLargeRequests(t *testing.T) {
	s := serve(t, "127.0.0.1:0", tokenOf)
	large := strings.Repeat("x", 1<<20)
	resp, body := call(t, "POST", s.Address()+"/the-secret/msi/token", "resource="+large,
		"Metadata: true")
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a body of 1 MiB: %d %v", resp.StatusCode, body)
	}
	req, err := http.NewRequest("GET", s.Address()+"/msi/token?resource="+large, nil)
	if err != nil {
		t.Fatal(err)
	}
	// The server may close the connection while the client still writes.
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("an address of 1 MiB: %d", resp.StatusCode)
		}
	}
	if resp, body := call(t, "GET", s.Address()+"/msi/token"+query, "",
		"X-IDENTITY-HEADER: the-secret"); resp.StatusCode != 200 {
		t.Errorf("afterwards: %d %v", resp.StatusCode, body)
	}
}

// TestIdleConnections checks that connections which stay open, and say nothing or have said all,
// keep nobody out, and that no more than the limit are kept.
func TestIdleConnections(t *testing.T) {
	s := serve(t, "127.0.0.1:0", tokenOf)
	host := strings.TrimPrefix(s.Address(), "http://")
	for range 100 { // that never send a header
		conn, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	var conns []net.Conn
	for range maxIdle + 50 { // that are kept alive after a request
		conn, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		conns = append(conns, conn)
	}
	if resp, body := call(t, "GET", s.Address()+"/msi/token"+query, "",
		"X-IDENTITY-HEADER: the-secret"); resp.StatusCode != 200 {
		t.Errorf("beside them: %d %v", resp.StatusCode, body)
	}
	closed := 0
	for i, conn := range conns[:60] {
		wait := 5 * time.Second // for those that have to be closed
		if i >= 45 {
			wait = 10 * time.Millisecond
		}
		_ = conn.SetReadDeadline(time.Now().Add(wait))
		if _, err := conn.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
			closed++
		}
	}
	if closed < 45 || closed > 55 {
		t.Errorf("%d of the oldest connections were closed, want 50", closed)
	}
}

// TestListenBadInput checks addresses that are none of this machine's own, and one in use.
func TestListenBadInput(t *testing.T) {
	taken := serve(t, "127.0.0.1:0", tokenOf)
	for address, want := range map[string]string{
		"0.0.0.0:0":      "not on loopback",
		":0":             "not on loopback",
		"192.0.2.1:8080": "not on loopback",
		"example.com:80": "not on loopback",
		"127.0.0.1":      "is no address such as",
		"":               "is no address such as",
		strings.TrimPrefix(taken.Address(), "http://"): "address already in use",
		"unix:/no/such/folder/socket":                  "no such file or directory",
	} {
		if s, err := Listen(address, "", tokenOf); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v", address, s, err)
		}
	}
}

// TestAddressOfMSALNode: @azure/msal-node writes the address of IMDS in lower case and with a slash
// at its end (UrlString.canonicalizeUri of @azure/msal-common).
func TestAddressOfMSALNode(t *testing.T) {
	s, err := Listen("127.0.0.1:0", "", tokenOf)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve() }() // ends with Close
	t.Cleanup(s.Close)
	address := strings.ToLower(variables(s)["AZURE_POD_IDENTITY_AUTHORITY_HOST"]+
		"/metadata/identity/oauth2/token") + "/"
	resp, body := call(t, "GET", address+"?api-version=2018-02-01&resource=https://vault.azure.net",
		"", "Metadata: true")
	if resp.StatusCode != 200 || body["access_token"] != "token of https://vault.azure.net" {
		t.Errorf("%s: %d %v", address, resp.StatusCode, body)
	}
}

// TestSecretIsNew checks that no two servers have the same secret, and a path can hold it.
func TestSecretIsNew(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		s, err := Listen("127.0.0.1:0", "", tokenOf)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		secret := variables(s)["IDENTITY_HEADER"]
		if seen[secret] || len(secret) < 40 || url.PathEscape(secret) != secret {
			t.Errorf("the secret is %q", secret)
		}
		seen[secret] = true
	}
}

// TestCloseEndsIt checks that nothing answers after the end, and a request under way gets its
// answer.
func TestCloseEndsIt(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	s, err := Listen("127.0.0.1:0", "the-secret", func(ctx context.Context,
		resource string) (*vaultclient.Token, error) {
		close(asked)
		<-answer
		return tokenOf(ctx, resource)
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve() }()
	status := make(chan int, 1)
	go func() {
		resp, _ := call(t, "GET", s.Address()+"/msi/token"+query, "",
			"X-IDENTITY-HEADER: the-secret")
		status <- resp.StatusCode
	}()
	<-asked
	closed := make(chan struct{})
	go func() {
		s.Close()
		close(closed)
	}()
	close(answer)
	if got := <-status; got != 200 {
		t.Errorf("the request under way: %d", got)
	}
	<-closed
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if resp, err := http.Get(s.Address()); err == nil {
		resp.Body.Close()
		t.Error("it still answers")
	}
}
