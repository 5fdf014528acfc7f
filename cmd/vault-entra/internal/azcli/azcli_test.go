// SPDX-License-Identifier: MPL-2.0

package azcli

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

const (
	tenant       = "3aa4a235-b6e2-48d5-9195-7fcf05b459b0"
	subscription = "5c0b1d4e-4d39-4d8e-9a75-6dd6bb9ff5a1"
)

// vault stands for where tokens come from, and remembers the resources that were asked for.
type vault struct {
	err   error
	asked []string
}

func (v *vault) Token(_ context.Context, resource string) (Token, error) {
	v.asked = append(v.asked, resource)
	return Token{
		Access: "a.token", Type: "Bearer", Expiry: time.Date(2026, 11, 25, 20, 30, 0, 0, time.UTC),
		TenantID: tenant, Username: "alice@contoso.example",
	}, v.err
}

// az runs a command line, words parted by spaces, in a zone two hours east.
func az(t *testing.T, v *vault, subscription, line string) (out, messages string, code int) {
	t.Helper()
	var o, m strings.Builder
	cli := &CLI{
		Tokens: v, Subscription: subscription, Location: time.FixedZone("east", 7200),
		Out: &o, Err: &m,
	}
	code = cli.Run(t.Context(), strings.Fields(line))
	return o.String(), m.String(), code
}

const token = `{
  "accessToken": "a.token",
  "expiresOn": "2026-11-25 22:30:00.000000",
  "expires_on": 1795638600,
  "tenant": "` + tenant + `",
  "tokenType": "Bearer"
}
`

func withSubscription(id string) string {
	return strings.Replace(token, `  "tenant"`, `  "subscription": "`+id+`",`+"\n"+`  "tenant"`, 1)
}

// The command lines of Azure's SDKs, and of people, get what az prints for them.
func TestAccessToken(t *testing.T) {
	const get = "account get-access-token "
	for line, c := range map[string]struct{ resource, out string }{
		// azidentity
		get + "-o json --resource https://vault.azure.net": {
			"https://vault.azure.net", withSubscription(tenant)},
		get + "-o json --resource https://vault.azure.net --tenant " + tenant: {
			"https://vault.azure.net", token},
		// @azure/identity
		get + "--output json --resource https://management.azure.com/ --tenant contoso.com": {
			"https://management.azure.com/", token},
		// go-azure-sdk
		get + "--scope https://management.azure.com//.default --tenant " + tenant + " -o=json": {
			"https://management.azure.com", token},
		get + "--scope https://graph.microsoft.com/.default --subscription " + tenant + " -o=json": {
			"https://graph.microsoft.com", withSubscription(tenant)},
		// people
		get: {"https://management.azure.com/", withSubscription(tenant)},
		get + "--resource=https://vault.azure.net --query accessToken -o tsv": {
			"https://vault.azure.net", "a.token\n"},
		get + "--query expires_on -otsv --resource-type ms-graph": {
			"https://graph.microsoft.com/", "1795638600\n"},
		get + "--query accessToken --debug":       {"https://management.azure.com/", "\"a.token\"\n"},
		get + "-t " + tenant + " -o none":         {"https://management.azure.com/", ""},
		get + "--scopes User.Read offline_access": {"https://graph.microsoft.com", withSubscription(tenant)},
		get + "--scope https://vault.azure.net/user_impersonation": {
			"https://vault.azure.net", withSubscription(tenant)},
		get + "--scope 499b84ac-1321-427f-aa17-267ca6975798/.default": {
			"499b84ac-1321-427f-aa17-267ca6975798", withSubscription(tenant)},
	} {
		v := &vault{}
		out, messages, code := az(t, v, "", line)
		if code != 0 || out != c.out || messages != "" {
			t.Errorf("az %s: exit %d, %s%s", line, code, out, messages)
		}
		if len(v.asked) != 1 || v.asked[0] != c.resource {
			t.Errorf("az %s: asked for %q", line, v.asked)
		}
	}
	out, _, code := az(t, &vault{}, subscription, get+"-s "+strings.ToUpper(subscription))
	if code != 0 || out != withSubscription(subscription) {
		t.Errorf("with a subscription: exit %d, %s", code, out)
	}
}

