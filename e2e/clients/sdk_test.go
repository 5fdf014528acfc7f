// SPDX-License-Identifier: MPL-2.0

package clients

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"vault-plugin-secrets-entra/e2e/harness"
)

// More of Microsoft's own clients against the simulator: the Azure SDK for Go, and
// MSAL for Node.js. Where they and it disagree, the simulator is wrong.

// The Azure SDK's device code credential signs in, refreshes for two resources,
// and says when the person must sign in again.
func TestAzureIdentity(t *testing.T) {
	t.Parallel()
	sim := harness.NewSimulator(t)
	authority, err := url.Parse(sim.Authority)
	if err != nil {
		t.Fatal(err)
	}
	prompts := 0
	credential, err := azidentity.NewDeviceCodeCredential(&azidentity.DeviceCodeCredentialOptions{
		ClientOptions: policy.ClientOptions{
			Cloud: cloud.Configuration{
				ActiveDirectoryAuthorityHost: "https://" + authority.Host,
			},
			Transport: sim.HTTPClient(),
			Retry:     policy.RetryOptions{MaxRetries: -1},
		},
		TenantID:                       sim.TenantID,
		ClientID:                       sim.PublicClientID,
		DisableInstanceDiscovery:       true,
		DisableAutomaticAuthentication: true,
		UserPrompt: func(_ context.Context, message azidentity.DeviceCodeMessage) error {
			prompts++
			sim.Control("device", object{
				"user_code": message.UserCode, "user": "alice", "action": "signin",
			}, nil)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	graph := policy.TokenRequestOptions{Scopes: []string{"https://graph.microsoft.com/User.Read"}}
	record, err := credential.Authenticate(msalContext(t), &graph)
	if err != nil || record.Username != "alice@contoso.example" {
		t.Fatalf("signed in as %q: %v", record.Username, err)
	}
	token := func(options policy.TokenRequestOptions) azcore.AccessToken {
		t.Helper()
		token, err := credential.GetToken(msalContext(t), options)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	if first := token(graph); !sim.Active(first.Token) ||
		time.Until(first.ExpiresOn) < 50*time.Minute {
		t.Errorf("the token is good until %s", first.ExpiresOn)
	}
	// A second resource needs a consent of its own, and then no further sign-in.
	arm := policy.TokenRequestOptions{Scopes: []string{"https://management.azure.com//.default"}}
	var required *azidentity.AuthenticationRequiredError
	if _, err := credential.GetToken(msalContext(t), arm); !errors.As(err, &required) {
		t.Errorf("without consent: %v", err)
	}
	if _, err := credential.Authenticate(msalContext(t), &arm); err != nil {
		t.Fatal(err)
	}
	audience := sim.Audience(token(arm).Token)
	if !strings.Contains(audience, "management.azure.com") {
		t.Errorf("the second token is for %s", audience)
	}
	token(graph)
	if prompts != 2 {
		t.Errorf("the person was asked %d times", prompts)
	}

	sim.Control("revoke", object{"user": "alice"}, nil)
	_, err = credential.GetToken(msalContext(t), policy.TokenRequestOptions{
		Scopes: []string{"https://vault.azure.net/.default"},
	})
	if !errors.As(err, &required) {
		t.Errorf("after a revocation: %v", err)
	}
}

// nodeAnswer is a line that clients/msal-node/client.mjs prints.
type nodeAnswer struct {
	What      string `json:"what"`
	URL       string `json:"url"`
	Token     string `json:"token"`
	Username  string `json:"username"`
	FromCache bool   `json:"fromCache"`
	Error     string `json:"error"`
	Suberror  string `json:"suberror"`
	Claims    string `json:"claims"`
	Message   string `json:"message"`
}

// MSAL for Node.js as a confidential client with PKCE: sign-in, cache, refresh, a
// second resource, a claims challenge, a wrong secret, and MFA.
func TestMSALNode(t *testing.T) {
	t.Parallel()
	dir := harness.NPMProgram(t, "msal-node")
	sim := newMSAL(t)
	cmd := exec.Command("node", filepath.Join(dir, "client.mjs"))
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+sim.CAFile,
		"AUTHORITY="+sim.authority(), "CLIENT_ID="+sim.ClientID, "CLIENT_SECRET="+sim.ClientSecret,
		"REDIRECT_URI="+msalRedirect)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said harness.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		limit.Stop()
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // how it ended is seen by what it printed
	})
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	next := func(what string) nodeAnswer {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("no answer about %s: %s", what, said.String())
		}
		var a nodeAnswer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil || a.What != what {
			t.Fatalf("%s: %v in %s", what, err, lines.Text())
		}
		return a
	}
	good := func(what, audience string) nodeAnswer {
		t.Helper()
		a := next(what)
		if a.Error != "" || !sim.Active(a.Token) ||
			!strings.Contains(sim.Audience(a.Token), audience) ||
			a.Username != "alice@contoso.example" {
			t.Errorf("%s: error %q %q, user %q", what, a.Error, a.Message, a.Username)
		}
		return a
	}

	answer := answered(t, harness.NewBrowser(sim.Simulator).SignIn(next("url").URL, "alice"))
	if answer.Get("state") != "of node" {
		t.Fatalf("the answer is %v", answer)
	}
	tell := func(line string) {
		t.Helper()
		if _, err := io.WriteString(in, line+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	tell(answer.Get("code"))
	if a := next("wrong secret"); a.Error != "invalid_client" ||
		!strings.Contains(a.Message, "AADSTS7000215") {
		t.Errorf("a wrong secret: %+v", a)
	}
	first := good("code", "graph.microsoft.com")
	if a := good("cached", "graph.microsoft.com"); !a.FromCache || a.Token != first.Token {
		t.Error("the token was not cached")
	}
	if a := good("refreshed", "graph.microsoft.com"); a.FromCache || a.Token == first.Token {
		t.Error("the token was not refreshed")
	}
	good("second resource", "management.azure.com")
	good("claims", "graph.microsoft.com")
	next("ready")
	sim.Control("users/state", object{"user": "alice", "state": "mfa_required"}, nil)
	tell("go on")
	if a := next("mfa"); a.Error != "interaction_required" && a.Error != "invalid_grant" ||
		!strings.Contains(a.Message, "AADSTS50076") || a.Claims == "" {
		t.Errorf("when MFA is required: %s", fmt.Sprintf("%+v", a))
	}
}
