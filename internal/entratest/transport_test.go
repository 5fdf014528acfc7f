// SPDX-License-Identifier: MPL-2.0

package entratest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"vault-plugin-secrets-entra/internal/entratest"
)

// inBubble runs a test with a simulator and a client that talk without sockets, where time passes
// only while everybody waits.
func inBubble(t *testing.T, test func(t *testing.T, s *entratest.Simulator, client *http.Client)) {
	synctest.Test(t, func(t *testing.T) {
		s := entratest.New(entratest.Options{})
		defer s.Close()
		test(t, s, &http.Client{Transport: s.Transport()})
	})
}

func discoveryOf(s *entratest.Simulator) string {
	return s.Authority() + "/.well-known/openid-configuration"
}

func TestTransportServes(t *testing.T) {
	inBubble(t, func(t *testing.T, s *entratest.Simulator, client *http.Client) {
		resp, err := client.Get(discoveryOf(s))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var doc struct {
			Issuer string `json:"issuer"`
			Token  string `json:"token_endpoint"`
		}
		decode(t, resp.Body, &doc)
		if doc.Issuer != s.Authority() ||
			doc.Token != "https://localhost/"+s.Tenant()+"/oauth2/v2.0/token" {
			t.Errorf("discovery says %+v", doc)
		}
		if resp.Request.URL.String() != discoveryOf(s) {
			t.Errorf("the answer is to %s", resp.Request.URL)
		}
	})
}

func TestTransportDelaysPassInTheBubble(t *testing.T) {
	inBubble(t, func(t *testing.T, s *entratest.Simulator, client *http.Client) {
		s.Faults.Add(entratest.Fault{Delay: 3 * time.Hour})
		begun := time.Now()
		resp, err := client.Get(discoveryOf(s))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if took := time.Since(begun); took != 3*time.Hour {
			t.Errorf("it took %s", took)
		}
		if at := s.Requests()[0].Time; !at.Equal(begun) {
			t.Errorf("the simulator's clock said %s, the bubble's %s", at, begun)
		}
	})
}

func TestTransportDrop(t *testing.T) {
	inBubble(t, func(t *testing.T, s *entratest.Simulator, client *http.Client) {
		s.Faults.Add(entratest.Fault{Drop: true})
		if _, err := client.Get(discoveryOf(s)); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v", err)
		}
		if dropped := s.Counts().Dropped; dropped != 1 {
			t.Errorf("%d were dropped", dropped)
		}
	})
}

// TestTransportLeaves checks that a client that leaves gets its error at once, and the simulator
// sees it go.
func TestTransportLeaves(t *testing.T) {
	inBubble(t, func(t *testing.T, s *entratest.Simulator, client *http.Client) {
		s.Faults.Add(entratest.Fault{Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, discoveryOf(s), nil)
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		_, err = client.Do(req)
		if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) ||
			took != time.Minute {
			t.Errorf("after %s: %v", took, err)
		}
		synctest.Wait()
		if seen := s.Requests()[0]; !seen.Done || seen.Status != 0 {
			t.Errorf("the simulator saw %+v", seen)
		}
	})
}

// TestTransportClose checks that what hangs ends with the simulator, before Close returns.
func TestTransportClose(t *testing.T) {
	inBubble(t, func(t *testing.T, s *entratest.Simulator, client *http.Client) {
		s.Faults.Add(entratest.Fault{Hang: true})
		ended := make(chan error, 1)
		go func() {
			_, err := client.Get(discoveryOf(s))
			ended <- err
		}()
		synctest.Wait()
		s.Close()
		if seen := s.Requests()[0]; !seen.Done {
			t.Error("a request is still running")
		}
		if err := <-ended; err == nil {
			t.Error("it was answered")
		}
		if _, err := client.Get(discoveryOf(s)); err == nil {
			t.Error("a closed simulator answers")
		}
	})
}
