// SPDX-License-Identifier: MPL-2.0

package vaultclient

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// DefaultMount is where the engine is mounted unless somebody says otherwise.
const DefaultMount = "entra"

// Target names one token of the engine. An empty Role is the account's default token.
type Target struct {
	Mount   string // without slashes around it
	Account string
	Role    string
}

// Path is where the token is read.
func (t Target) Path() string { return t.path("token") }

// CheckPath is where the engine says whether the token can be had.
func (t Target) CheckPath() string { return t.path("check") }

func (t Target) path(what string) string {
	path := strings.Trim(t.Mount, "/") + "/" + what + "/" + t.Account
	if t.Role != "" {
		path += "/" + t.Role
	}
	return path
}

// LoginCommand is the command that signs in to the account.
func (t Target) LoginCommand() string {
	command := "vault-entra login"
	if mount := strings.Trim(t.Mount, "/"); mount != DefaultMount {
		command += " -mount=" + mount
	}
	if t.Role != "" {
		command += " -roles=" + t.Role
	}
	return command + " " + t.Account
}

// Token is what a read of token/<account> answers.
type Token struct {
	Target Target

	AccessToken string
	TokenType   string // Bearer
	Expiry      time.Time
	Obtained    time.Time
	TTL         time.Duration // after this long a read certainly gives another token
	Scope       string        // granted, separated by spaces
	TenantID    string
	ClientID    string
	Username    string
	ObjectID    string
	Warnings    []string
}

// Token reads a token. A minTTL of 0 leaves how long it lives to the engine.
func (c *Client) Token(ctx context.Context, target Target, minTTL time.Duration) (*Token, error) {
	var query map[string][]string
	if minTTL > 0 {
		query = map[string][]string{"min_ttl": {minTTL.String()}}
	}
	secret, err := c.ReadWith(ctx, target.Path(), query)
	if err != nil {
		return nil, err
	}
	return tokenOf(target, secret)
}

// tokenOf reads the fields of docs/api.md, token/:account.
func tokenOf(target Target, secret *api.Secret) (*Token, error) {
	t := &Token{
		Target:      target,
		AccessToken: Text(secret, "access_token"),
		TokenType:   Text(secret, "token_type"),
		Scope:       Text(secret, "scope"),
		TenantID:    Text(secret, "tenant_id"),
		ClientID:    Text(secret, "client_id"),
		Username:    Text(secret, "username"),
		ObjectID:    Text(secret, "object_id"),
		Warnings:    secret.Warnings,
	}
	var err error
	if t.Expiry, err = time.Parse(time.RFC3339, Text(secret, "expire_time")); err != nil {
		return nil, notAToken(target)
	}
	if t.Obtained, err = time.Parse(time.RFC3339, Text(secret, "last_vault_rotation")); err != nil {
		return nil, notAToken(target)
	}
	number, _ := secret.Data["ttl"].(json.Number)
	seconds, err := number.Int64()
	if err != nil || seconds < 0 || t.AccessToken == "" {
		return nil, notAToken(target)
	}
	t.TTL = time.Duration(seconds) * time.Second
	return t, nil
}

func notAToken(target Target) error {
	return &Error{Text: fmt.Sprintf(
		"what Vault answers at %s is no token of the entra engine: is another engine mounted there?",
		target.Path())}
}
