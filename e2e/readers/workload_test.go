// SPDX-License-Identifier: MPL-2.0

package readers

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// workload is what a workload in Kubernetes sees of its Secret, and when it is restarted.
type workload struct {
	mu       sync.Mutex // guards what follows
	secrets  []secret   // as it was made, and after each change
	template string     // of the Deployment's pods
	restarts []time.Time
}

// secret is a Secret as it was from some time on.
type secret struct {
	since time.Time
	keys  []string
	token string
}

// watch notes each change of the Secret and of the Deployment in a reader's namespace. The
// token shows in the seat's file, and in its log what Kubernetes is told of as an event.
func (w *workload) watch(s *seat, k *harness.Kubernetes) {
	s.t.Helper()
	w.watchSecret(s.t, k, s.account, s.show)
	k.Watch("/apis/apps/v1/namespaces/"+s.account+"/deployments?watch=true",
		func(_ string, o []byte) { w.sawDeployment(s.t, o) })
	k.Watch("/api/v1/namespaces/"+s.account+"/events?watch=true",
		func(_ string, o []byte) { s.hear(o) })
}

// watchSecret notes each change of the Secret that the recipes name, and shows its token.
func (w *workload) watchSecret(t testing.TB, k *harness.Kubernetes, namespace string, show func(token string)) {
	t.Helper()
	k.Watch("/api/v1/namespaces/"+namespace+"/secrets?watch=true&fieldSelector=metadata.name%3Dgraph-token",
		func(change string, o []byte) {
			var is struct {
				Data map[string][]byte `json:"data"`
			}
			if err := json.Unmarshal(o, &is); err != nil {
				t.Error(err)
				return
			}
			if change == "DELETED" {
				t.Errorf("the Secret in %s is gone", namespace)
				return
			}
			token := string(is.Data["access_token"])
			w.mu.Lock()
			w.secrets = append(w.secrets,
				secret{time.Now(), slices.Sorted(maps.Keys(is.Data)), token})
			w.mu.Unlock()
			show(token)
		})
}

func (w *workload) sawDeployment(t testing.TB, o []byte) {
	var is struct {
		Spec struct {
			Template json.RawMessage `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(o, &is); err != nil {
		t.Error(err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if template := string(is.Spec.Template); template != w.template {
		if w.template != "" {
			w.restarts = append(w.restarts, time.Now())
		}
		w.template = template
	}
}

// hear writes an event into the reader's log, as kubectl shows it.
func (s *seat) hear(o []byte) {
	var event struct {
		Type    string `json:"type"`
		Reason  string `json:"reason"`
		Message string `json:"message"`
		Object  struct {
			Kind string `json:"kind"`
			Name string `json:"name"`
		} `json:"involvedObject"`
	}
	if err := json.Unmarshal(o, &event); err != nil {
		s.t.Error(err)
		return
	}
	s.tell(fmt.Sprintf("%s %s %s/%s %s", event.Type, event.Reason, event.Object.Kind,
		event.Object.Name, strings.Join(strings.Fields(event.Message), " ")))
}

// soon is how long after a token was issued a workload has it, while nothing is wrong: as
// long as it takes until the operator reads again, and a moment.
const soon = 8 * time.Second

// changes holds the operator to a Secret that has one field and changes with the token alone,
// and soon after it.
func (w *workload) changes(t *testing.T, s *seat) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, is := range w.secrets {
		if !slices.Equal(is.keys, []string{"access_token"}) {
			t.Errorf("the Secret has %q", is.keys)
		}
		if i == 0 {
			continue
		}
		if is.token == w.secrets[i-1].token {
			t.Errorf("change %d of the Secret is of something else than its token", i)
		}
		late := is.since.Sub(s.e.Sim.AccessToken(is.token).Issued)
		if i <= s.row.Changes && late > soon {
			t.Errorf("change %d of the Secret comes %s after its token", i, late)
		}
	}
}

// restartsWithTokens holds the operator to a restart after it has made the Secret, one after
// each change, and no other.
func (w *workload) restartsWithTokens(t *testing.T) {
	harness.Eventually(t, soon, "a restart for each token", func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.restarts) != len(w.secrets) {
			return fmt.Errorf("%d tokens, %d restarts", len(w.secrets), len(w.restarts))
		}
		for i, is := range w.secrets {
			if after := w.restarts[i].Sub(is.since); after < -time.Second || after > soon {
				return fmt.Errorf("restart %d comes %s after its token", i, after)
			}
		}
		return nil
	})
}