// What go-azure-sdk asks before it asks for a token.
func TestAccount(t *testing.T) {
	const shown = `{
  "environmentName": "AzureCloud",
  "homeTenantId": "` + tenant + `",
  "id": "` + tenant + `",
  "isDefault": true,
  "managedByTenants": [],
  "name": "N/A(tenant level account)",
  "state": "Enabled",
  "tenantId": "` + tenant + `",
  "user": {
    "name": "alice@contoso.example",
    "type": "user"
  }
}
`
	if out, messages, code := az(t, &vault{}, "", "account show -o=json"); code != 0 || out != shown {
		t.Errorf("account show: exit %d, %s%s", code, out, messages)
	}
	out, messages, code := az(t, &vault{}, subscription, "account list -o=json --all")
	if code != 0 || !strings.Contains(out, `"id": "`+subscription+`"`) || out[0] != '[' ||
		!strings.Contains(out, `"cloudName": "AzureCloud"`) {
		t.Errorf("account list: exit %d, %s%s", code, out, messages)
	}
	v := &vault{}
	out, messages, code = az(t, v, "", "version -o=json")
	if code != 0 || !strings.Contains(out, `"azure-cli": "2.54.0"`) || v.asked != nil {
		t.Errorf("version: exit %d, %s%s", code, out, messages)
	}
}

// What az refuses is refused, and what only az can do is named. Nothing is on standard output.
func TestRefusals(t *testing.T) {
	const get = "account get-access-token "
	for line, c := range map[string]struct {
		code int
		says string
	}{
		"":                             {2, "vault-entra"},
		"vm list -o json":              {2, "az vm list: this is vault-entra"},
		"login":                        {2, "Install the Azure CLI"},
		"account":                      {2, "az account"},
		get + "--resources x":          {2, "unrecognized arguments: resources"},
		get + "https://x":              {2, "unrecognized arguments: https://x"},
		get + "-":                      {2, "unrecognized arguments: -"},
		get + "--all":                  {2, "unrecognized arguments: all"},
		get + "--resource":             {2, "expected one argument"},
		get + "--resource -o x":        {2, "expected one argument"},
		get + "--debug=1":              {2, "ignored explicit argument"},
		get + "-o yaml":                {2, "'yaml' is not a value for '--output'"},
		get + "-o tsv":                 {2, "--query"},
		get + "--query {a:b}":          {2, "the name of one field"},
		get + "--query nothing":        {2, "the name of one field"},
		get + "--resource-type x":      {2, "--resource-type x"},
		get + "--resource a --scope b": {2, "do not go together"},
		get + "--scope https://a.example/.default https://b.example/.default": {2, "one resource"},
		get + "--tenant a --subscription b":                                   {1, "do not go together"},
		get + "--tenant 00000000-0000-0000-0000-000000000000":                 {1, tenant},
		get + "--subscription " + subscription:                                {1, "AZURE_SUBSCRIPTION_ID"},
		"account show -s " + subscription:                                     {1, "AZURE_SUBSCRIPTION_ID"},
		"account show --query user -o tsv":                                    {1, "not one value"},
		"account list --query id -o tsv":                                      {2, "the name of one field"},
	} {
		out, messages, code := az(t, &vault{}, "", line)
		if code != c.code || out != "" || !strings.HasPrefix(messages, "ERROR: ") ||
			!strings.Contains(messages, c.says) || strings.Count(messages, "\n") != 1 {
			t.Errorf("az %s: exit %d, %s%s", line, code, out, messages)
		}
	}
}

// A person who has to sign in reads the command. @azure/identity shows what is on standard error
// unless "az login" stands there, and would say then to run that.
func TestLoginRequired(t *testing.T) {
	v := &vault{err: errors.New("login_required: run vault-entra login alice")}
	for _, line := range []string{"account get-access-token", "account show", "account list"} {
		out, messages, code := az(t, v, "", line)
		if code != 1 || out != "" || messages != "ERROR: "+v.err.Error()+"\n" ||
			strings.Contains(messages, "az login") {
			t.Errorf("az %s: exit %d, %s%s", line, code, out, messages)
		}
	}
}
