// SPDX-License-Identifier: MPL-2.0

// Package vaultclient speaks to the entra secrets engine of a Vault that it finds as the vault
// command does, and says in a person's words why a request was refused.
package vaultclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/cliconfig"
)

// Client is a client of one Vault, with the token that the vault command would use.
type Client struct {
	api *api.Client

	reloading sync.Mutex // one look at the token helper at a time
}

// New makes a client from the environment (VAULT_ADDR, VAULT_AGENT_ADDR, VAULT_TOKEN,
// VAULT_NAMESPACE, VAULT_CACERT and the others that api.DefaultConfig reads) and from the token
// helper. No token is no error here: a Vault Agent or Proxy adds one on the way.
func New() (*Client, error) {
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, fmt.Errorf("settings of Vault: %w", config.Error)
	}
	client, err := api.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("client for Vault: %w", err)
	}
	c := &Client{api: client}
	if client.Token() == "" {
		token, err := helperToken()
		if err != nil {
			return nil, err
		}
		client.SetToken(token)
	}
	return c, nil
}

// helperToken is the token that vault login kept, "" if there is none.
func helperToken() (string, error) {
	helper, err := cliconfig.DefaultTokenHelper()
	if err != nil {
		return "", fmt.Errorf("the token helper: %w", err)
	}
	token, err := helper.Get()
	if err != nil {
		return "", fmt.Errorf("the token helper: %w", err)
	}
	return token, nil
}

// Address is where Vault, or the Agent or Proxy before it, is asked.
func (c *Client) Address() string { return c.api.Address() }

// HasToken reports whether requests bear a token of their own.
func (c *Client) HasToken() bool { return c.api.Token() != "" }

// ThroughAgent reports whether VAULT_AGENT_ADDR names an Agent or Proxy, which may add a token.
func (c *Client) ThroughAgent() bool { return os.Getenv(api.EnvVaultAgentAddr) != "" }

// FailAtOnce ends the retries of Vault's client, unless VAULT_MAX_RETRIES asks for them: for a
// caller that has callers who retry.
func (c *Client) FailAtOnce() {
	if os.Getenv(api.EnvVaultMaxRetries) == "" {
		c.api.SetMaxRetries(0)
	}
}

// Read reads a path. The error is an *Error, or that of the context.
func (c *Client) Read(ctx context.Context, path string) (*api.Secret, error) {
	return c.ReadWith(ctx, path, nil)
}

// ReadWith reads a path with query parameters.
func (c *Client) ReadWith(ctx context.Context, path string,
	query map[string][]string) (*api.Secret, error) {
	return c.ask(ctx, "read", path, func(ctx context.Context) (*api.Response, error) {
		return c.api.Logical().ReadRawWithDataWithContext(ctx, path, query)
	})
}

// List lists the keys of a path, none if there is nothing.
func (c *Client) List(ctx context.Context, path string) ([]string, error) {
	listing := map[string][]string{"list": {"true"}}
	secret, err := c.ask(ctx, "list", path, func(ctx context.Context) (*api.Response, error) {
		return c.api.Logical().ReadRawWithDataWithContext(ctx, path, listing)
	})
	var refused *Error
	if errors.As(err, &refused) && refused.Class == NothingThere {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return Strings(secret, "keys"), nil
}

// Write writes to a path.
func (c *Client) Write(ctx context.Context, path string, data map[string]any) (*api.Secret, error) {
	body, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("fields for %s: %w", path, err)
	}
	return c.ask(ctx, "update", path, func(ctx context.Context) (*api.Response, error) {
		return c.api.Logical().WriteRawWithContext(ctx, path, body)
	})
}

// ask makes a request. One that is refused for its token is made again if the token helper has
// another by now: somebody has run vault login while this process lived.
func (c *Client) ask(ctx context.Context, capability, path string,
	request func(context.Context) (*api.Response, error)) (*api.Secret, error) {
	used := c.api.Token()
	secret, status, err := c.once(ctx, request)
	if status.code == http.StatusForbidden && c.reload(used) {
		secret, status, err = c.once(ctx, request)
	}
	if err == nil {
		return secret, nil
	}
	return nil, c.explain(ctx, capability, path, status, err)
}

// answered is what an answer says beside its body; code is 0 where none came.
type answered struct {
	code       int
	retryAfter time.Duration
}

// once makes a request within the time that VAULT_CLIENT_TIMEOUT gives.
func (c *Client) once(ctx context.Context,
	request func(context.Context) (*api.Response, error)) (*api.Secret, answered, error) {
	ctx, cancel := context.WithTimeout(ctx, c.api.ClientTimeout())
	defer cancel()
	resp, err := request(ctx)
	if resp == nil {
		return nil, answered{}, err
	}
	defer resp.Body.Close()
	status := answered{resp.StatusCode, retryAfter(resp.Header.Get("Retry-After"))}
	if err != nil || resp.StatusCode == http.StatusNoContent {
		return &api.Secret{}, status, err
	}
	secret, err := api.ParseSecret(resp.Body)
	if err != nil {
		return nil, status, fmt.Errorf("the answer cannot be read: %w", err)
	}
	if secret == nil {
		secret = &api.Secret{}
	}
	return secret, status, nil
}

// retryAfter reads the header of that name, which Vault sends in seconds.
func retryAfter(header string) time.Duration {
	seconds, err := strconv.Atoi(header)
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// reload takes another token than the one that was used from the token helper, if it has one.
func (c *Client) reload(used string) bool {
	if used == "" || os.Getenv(api.EnvVaultToken) != "" {
		return false
	}
	c.reloading.Lock()
	defer c.reloading.Unlock()
	if c.api.Token() != used {
		return true
	}
	token, err := helperToken()
	if err != nil || token == "" || token == used {
		return false
	}
	c.api.SetToken(token)
	return true
}

// Text is a string of an answer, "" if it is not there.
func Text(secret *api.Secret, name string) string {
	s, _ := secret.Data[name].(string)
	return s
}

// Strings is a list of strings of an answer.
func Strings(secret *api.Secret, name string) []string {
	items, _ := secret.Data[name].([]any)
	var out []string
	for _, item := range items {
		if s, ok := item.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
