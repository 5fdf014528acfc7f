// SPDX-License-Identifier: MPL-2.0

// Command me asks Microsoft Graph who the account's user is. Vault is found as the
// vault command finds it: VAULT_ADDR, VAULT_TOKEN and the others.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/vault/api"
	"golang.org/x/oauth2"
)

// vaultTokens is an oauth2.TokenSource that reads from the entra engine. Within
// oauth2.ReuseTokenSource it is asked when the engine has a newer token.
type vaultTokens struct {
	vault *api.Client
	path  string
}

func (s vaultTokens) Token() (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	secret, err := s.vault.Logical().ReadWithContext(ctx, s.path)
	if err != nil {
		return nil, err // its text begins with the engine's word, such as login_required
	}
	if secret == nil {
		return nil, fmt.Errorf("nothing at %s", s.path)
	}
	value, _ := secret.Data["access_token"].(string)
	ttl, err := secret.TokenTTL() // the field ttl, in seconds
	if value == "" || err != nil {
		return nil, fmt.Errorf("no token at %s: %w", s.path, err)
	}
	return &oauth2.Token{AccessToken: value, TokenType: "Bearer", Expiry: time.Now().Add(ttl)}, nil
}

func main() {
	vault, err := api.NewClient(api.DefaultConfig())
	if err != nil {
		log.Fatal(err)
	}
	tokens := oauth2.ReuseTokenSource(nil, vaultTokens{vault: vault, path: "entra/token/ci/graph"})
	graph := "https://graph.microsoft.com"
	if other := os.Getenv("GRAPH"); other != "" {
		graph = other
	}
	client := oauth2.NewClient(context.Background(), tokens)
	resp, err := client.Get(graph + "/v1.0/me")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		log.Fatal(resp.Status)
	}
	if _, err := io.Copy(os.Stdout, resp.Body); err != nil {
		log.Fatal(err)
	}
}
