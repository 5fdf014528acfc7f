// SPDX-License-Identifier: MPL-2.0

package gitcredential

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// vault stands for where tokens come from, and remembers the hosts that were asked for.
type vault struct {
	credential Credential
	err        error
	asked      []string
}

func (v *vault) Credential(_ context.Context, host string) (*Credential, error) {
	v.asked = append(v.asked, host)
	if host != "dev.azure.com" && host != "git.example.com:8443" {
		return nil, nil
	}
	return &v.credential, v.err
}

func run(t *testing.T, v *vault, action, in string) (string, error) {
	t.Helper()
	var out strings.Builder
	err := Run(t.Context(), v, action, strings.NewReader(in), &out)
	return out.String(), err
}

func good() *vault {
	return &vault{credential: Credential{
		Username: "alice@contoso.example", Password: "a.token", Expiry: time.Unix(1800000000, 9e8),
	}}
}

const answer = "username=alice@contoso.example\npassword=a.token\npassword_expiry_utc=1800000000\n"

// get answers for https, and for the hosts that tokens may go to.
func TestGet(t *testing.T) {
	for name, c := range map[string]struct{ in, out string }{
		"Azure DevOps": {"protocol=https\nhost=dev.azure.com\n\n", answer},
		"of the map":   {"protocol=https\nhost=git.example.com:8443\n", answer},
		"a username of the URL's": {
			"protocol=https\nhost=dev.azure.com\nusername=contoso\n",
			strings.Replace(answer, "alice@contoso.example", "contoso", 1),
		},
		"what a new git says": {
			"capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=dev.azure.com\n" +
				"path=contoso/_git/a=b\nwwwauth[]=Bearer authorization_uri=\"https://x\"\n" +
				"wwwauth[]=\n", answer,
		},
		"another host":       {"protocol=https\nhost=github.com\n", ""},
		"another port":       {"protocol=https\nhost=dev.azure.com:8443\n", ""},
		"a lookalike":        {"protocol=https\nhost=dev.azure.com.example.com\n", ""},
		"http":               {"protocol=http\nhost=dev.azure.com\n", ""},
		"no protocol":        {"host=dev.azure.com\n", ""},
		"no host":            {"protocol=https\n", ""},
		"nothing":            {"", ""},
		"after the blank":    {"protocol=https\n\nhost=dev.azure.com\n", ""},
		"a host within path": {"protocol=https\nhost=github.com\npath=host=dev.azure.com\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := good()
			out, err := run(t, v, "get", c.in)
			if err != nil || out != c.out {
				t.Errorf("git gets %q, %v", out, err)
			}
			if !strings.Contains(c.in, "https") && v.asked != nil {
				t.Errorf("asked for %q", v.asked)
			}
		})
	}
}

// A helper that stores nothing ignores the rest, and reads no token for it.
func TestOtherActions(t *testing.T) {
	for _, action := range []string{"store", "erase", "capability", "tomorrow", ""} {
		v := good()
		out, err := run(t, v, action, "protocol=https\nhost=dev.azure.com\nusername=a\npassword=b\n")
		if out != "" || err != nil || v.asked != nil {
			t.Errorf("%s: %q, %v, asked for %v", action, out, err, v.asked)
		}
	}
}

// What fails ends git's search, and what went wrong reaches the person.
func TestFailure(t *testing.T) {
	login := errors.New("login_required")
	out, err := run(t, &vault{err: login}, "get", "protocol=https\nhost=dev.azure.com\n")
	if !errors.Is(err, login) || out != "quit=1\n" {
		t.Errorf("%q, %v", out, err)
	}
	for name, c := range map[string]Credential{
		"an attribute in a token": {Password: "a\nhost=evil.example"},
		"an attribute in a name":  {Username: "a\nhost=evil.example", Password: "a"},
		"a NUL":                   {Password: "a\x00"},
		"no token":                {Username: "alice"},
	} {
		out, err := run(t, &vault{credential: c}, "get", "protocol=https\nhost=dev.azure.com\n")
		if err == nil || out != "quit=1\n" {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
	for name, in := range map[string]string{
		"no =":      "protocol=https\nhost\n",
		"too large": "protocol=https\nhost=" + strings.Repeat("a", maxLine),
	} {
		if out, err := run(t, good(), "get", in); err == nil || out != "" {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
}

// Without a username anywhere there is one all the same, and no expiry is no expiry.
func TestLeastAnswer(t *testing.T) {
	out, err := run(t, &vault{credential: Credential{Password: "a"}}, "get",
		"protocol=https\nhost=dev.azure.com\n")
	if err != nil || out != "username=vault-entra\npassword=a\n" {
		t.Errorf("%q, %v", out, err)
	}
}
