// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Simulator is a running Entra simulator.
type Simulator struct {
	t  testing.TB
	CA string // PEM
	simulatorFile
}

// simulatorFile is the part of its simulator.json that the tests use.
type simulatorFile struct {
	Authority      string `json:"authority"`
	ControlURL     string `json:"control"`
	TenantID       string `json:"tenant_id"`
	CAFile         string `json:"ca_file"`
	ClientID       string `json:"client_id"`
	ClientSecret   string `json:"client_secret"`
	PublicClientID string `json:"public_client_id"`
}

// NewSimulator starts a simulator; args are its flags beside -dir.
func NewSimulator(t testing.TB, args ...string) *Simulator {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	p := StartProcess(t, log, nil, Program(t, "entra-simulator"),
		append([]string{"-dir", dir}, args...)...)
	sim := &Simulator{t: t}
	Eventually(t, UpTime, "the simulator comes up", func() error {
		if p.Ended() {
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
	sim.CA = string(ca)
	return sim
}

// HTTPClient trusts the simulator and follows no redirect.
func (sim *Simulator) HTTPClient() *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(sim.CA))
	return &http.Client{
		Timeout:       callTime,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}},
		CheckRedirect: noRedirect,
	}
}

// Control calls the simulator's control API and decodes the answer into v, if any.
func (sim *Simulator) Control(path string, body, v any) {
	sim.t.Helper()
	var resp *http.Response
	var err error
	if body == nil {
		resp, err = sim.HTTPClient().Get(sim.ControlURL + path)
	} else {
		payload, marshal := json.Marshal(body)
		if marshal != nil {
			sim.t.Fatal(marshal)
		}
		resp, err = sim.HTTPClient().Post(sim.ControlURL+path, "application/json",
			bytes.NewReader(payload))
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

// Grants counts the token requests by grant type since the last reset.
func (sim *Simulator) Grants() map[string]int {
	sim.t.Helper()
	var state struct {
		Counts struct {
			Grants map[string]int `json:"grants"`
		} `json:"counts"`
	}
	sim.Control("state", nil, &state)
	return state.Counts.Grants
}

// TokenRequests counts all requests at the token endpoint since the last reset.
func (sim *Simulator) TokenRequests() int {
	sim.t.Helper()
	sum := 0
	for _, n := range sim.Grants() {
		sum += n
	}
	return sum
}

// SetTokenLifetime sets how long access tokens live from now on, such as "5s".
func (sim *Simulator) SetTokenLifetime(lifetime string) {
	sim.t.Helper()
	sim.Control("lifetimes", object{"access_token": lifetime}, nil)
}

// AccessToken is what the simulator knows of an access token.
type AccessToken struct {
	Active   bool      `json:"active"`   // neither expired nor revoked
	Audience string    `json:"audience"` // the resource that it is for
	Issued   time.Time `json:"issued"`
	Expires  time.Time `json:"expires"`
}

// AccessToken looks an access token up. One that it has not issued fails the test.
func (sim *Simulator) AccessToken(token string) AccessToken {
	sim.t.Helper()
	var known AccessToken
	sim.Control("introspect", object{"token": token}, &known)
	return known
}

// Audience is the resource that a token is for.
func (sim *Simulator) Audience(accessToken string) string {
	sim.t.Helper()
	return sim.AccessToken(accessToken).Audience
}

// Active reports whether an access token is one of the simulator's, and good.
func (sim *Simulator) Active(accessToken string) bool {
	sim.t.Helper()
	return sim.AccessToken(accessToken).Active
}

// RefreshToken is a new refresh token of a user's, such as Entra gave elsewhere.
func (sim *Simulator) RefreshToken(user string) string {
	sim.t.Helper()
	var issued struct {
		Token string `json:"refresh_token"`
	}
	sim.Control("refresh-token", object{
		"user": user, "client_id": sim.ClientID, "platform": "web",
		"scopes": []string{"User.Read", "openid", "profile", "offline_access"},
	}, &issued)
	return issued.Token
}

// HoldRefreshes makes Entra leave every refresh without an answer, unprocessed, and
// returns when n wait. What ends meanwhile has spent no refresh token. clearFaults
// is for those that come after.
func (sim *Simulator) HoldRefreshes(n int) {
	sim.t.Helper()
	sim.Control("faults", object{
		"endpoint": "token", "grant_type": "refresh_token", "hang": true,
	}, nil)
	Eventually(sim.t, UpTime, fmt.Sprintf("%d refreshes wait at Entra", n), func() error {
		waiting := 0
		for _, r := range sim.Requests() {
			if r.GrantType == "refresh_token" && !r.Done {
				waiting++
			}
		}
		if waiting < n {
			return fmt.Errorf("%d do", waiting)
		}
		return nil
	})
}

// ClearFaults ends what was asked for by faults.
func (sim *Simulator) ClearFaults() {
	sim.t.Helper()
	req, err := http.NewRequest(http.MethodDelete, sim.ControlURL+"faults", nil)
	if err != nil {
		sim.t.Fatal(err)
	}
	resp, err := sim.HTTPClient().Do(req)
	if err != nil {
		sim.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		sim.t.Fatalf("simulator faults: status %d", resp.StatusCode)
	}
}

// SetRotation sets what becomes of a used refresh token from now on.
func (sim *Simulator) SetRotation(policy string) {
	sim.t.Helper()
	sim.Control("policy", object{"rotation": policy}, nil)
}

// simulatorRequest is what the simulator's log says of a request.
type simulatorRequest struct {
	Time      time.Time `json:"time"`
	GrantType string    `json:"grant_type"`
	User      string    `json:"user"`
	Done      bool      `json:"done"`
}

// Requests are the requests that Entra has seen since the last reset.
func (sim *Simulator) Requests() []simulatorRequest {
	sim.t.Helper()
	var log []simulatorRequest
	sim.Control("requests", nil, &log)
	return log
}
