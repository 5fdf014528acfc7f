// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// signInByBrowser opens the person's browser and waits for it to come back to a
// listener on this machine (RFC 8252 section 7.3).
func signInByBrowser(ctx context.Context, vault *vaultClient, opts *options,
	messages io.Writer) (*result, error) {
	listener, err := listen(opts.redirectURI)
	if err != nil {
		return nil, err
	}
	defer listener.close()
	login, err := vault.write(ctx, "login/"+opts.account, loginFields(opts, listener.redirectURI))
	if err != nil {
		return nil, err
	}
	authURL := text(login, "auth_url")
	opened, err := url.Parse(authURL)
	if err != nil || opened.Query().Get("state") == "" {
		return nil, refused{errors.New("auth_url from Vault holds no state")}
	}
	if opts.noBrowser || !openBrowser(authURL) {
		fmt.Fprintf(messages,
			"Open this address in a browser on this machine and sign in:\n\n%s\n\n", authURL)
	} else {
		fmt.Fprintf(messages, "Your browser shows Microsoft's sign-in page. If it does not, "+
			"open:\n\n%s\n\n", authURL)
	}
	wait, cancel := untilExpiry(ctx, text(login, "expire_time"))
	defer cancel()
	return listener.await(
		wait,
		opened.Query().Get("state"),
		func(ctx context.Context, params map[string]any) (*result, error) {
			done, err := vault.write(ctx, "callback/"+opts.account, params)
			if err != nil {
				return nil, err
			}
			return resultOf(done), nil
		},
	)
}

// openBrowser reports whether something was started that may show the address.
// BROWSER counts first, as for other programs.
func openBrowser(address string) bool {
	var command []string
	switch browser := os.Getenv("BROWSER"); {
	case browser != "":
		command = []string{browser}
	case runtime.GOOS == "darwin":
		command = []string{"open"}
	case runtime.GOOS == "windows":
		command = []string{"rundll32", "url.dll,FileProtocolHandler"}
	case os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "":
		return false
	default:
		command = []string{"xdg-open"}
	}
	cmd := exec.Command(command[0], append(command[1:], address)...)
	if cmd.Start() != nil {
		return false
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return err == nil
	case <-time.After(time.Second):
		return true // it runs
	}
}
