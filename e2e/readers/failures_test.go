// SPDX-License-Identifier: MPL-2.0

package readers

import (
	"errors"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// throughFailures lets everything go wrong with the account ci, one after the other: each time a
// program that reads its token is run until it fails and says so, and after the cure until it
// succeeds. What it says of a failure is the engine's word, or that of says.
func throughFailures(
	t *testing.T, e *harness.Engine, says map[string]string, run func() (said string, ok bool),
) map[string]*seen {
	t.Helper()
	failed := map[string]*seen{}
	st := &stage{e: e, seats: []*seat{{reader: &reader{account: "ci"}, t: t, e: e}}}
	for _, f := range failures {
		word := f.says
		if other, is := says[f.name]; is {
			word = other
		}
		f.cause(st)
		// Until the token that is held expires, it is served.
		harness.Eventually(t, time.Minute, f.name, func() error {
			said, ok := run()
			for line := range strings.Lines(said) {
				if !ok && strings.Contains(line, word) {
					failed[f.name] = &seen{Word: word, Line: plain(line)}
					return nil
				}
			}
			return errors.New(said)
		})
		f.mend(st)
		mended := time.Now()
		harness.Eventually(t, time.Minute, "a token after "+f.name, func() error {
			if said, ok := run(); !ok {
				return errors.New(said)
			}
			return nil
		})
		failed[f.name].Seconds = max(1, int(time.Since(mended).Seconds()))
	}
	return failed
}

// limited is the server for somebody who may do what a policy says, and has the default one.
func limited(t testing.TB, e *harness.Engine, name, policy string) *harness.Client {
	t.Helper()
	e.Put("sys/policies/acl/"+name, object{"policy": policy}).Want(204)
	var made struct {
		Auth struct {
			Token string `json:"client_token"`
		} `json:"auth"`
	}
	e.Put("auth/token/create-orphan", object{"policies": []string{name}}).Want(200).Into(&made)
	return &harness.Client{T: t, Addr: e.Addr, Token: made.Auth.Token}
}

// readsToken is the policy of who reads the recipes' token: docs/policies/pipeline.hcl, for the
// recipes' account and role.
func readsToken(t testing.TB) string {
	t.Helper()
	text := documentText(t, "policies/pipeline.hcl")
	if !strings.Contains(text, "alice/arm") {
		t.Fatal("the policy is for another account than it was")
	}
	return strings.ReplaceAll(text, "alice/arm", "ci/graph")
}
