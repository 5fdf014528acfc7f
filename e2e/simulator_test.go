// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// simulator is a running Entra simulator.
type simulator struct {
	t  testing.TB
	ca string // PEM
	simulatorFile
}

// simulatorFile is the part of its simulator.json that the tests use.
type simulatorFile struct {
	Authority      string `json:"authority"`
	Control        string `json:"control"`
	TenantID       string `json:"tenant_id"`
	CAFile         string `json:"ca_file"`
	ClientID       string `json:"client_id"`
	ClientSecret   string `json:"client_secret"`
	PublicClientID string `json:"public_client_id"`
}

// newSimulator starts a simulator; args are its flags beside -dir.
func newSimulator(t testing.TB, args ...string) *simulator {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	p := startProcess(t, log, nil, program(t, "entra-simulator"), append([]string{"-dir", dir}, args...)...)
	sim := &simulator{t: t}
	eventually(t, upTime, "the simulator comes up", func() error {
		if p.ended() {
			out, _ := os.ReadFile(log) // best effort: the test fails anyway
			t.Fatalf("the simulator ended: %s", out)
		}
		content, err := os.ReadFile(filepath.Join(dir, "simulator.json"))
		if errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err != nil {
			t.Fatal(err)
		}
		return json.Unmarshal(content, &sim.simulatorFile)
	})
	ca, err := os.ReadFile(sim.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	sim.ca = string(ca)
	return sim
}

// client trusts the simulator and follows no redirect.
func (sim *simulator) client() *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(sim.ca))
	return &http.Client{
		Timeout:       callTime,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// control calls the simulator's control API and decodes the answer into v, if any.
func (sim *simulator) control(path string, body, v any) {
	sim.t.Helper()
	var resp *http.Response
	var err error
	if body == nil {
		resp, err = sim.client().Get(sim.Control + path)
	} else {
		payload, marshal := json.Marshal(body)
		if marshal != nil {
			sim.t.Fatal(marshal)
		}
		resp, err = sim.client().Post(sim.Control+path, "application/json", bytes.NewReader(payload))
	}
	if err != nil {
		sim.t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		sim.t.Fatalf("simulator %s: status %d, %v: %s", path, resp.StatusCode, err, content)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal(content, v); err != nil {
		sim.t.Fatalf("simulator %s: %v in %s", path, err, content)
	}
}

// object is a JSON object.
type object = map[string]any

// grants counts the token requests by grant type since the last reset.
func (sim *simulator) grants() map[string]int {
	sim.t.Helper()
	var state struct {
		Counts struct {
			Grants map[string]int `json:"grants"`
		} `json:"counts"`
	}
	sim.control("state", nil, &state)
	return state.Counts.Grants
}

// tokenRequests counts all requests at the token endpoint since the last reset.
func (sim *simulator) tokenRequests() int {
	sim.t.Helper()
	sum := 0
	for _, n := range sim.grants() {
		sum += n
	}
	return sum
}

// tokenLifetime sets how long access tokens live from now on, such as "5s".
func (sim *simulator) tokenLifetime(lifetime string) {
	sim.t.Helper()
	sim.control("lifetimes", object{"access_token": lifetime}, nil)
}

// active reports whether an access token is one of the simulator's, and good.
func (sim *simulator) active(accessToken string) bool {
	sim.t.Helper()
	var token struct {
		Active bool `json:"active"`
	}
	sim.control("introspect", object{"token": accessToken}, &token)
	return token.Active
}

// refreshToken is a new refresh token of a user's, such as Entra gave elsewhere.
func (sim *simulator) refreshToken(user string) string {
	sim.t.Helper()
	var issued struct {
		Token string `json:"refresh_token"`
	}
	sim.control("refresh-token", object{
		"user": user, "client_id": sim.ClientID, "platform": "web",
		"scopes": []string{"User.Read", "openid", "profile", "offline_access"},
	}, &issued)
	return issued.Token
}
