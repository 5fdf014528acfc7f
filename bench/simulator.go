// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// tokenLifetime is long enough that no token is renewed during the run.
const tokenLifetime = 24 * time.Hour

// simulator stands for Entra: the process, and what its simulator.json says.
type simulator struct {
	*process
	client *http.Client
	caPEM  string

	URL          string `json:"url"`
	Authority    string `json:"authority"`
	Control      string `json:"control"`
	TenantID     string `json:"tenant_id"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

func startSimulator(binary, dir string) (*simulator, error) {
	files := filepath.Join(dir, "simulator")
	p, err := startProcess(filepath.Join(dir, "simulator.log"), nil, binary,
		"-dir", files, "-token-lifetime", tokenLifetime.String())
	if err != nil {
		return nil, err
	}
	s := &simulator{process: p}
	if err := p.await(30*time.Second, func() error { return s.describe(files) }); err != nil {
		p.stop()
		return nil, err
	}
	return s, nil
}

func (s *simulator) describe(files string) error {
	text, err := os.ReadFile(filepath.Join(files, "simulator.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, s); err != nil {
		return err
	}
	ca, err := os.ReadFile(filepath.Join(files, "ca.pem"))
	if err != nil {
		return err
	}
	s.caPEM = string(ca)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	s.client = &http.Client{
		Timeout:   requestTimeout,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
	}
	return nil
}

// control asks the control API; answer may be nil.
func (s *simulator) control(method, path string, body map[string]any, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, s.Control+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	return answerOf(s.client, req, answer)
}

// refreshToken is a new one of alice's. The simulator keeps a used one good, as
// Entra does, so it can be imported many times; each import gets one of its own.
func (s *simulator) refreshToken() (string, error) {
	var answer struct {
		RefreshToken string `json:"refresh_token"`
	}
	err := s.control(http.MethodPost, "refresh-token", map[string]any{
		"user": "alice", "client_id": s.ClientID, "platform": "web",
		"scopes": []string{"User.Read", "openid", "profile", "offline_access"},
	}, &answer)
	return answer.RefreshToken, err
}

// lifetime sets how long access tokens live from now on.
func (s *simulator) lifetime(d time.Duration) error {
	return s.control(http.MethodPost, "lifetimes", map[string]any{"access_token": d.String()}, nil)
}

// latency delays every refresh from now on, as the way to Entra does; 0 ends it.
func (s *simulator) latency(d time.Duration) error {
	if err := s.control(http.MethodDelete, "faults", nil, nil); err != nil || d == 0 {
		return err
	}
	return s.control(http.MethodPost, "faults", map[string]any{
		"endpoint": "token", "grant_type": "refresh_token", "delay": d.String(),
	}, nil)
}

// throttle refuses refreshes above a rate, and delays all, from now on until latency(0). It returns
// the id of the fault that refuses.
func (s *simulator) throttle(perSecond int, retryAfter, delay time.Duration) (id int, err error) {
	var answer struct {
		ID int `json:"id"`
	}
	err = s.control(http.MethodPost, "faults", map[string]any{
		"endpoint": "token", "grant_type": "refresh_token", "above_per_second": perSecond,
		"status": http.StatusTooManyRequests, "delay": delay.String(),
		"retry_after": fmt.Sprint(int(retryAfter.Seconds())),
	}, &answer)
	if err != nil {
		return 0, err
	}
	return answer.ID, s.control(http.MethodPost, "faults", map[string]any{
		"endpoint": "token", "grant_type": "refresh_token", "delay": delay.String(),
	}, nil)
}

// fired is how many requests have met a fault.
func (s *simulator) fired(id int) (int, error) {
	var script []struct{ ID, Fired int }
	if err := s.control(http.MethodGet, "faults", nil, &script); err != nil {
		return 0, err
	}
	for _, fault := range script {
		if fault.ID == id {
			return fault.Fired, nil
		}
	}
	return 0, fmt.Errorf("the simulator has no fault %d", id)
}

// refreshes is how many refresh token grants were asked for so far.
func (s *simulator) refreshes() (int, error) {
	var state struct {
		Counts struct {
			Grants map[string]int `json:"grants"`
		} `json:"counts"`
	}
	err := s.control(http.MethodGet, "state", nil, &state)
	return state.Counts.Grants["refresh_token"], err
}

// roundTrip is how long one refresh takes from here, on a connection that is open.
func (s *simulator) roundTrip() (time.Duration, error) {
	token, err := s.refreshToken()
	if err != nil {
		return 0, err
	}
	form := url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {token},
		"scope":         {"User.Read offline_access"},
		"client_id":     {s.ClientID},
		"client_secret": {s.ClientSecret},
	}
	endpoint := strings.TrimSuffix(s.Authority, "/v2.0") + "/oauth2/v2.0/token"
	var took []time.Duration
	for range 4 {
		req, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader(form.Encode()))
		if err != nil {
			return 0, err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		start := time.Now()
		if err := answerOf(s.client, req, nil); err != nil {
			return 0, err
		}
		took = append(took, time.Since(start))
	}
	return median(took[1:]), nil // the first opened the connection
}

// answerOf sends a request and decodes its answer, which must be a 2xx.
func answerOf(client *http.Client, req *http.Request, answer any) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: status %d: %.500s",
			req.Method, req.URL.Path, resp.StatusCode, text)
	}
	if answer == nil || len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, answer)
}
