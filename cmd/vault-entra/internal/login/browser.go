// SPDX-License-Identifier: MPL-2.0

package login

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

// byBrowser opens the person's browser and waits for it to come back to a
// listener on this machine (RFC 8252 section 7.3).
func (s *signIn) byBrowser(ctx context.Context) (*Result, error) {
	listener, err := listen(s.RedirectURI)
	if err != nil {
		return nil, err
	}
	defer listener.close()
	login, err := s.start(ctx, "login", s.loginFields(listener.redirectURI, "form_post"))
	if err != nil {
		return nil, err
	}
	authURL := vaultclient.Text(login, "auth_url")
	opened, err := url.Parse(authURL)
	if err != nil || opened.Query().Get("state") == "" {
		return nil, refused("auth_url from Vault holds no state")
	}
	if s.NoBrowser || !openBrowser(authURL) {
		fmt.Fprintf(s.messages,
			"Open this address in a browser on this machine and sign in:\n\n%s\n\n", authURL)
	} else {
		fmt.Fprintf(s.messages, "Your browser shows Microsoft's sign-in page. If it does not, "+
			"open:\n\n%s\n\n", authURL)
	}
	wait, cancel := untilExpiry(ctx, vaultclient.Text(login, "expire_time"))
	defer cancel()
	defer spin(s.messages)()
	return listener.await(wait, opened.Query().Get("state"), s.handOver)
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
