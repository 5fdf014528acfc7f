// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// serve runs the command until the test ends and returns its description.
func serve(t *testing.T, args ...string) (description, *http.Client) {
	t.Helper()
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	said, stdout := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, append([]string{"-dir", filepath.Join(dir, "new")}, args...), stdout,
			io.Discard)
		stdout.CloseWithError(errors.Join(io.EOF, err))
		ended <- err
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "new", "simulator.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d description
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if line != "listening on "+d.URL+"\n" {
		t.Errorf("it said %q and described %q", line, d.URL)
	}
	ca, err := os.ReadFile(d.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	t.Cleanup(client.CloseIdleConnections)
	return d, client
}

func get(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %v", url, resp.StatusCode, err)
	}
	return string(body)
}

func TestServes(t *testing.T) {
	d, client := serve(t)
	if body := get(t, client, d.Authority+"/.well-known/openid-configuration"); !strings.Contains(
		body, `"issuer":"`+d.Authority+`"`) {
		t.Errorf("discovery: %s", body)
	}
	if d.ProxyURL != "" || d.ClientSecret == "" || d.ClientID == "" || d.PublicClientID == "" ||
		d.TenantID == "" ||
		d.PID != os.Getpid() {
		t.Errorf("description %+v", d)
	}
	if len(d.Users) == 0 || !slices.Contains(d.RedirectURIs, "http://localhost/callback") ||
		!slices.Contains(d.PublicRedirectURIs, "http://localhost") {
		t.Errorf("description %+v", d)
	}
	info, err := os.Stat(filepath.Join(filepath.Dir(d.CAFile), "simulator.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("simulator.json: %v, %v", info, err)
	}
}

func TestFlags(t *testing.T) {
	d, client := serve(t, "-proxy-listen", "127.0.0.1:0", "-token-lifetime", "20s", "-rotation",
		"refuse-old", "-seed-free", "-redirect-uri", "https://one.example/cb", "-redirect-uri",
		"https://two.example/cb")
	if !strings.HasPrefix(d.ProxyURL, "http://127.0.0.1:") || d.Users == nil || len(d.Users) != 0 {
		t.Errorf("description %+v", d)
	}
	for _, uri := range []string{"https://one.example/cb", "https://two.example/cb",
		"http://localhost/callback"} {
		if !slices.Contains(d.RedirectURIs, uri) || !slices.Contains(d.PublicRedirectURIs, uri) {
			t.Errorf("%s is not registered", uri)
		}
	}
	state := get(t, client, d.Control+"state")
	for _, part := range []string{`"rotation": "refuse-old"`, `"access_token": "20s"`} {
		if !strings.Contains(state, part) {
			t.Errorf("the state has no %s", part)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"no directory":     {},
		"an argument":      {"-dir", dir, "extra"},
		"unknown flag":     {"-dir", dir, "-nothing"},
		"unknown rotation": {"-dir", dir, "-rotation", "sometimes"},
		"short lifetime":   {"-dir", dir, "-token-lifetime", "1ms"},
	} {
		var stderr strings.Builder
		if err := run(t.Context(), args, io.Discard, &stderr); !errors.Is(err, errUsage) ||
			stderr.Len() == 0 {
			t.Errorf("%s: %v, %q", name, err, stderr.String())
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); !errors.Is(err,
		flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
}

func TestStartErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"not loopback":       {"-dir", dir, "-listen", "0.0.0.0:0"},
		"proxy not loopback": {"-dir", dir, "-proxy-listen", "0.0.0.0:0"},
		"bad redirect URI":   {"-dir", dir, "-redirect-uri", "http://vault.example.com/"},
		"a file, no dir":     {"-dir", file},
	} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil ||
			errors.Is(err, errUsage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
