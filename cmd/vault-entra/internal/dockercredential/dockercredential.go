// SPDX-License-Identifier: MPL-2.0

// Package dockercredential answers docker as one of its credential helpers, for registries of
// Azure Container Registry: docker-credential-helpers' README for the protocol, Azure/acr's
// docs/AAD-OAuth.md for what a registry gives for an access token.
package dockercredential

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/docker/docker-credential-helpers/credentials"
)

// username tells a registry that the password is a refresh token of its own ("Authenticating
// docker with an ACR refresh token").
const username = "00000000-0000-0000-0000-000000000000"

// The resources whose tokens a registry takes: its own, and Azure Resource Manager, unless
// az acr config authentication-as-arm was told to refuse that.
const (
	Resource    = "https://containerregistry.azure.net"
	ARMResource = "https://management.azure.com"
)

// Token is an access token of Entra's that a registry takes.
type Token struct {
	Access   string
	TenantID string
}

// Tokens is where they come from.
type Tokens interface {
	// Token is for a registry by its host name, with a port if it has one. It is nil, without an
	// error, for a registry that may not be given one.
	Token(ctx context.Context, registry string) (*Token, error)
	// Registries are those that are known by name.
	Registries() ([]string, error)
}

// Helper answers docker for some registries.
type Helper struct {
	Tokens   Tokens
	Exchange *Exchange
	Version  string
}

// Run carries out an action of docker's: get, list, store, erase or version. docker reads an
// error on standard output, where it is written besides being returned.
func (h *Helper) Run(ctx context.Context, action string, in io.Reader, out io.Writer) error {
	if action == credentials.ActionVersion {
		_, err := fmt.Fprintf(out, "docker-credential-vault-entra %s\n", h.Version)
		return err
	}
	err := credentials.HandleCommand(&call{ctx: ctx, Helper: h}, action, in, out)
	if err != nil {
		fmt.Fprintln(out, err)
	}
	return err
}

// call is one call of docker's: the library hands no context on.
type call struct {
	ctx context.Context
	*Helper
}

// Get gives a refresh token of the registry's, which docker changes for its own tokens. Of
// another registry nothing is known: docker goes on without a credential.
func (c *call) Get(serverURL string) (string, string, error) {
	registry, err := host(serverURL)
	if err != nil {
		return "", "", credentials.NewErrCredentialsNotFound()
	}
	token, err := c.Tokens.Token(c.ctx, registry)
	switch {
	case err != nil:
		return "", "", err
	case token == nil:
		return "", "", credentials.NewErrCredentialsNotFound()
	}
	secret, err := c.Exchange.RefreshToken(c.ctx, registry, token)
	return username, secret, err
}

// host is the host of a server URL, which docker writes with and without scheme and path.
func host(serverURL string) (string, error) {
	u, err := url.Parse(serverURL)
	if err != nil || u.Host == "" {
		u, err = url.Parse("https://" + serverURL)
	}
	switch {
	case err != nil:
		return "", err
	case u.Scheme != "https" || u.User != nil:
		return "", errors.New("not the URL of a registry behind TLS")
	}
	return u.Host, nil
}

// List names the registries that are known by name.
func (c *call) List() (map[string]string, error) {
	registries, err := c.Tokens.Registries()
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, registry := range registries {
		all[registry] = username
	}
	return all, nil
}

// errStored says why docker login does nothing here.
var errStored = errors.New("vault-entra stores nothing: docker needs no login to this registry")

// Add refuses: docker login would say that it succeeded, and what it was given be lost.
func (c *call) Add(*credentials.Credentials) error { return errStored }

// Delete does nothing: docker logout leaves nothing behind.
func (c *call) Delete(string) error { return nil }
