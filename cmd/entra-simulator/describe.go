// SPDX-License-Identifier: MPL-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"vault-plugin-secrets-entra/internal/entratest"
)

// description is simulator.json: all that a script needs to use a running
// simulator. It holds a client secret, if only a simulated one.
type description struct {
	URL       string `json:"url"`       // https://127.0.0.1:PORT
	ProxyURL  string `json:"proxy_url"` // "" without -proxy-listen
	Authority string `json:"authority"` // where the discovery document stands: URL/TENANT/v2.0
	Control   string `json:"control"`   // base URL of the control API, with a slash at the end
	TenantID  string `json:"tenant_id"`
	CAFile    string `json:"ca_file"` // absolute path of ca.pem
	PID       int    `json:"pid"`

	ClientID           string   `json:"client_id"` // confidential app
	ClientSecret       string   `json:"client_secret"`
	RedirectURIs       []string `json:"redirect_uris"`
	PublicClientID     string   `json:"public_client_id"`
	PublicRedirectURIs []string `json:"public_redirect_uris"`

	Users []entratest.User `json:"users"`
}

// describe writes ca.pem and simulator.json. The latter comes last and at once,
// so that a script can wait for it.
func describe(srv *entratest.Server, proxyURL, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	caFile := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(caFile, []byte(srv.CAPEM()), 0o644); err != nil {
		return err
	}
	text, err := json.MarshalIndent(description{
		URL: srv.URL, ProxyURL: proxyURL, Authority: srv.Authority(),
		Control:  srv.URL + "/_simulator/",
		TenantID: srv.Tenant(), CAFile: caFile, PID: os.Getpid(),
		ClientID: srv.App.ClientID, ClientSecret: srv.App.Secret(),
		RedirectURIs:       registered(srv, srv.App.ClientID),
		PublicClientID:     srv.PublicApp.ClientID,
		PublicRedirectURIs: registered(srv, srv.PublicApp.ClientID),
		Users:              srv.Users(),
	}, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, "simulator.json"), append(text, '\n'))
}

// registered lists the redirect URIs of an app.
func registered(srv *entratest.Server, clientID string) []string {
	var uris []string
	for _, app := range srv.Apps() {
		if app.ClientID != clientID {
			continue
		}
		for _, r := range app.RedirectURIs {
			uris = append(uris, r.URI)
		}
	}
	return uris
}

// replaceFile writes a file that only its owner reads, whole or not at all.
func replaceFile(name string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(name), ".simulator-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // gone already if all went well
	if _, err := temporary.Write(content); err != nil {
		temporary.Close()
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if err := temporary.Close(); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return os.Rename(temporary.Name(), name)
}
