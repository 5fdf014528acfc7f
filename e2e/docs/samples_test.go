// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// Every sample of docs/api.md is run, in its order; its answer has the fields, the
// types and the error code that the document shows.
func TestAPISamples(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile(harness.Path("docs", "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```\n\\$ (curl [^\n]*)\n(.*?)```")
	samples := block.FindAllStringSubmatch(string(document), -1)
	if len(samples) < 19 {
		t.Fatalf("only %d samples", len(samples))
	}
	e := harness.NewEngine(t)
	r := &documentRun{Engine: e, dir: t.TempDir()}
	config, err := json.Marshal(object{
		"tenant_id": e.Sim.TenantID, "client_id": e.Sim.ClientID,
		"client_secret": e.Sim.ClientSecret, "authority_url": e.Sim.Authority,
		"scopes": "User.Read",
		"ca_pem": e.Sim.CA, "redirect_uris": []string{e.CallbackURL(), harness.LoopbackURL},
		"allow_device_code": true, "background_refresh": false,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "config.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	redirected := ""
	for _, sample := range samples {
		command, shown := sample[1], strings.TrimSpace(sample[2])
		run := strings.Replace(command, "curl ", "curl -sS ", 1)
		switch {
		case strings.Contains(command, `"url": "`): // the second time it is used
			run = regexp.MustCompile(`"url": "[^"]*"`).ReplaceAllLiteralString(run,
				`"url": "`+redirected+`"`)
		case strings.HasSuffix(command, "/import/bob"):
			e.Sim.SetTokenLifetime("4s")
			run = regexp.MustCompile(`"refresh_token": "[^"]*"`).ReplaceAllLiteralString(run,
				`"refresh_token": "`+e.Sim.RefreshToken("bob")+`"`)
		case strings.HasSuffix(command, "/token/bob"):
			harness.Until(t, e.ExpireTime("bob").Add(time.Second))
			e.Sim.Control("revoke", object{"user": "bob"}, nil)
		}
		printed, err := r.shell(run)
		if err != nil {
			t.Fatalf("%s: %v\n%s", run, err, printed)
		}
		if printed = strings.TrimSpace(printed); printed == "" {
			printed = "HTTP 204, no body"
		}
		if got, want := shapeOfAnswer(t, printed), shapeOfAnswer(t, shown); got != want {
			t.Errorf("%s\nanswers\n%s\nwhere the document has\n%s", command, got, want)
		}
		if strings.HasSuffix(command, "/login/alice") && strings.Contains(command, " -d ") {
			var answer struct {
				Data struct {
					AuthURL string `json:"auth_url"`
				}
			}
			if err := json.Unmarshal([]byte(printed), &answer); err != nil {
				t.Fatal(err)
			}
			redirected = e.RedirectOf(answer.Data.AuthURL, "alice", "signin")
		}
	}
}

// shapeOfAnswer is an answer without what differs from run to run.
func shapeOfAnswer(t testing.TB, text string) string {
	t.Helper()
	if !strings.HasPrefix(text, "{") {
		return text
	}
	var answer struct {
		Data     any      `json:"data"`
		Errors   []string `json:"errors"`
		Warnings []string `json:"warnings"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	shape := shapeOf(answer.Data)
	for _, message := range slices.Concat(answer.Errors, answer.Warnings) {
		code, _, _ := strings.Cut(message, ":")
		shape += "\n" + code
	}
	return shape
}

func shapeOf(v any) string {
	switch v := v.(type) {
	case object:
		var fields []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			fields = append(fields, name+" "+shapeOf(v[name]))
		}
		return "{" + strings.Join(fields, ", ") + "}"
	case []any:
		return "list"
	case string:
		return "text"
	case float64:
		return "number"
	case bool:
		return "yes or no"
	}
	return "nothing"
}
