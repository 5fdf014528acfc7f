// SPDX-License-Identifier: MPL-2.0

// Package azcli answers as the Azure CLI does where programs ask it for a token: azidentity's
// AzureCLICredential (azure_cli_credential.go), @azure/identity's AzureCliCredential
// (azureCliCredential.ts) and go-azure-sdk's AzureCliAuthorizer (auth/azure_cli_authorizer.go,
// internal/azurecli), which also asks for the version and the account. What az prints is by its
// command_modules/profile/custom.py and azure-cli-core's _profile.py.
package azcli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// What az exits with (azure-cli-core, azure/cli/core/azclierror.py and knack's parser).
const (
	ExitOK     = 0
	ExitFailed = 1
	ExitUsage  = 2
)

// version is the Azure CLI whose answers these are: 2.54.0 was the first with expires_on.
// go-azure-sdk looks for one from 2.0.81 on, below 3.
const version = "2.54.0"

// armResource is what a token is for when nothing is said, as az has it for the public cloud.
const armResource = "https://management.azure.com/"

// Token is an access token and whose it is.
type Token struct {
	Access   string
	Type     string // Bearer
	Expiry   time.Time
	TenantID string
	Username string
}

// Tokens is where they come from.
type Tokens interface {
	// Token is for a resource, such as https://vault.azure.net.
	Token(ctx context.Context, resource string) (Token, error)
}

// CLI is one call of az.
type CLI struct {
	Tokens       Tokens
	Subscription string         // ID; without it the account is one of the tenant alone
	Location     *time.Location // of expiresOn, which az prints in local time
	Out, Err     io.Writer
}

// Run answers a command line, without the program's name, and returns az's exit status.
func (c *CLI) Run(ctx context.Context, args []string) int {
	err := c.run(ctx, args)
	var usage usageError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &usage):
		fmt.Fprintf(c.Err, "ERROR: %s\n", usage)
		return ExitUsage
	}
	fmt.Fprintf(c.Err, "ERROR: %s\n", err)
	return ExitFailed
}

// usageError is a command line that az refuses too, or that only az can answer.
type usageError struct{ error }

func usage(format string, values ...any) error {
	return usageError{fmt.Errorf(format, values...)}
}

// commands are the commands that are answered, each with the options that it takes.
var commands = []struct {
	words   []string
	options []string
	run     func(*CLI, context.Context, *command) (any, error)
}{
	{[]string{"account", "get-access-token"},
		[]string{"resource", "resource-type", "scope", "tenant", "subscription"}, (*CLI).accessToken},
	{[]string{"account", "show"}, []string{"subscription"}, (*CLI).show},
	{[]string{"account", "list"}, []string{"all", "refresh"}, (*CLI).list},
	{[]string{"version"}, nil, (*CLI).version},
}

func (c *CLI) run(ctx context.Context, args []string) error {
	for _, known := range commands {
		if len(args) < len(known.words) || !slices.Equal(args[:len(known.words)], known.words) {
			continue
		}
		parsed, err := parse(args[len(known.words):], known.options)
		if err != nil {
			return err
		}
		answer, err := known.run(c, ctx, parsed)
		if err != nil {
			return err
		}
		return parsed.print(c.Out, answer)
	}
	words := args
	if i := slices.IndexFunc(args, func(s string) bool { return strings.HasPrefix(s, "-") }); i >= 0 {
		words = args[:i]
	}
	return usage("az %s: this is vault-entra, which answers for az only what programs ask of it: "+
		"account get-access-token, account show, account list and version. "+
		"Install the Azure CLI for the rest", strings.Join(words, " "))
}

