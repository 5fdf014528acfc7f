// SPDX-License-Identifier: MPL-2.0

package execcredential

import (
	"strings"
	"testing"
	"time"
)

// The answer's version is the one that was asked for; v1 where nothing is said.
func TestVersion(t *testing.T) {
	info := func(version, kind string) string {
		return `{"apiVersion": "` + version + `", "kind": "` + kind +
			`", "spec": {"interactive": true, "cluster": {"server": "https://k8s.example"}}}`
	}
	const group = "client.authentication.k8s.io/"
	for name, c := range map[string]struct{ info, want, says string }{
		"nothing":       {"", group + "v1", ""},
		"v1":            {info(group+"v1", kind), group + "v1", ""},
		"v1beta1":       {info(group+"v1beta1", kind), group + "v1beta1", ""},
		"a removed one": {info(group+"v1alpha1", kind), "", "set client.authentication.k8s.io/v1 "},
		"another group": {info("v1", kind), "", `apiVersion "v1"`},
		"another kind":  {info(group+"v1", "TokenReview"), "", `"TokenReview"`},
		"no JSON":       {"yes", "", InfoVariable},
	} {
		got, err := Version(c.info)
		if got != c.want || (err == nil) != (c.says == "") ||
			err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestWrite(t *testing.T) {
	write := func(token string, expiry time.Time) (string, error) {
		var out strings.Builder
		err := Write(&out, v1, token, expiry)
		return out.String(), err
	}
	east := time.FixedZone("east", 3600)
	got, err := write("a.token", time.Date(2026, 11, 25, 1, 2, 3, 9e8, east))
	const want = `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",` +
		`"status":{"expirationTimestamp":"2026-11-25T00:02:03Z","token":"a.token"}}` + "\n"
	if err != nil || got != want {
		t.Errorf("%v: %s", err, got)
	}
	if got, err := write("a.token", time.Time{}); err != nil || strings.Contains(got, "expiration") {
		t.Errorf("%v: %s", err, got)
	}
	if got, err := write("", time.Now()); err == nil || got != "" {
		t.Errorf("without a token: %s", got)
	}
}
