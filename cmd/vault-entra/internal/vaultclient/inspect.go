// SPDX-License-Identifier: MPL-2.0

package vaultclient

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/hashicorp/vault/api"
)

// Health is what Vault says of itself, to anybody.
type Health struct {
	Initialized bool
	Sealed      bool
	Standby     bool
	Version     string
	Time        time.Time // the server's clock, to the second
}

// Health asks sys/health.
func (c *Client) Health(ctx context.Context) (*Health, error) {
	ctx, cancel := context.WithTimeout(ctx, c.api.ClientTimeout())
	defer cancel()
	health, err := c.api.Sys().HealthWithContext(ctx)
	if err != nil {
		return nil, c.explain(ctx, "read", "sys/health", answered{}, err)
	}
	return &Health{
		Initialized: health.Initialized, Sealed: health.Sealed, Standby: health.Standby,
		Version: health.Version, Time: time.Unix(health.ServerTimeUTC, 0),
	}, nil
}

// TokenStatus is what Vault says of the Vault token.
type TokenStatus struct {
	Policies  []string
	TTL       time.Duration // 0 = it never expires
	Renewable bool
}

// TokenStatus asks auth/token/lookup-self.
func (c *Client) TokenStatus(ctx context.Context) (*TokenStatus, error) {
	self, err := c.Read(ctx, "auth/token/lookup-self")
	if err != nil {
		return nil, err
	}
	status := &TokenStatus{}
	// What is not there stays zero: an Agent may answer for a token with fewer fields.
	status.Policies, _ = self.TokenPolicies()
	status.TTL, _ = self.TokenTTL()
	status.Renewable, _ = self.TokenIsRenewable()
	return status, nil
}

// May reports whether the policies of the Vault token grant a capability on a path.
func (c *Client) May(ctx context.Context, capability, path string) (bool, error) {
	secret, err := c.Write(ctx, "sys/capabilities-self", map[string]any{"paths": []string{path}})
	if err != nil {
		return false, err
	}
	granted := Strings(secret, path)
	if slices.Contains(granted, "deny") {
		return false, nil
	}
	return slices.Contains(granted, capability) || slices.Contains(granted, "root"), nil
}

// Readiness is what check/<account> says of a token: whether a read would be served.
type Readiness struct {
	Message string
	GoodFor time.Duration // what the token that Vault holds has left
	Trouble *Error        // why a read would not be served; nil = it would
}

// Check asks whether a token can be had, without reading it. An engine from before that path
// answers with the class NothingThere.
func (c *Client) Check(ctx context.Context, target Target) (*Readiness, error) {
	secret, err := c.Read(ctx, target.CheckPath())
	if err != nil {
		return nil, err
	}
	return readinessOf(target, secret), nil
}

func readinessOf(target Target, secret *api.Secret) *Readiness {
	r := &Readiness{Message: Text(secret, "message")}
	number, _ := secret.Data["good_for"].(json.Number)
	if seconds, err := number.Int64(); err == nil {
		r.GoodFor = time.Duration(seconds) * time.Second
	}
	ready, told := secret.Data["ready"].(bool)
	if ready {
		return r
	}
	word := Text(secret, "word")
	r.Trouble = &Error{Class: codes[word], Text: r.Message}
	switch {
	case !told:
		r.Trouble.Text = "what Vault answers at " + target.CheckPath() + " is no answer of the engine"
	case word == "unknown_account":
		r.Trouble.Class = UnknownAccount
	case word != "":
		r.Trouble.Text = word + ": " + r.Message
	}
	r.Trouble.Command = ownCommand(Text(secret, "command"))
	return r
}