func (c *CLI) accessToken(ctx context.Context, asked *command) (any, error) {
	resource, err := asked.resource()
	if err != nil {
		return nil, err
	}
	tenant, subscription := asked.option("tenant"), asked.option("subscription")
	if tenant != "" && subscription != "" {
		return nil, errors.New("--subscription and --tenant do not go together")
	}
	token, err := c.Tokens.Token(ctx, resource)
	if err != nil {
		return nil, err
	}
	if err := sameTenant(tenant, token.TenantID); err != nil {
		return nil, err
	}
	answer := &accessToken{
		AccessToken: token.Access,
		ExpiresOn:   token.Expiry.In(c.Location).Format("2006-01-02 15:04:05.000000"),
		ExpiresUnix: token.Expiry.Unix(),
		Tenant:      token.TenantID,
		TokenType:   token.Type,
	}
	if tenant == "" { // with a tenant az names no subscription
		if answer.Subscription, err = c.subscription(subscription, token.TenantID); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// accessToken is what az account get-access-token prints, in the order of names as az has it.
type accessToken struct {
	AccessToken  string `json:"accessToken"`
	ExpiresOn    string `json:"expiresOn"`  // local time, microseconds
	ExpiresUnix  int64  `json:"expires_on"` // seconds since 1970, UTC
	Subscription string `json:"subscription,omitempty"`
	Tenant       string `json:"tenant"`
	TokenType    string `json:"tokenType"`
}

// sameTenant refuses a token of another tenant than the one that was asked for. A domain of the
// tenant's cannot be told from another's here, and passes.
func sameTenant(asked, tenantID string) error {
	if isGUID(asked) && !strings.EqualFold(asked, tenantID) {
		return fmt.Errorf("--tenant %s: the account is of tenant %s", asked, tenantID)
	}
	return nil
}

// isGUID reports whether s is written as RFC 9562 section 4 writes a UUID.
func isGUID(s string) bool {
	for i, r := range s {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (r == '-') ||
			!dash && !strings.ContainsRune("0123456789abcdefABCDEF", r) {
			return false
		}
	}
	return len(s) == 36
}

// subscription is the ID of the subscription that the account stands for. An account without
// one has the tenant's ID there, as after az login --allow-no-subscriptions.
func (c *CLI) subscription(asked, tenantID string) (string, error) {
	own := c.Subscription
	if own == "" {
		own = tenantID
	}
	if asked != "" && !strings.EqualFold(asked, own) {
		return "", fmt.Errorf("--subscription %s: the account is not of this subscription. "+
			"Name it in AZURE_SUBSCRIPTION_ID if it is yours", asked)
	}
	return own, nil
}

// account is what az account show prints.
type account struct {
	EnvironmentName  string   `json:"environmentName,omitempty"`
	CloudName        string   `json:"cloudName,omitempty"` // az account list has it by this name
	HomeTenantID     string   `json:"homeTenantId"`
	ID               string   `json:"id"`
	IsDefault        bool     `json:"isDefault"`
	ManagedByTenants []string `json:"managedByTenants"`
	Name             string   `json:"name"`
	State            string   `json:"state"`
	TenantID         string   `json:"tenantId"`
	User             user     `json:"user"`
}

type user struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

const publicCloud = "AzureCloud"

func (c *CLI) show(ctx context.Context, asked *command) (any, error) {
	own, err := c.account(ctx, asked.option("subscription"))
	if err != nil {
		return nil, err
	}
	own.EnvironmentName = publicCloud
	return own, nil
}

func (c *CLI) list(ctx context.Context, _ *command) (any, error) {
	own, err := c.account(ctx, "")
	if err != nil {
		return nil, err
	}
	own.CloudName = publicCloud
	return []*account{own}, nil
}

// account tells whose the token for Azure Resource Manager is.
func (c *CLI) account(ctx context.Context, subscription string) (*account, error) {
	token, err := c.Tokens.Token(ctx, armResource)
	if err != nil {
		return nil, err
	}
	id, err := c.subscription(subscription, token.TenantID)
	if err != nil {
		return nil, err
	}
	name := "N/A(tenant level account)"
	if c.Subscription != "" {
		name = c.Subscription
	}
	return &account{
		HomeTenantID: token.TenantID, ID: id, IsDefault: true, ManagedByTenants: []string{},
		Name: name, State: "Enabled", TenantID: token.TenantID,
		User: user{Name: token.Username, Type: "user"},
	}, nil
}

func (c *CLI) version(context.Context, *command) (any, error) {
	return map[string]any{
		"azure-cli": version, "azure-cli-core": version, "extensions": map[string]any{},
	}, nil
}
