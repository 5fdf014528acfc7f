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
	"path/filepath"
	"runtime"
	"slices"
	"strings"
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
	login, err := vault.write(ctx, "login/"+opts.account,
		loginFields(opts, listener.redirectURI, "form_post"))
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
	var commands [][]string
	switch browser := os.Getenv("BROWSER"); {
	case browser != "":
		commands = browserCommands(browser, address)
	case runtime.GOOS == "darwin":
		commands = [][]string{{"open", address}}
	case runtime.GOOS == "windows":
		commands = [][]string{{"rundll32", "url.dll,FileProtocolHandler", address}}
	case os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "":
		return false
	default:
		commands = [][]string{{"xdg-open", address}}
	}
	return slices.ContainsFunc(commands, starts)
}

// browserCommands reads BROWSER: a program, or commands with arguments, several of which are parted
// by the list separator. %s stands for the address, which else comes last.
func browserCommands(browser, address string) [][]string {
	if _, err := exec.LookPath(browser); err == nil {
		return [][]string{{browser, address}} // a path may hold spaces
	}
	var commands [][]string
	for _, one := range filepath.SplitList(browser) {
		command := strings.Fields(one)
		if len(command) == 0 {
			continue
		}
		if !strings.Contains(one, "%s") {
			command = append(command, address)
		}
		for i := range command {
			command[i] = strings.ReplaceAll(command[i], "%s", address)
		}
		commands = append(commands, command)
	}
	return commands
}

// starts reports whether a command runs, or has ended well.
func starts(command []string) bool {
	cmd := exec.Command(command[0], command[1:]...)
	if cmd.Start() != nil {
		return false
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return err == nil
	case <-time.After(time.Second):
		return true
	}
}
