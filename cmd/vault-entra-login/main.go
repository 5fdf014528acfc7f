// SPDX-License-Identifier: MPL-2.0

// Command vault-entra-login signs a person at a terminal in to an account of the
// entra secrets engine: by their browser, by pasting, or by a device code.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const usage = `Usage: vault-entra-login [options] ACCOUNT

  Signs you in to Microsoft Entra ID for an account of the entra secrets engine.
  A listener on this machine receives what Entra answers, and hands it to Vault.
  No token is shown or kept here.

  Sign in with your browser:

      $ vault-entra-login alice

  On a machine without a browser, enter a code on another device:

      $ vault-entra-login -device alice

  Or open the address elsewhere, and paste where it led to:

      $ vault-entra-login -print alice

  Vault is found as the vault command finds it: VAULT_ADDR, VAULT_TOKEN,
  VAULT_NAMESPACE, VAULT_CACERT and the others, and the token helper. Behind a
  Vault Agent with auto-auth no token is needed.

Options:

  -mount=<path>
      Where the engine is mounted. The default is entra.

  -roles=<list>
      Roles to consent to in the same sign-in, separated by commas.

  -redirect-uri=<uri>
      Loopback redirect URI that the mount allows. Without a port, a free one
      is taken. The default is http://localhost/callback.

  -device
      Device code sign-in, if the mount allows it.

  -print
      Print the address, and read where it led to from standard input.

  -no-browser
      Do not open a browser, print the address only.

  -json
      Print the result as JSON.

Exit status: 0 signed in; 1 wrong usage, or something on this machine; 2 Vault or
Entra refused; 130 interrupted.
`

// What a run ends with.
const (
	exitLocal       = 1
	exitRemote      = 2
	exitInterrupted = 130
)

// options are what the command line asks for.
type options struct {
	account     string
	mount       string
	roles       string
	redirectURI string
	device      bool
	paste       bool
	noBrowser   bool
	json        bool

	handedOver atomic.Bool // Vault may finish the sign-in without this command
}

// refused is an error of Vault's or Entra's.
type refused struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, in io.Reader, out, messages io.Writer) int {
	opts, err := parse(args, messages)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(out, usage)
		return 0
	case err != nil:
		fmt.Fprintf(messages, "%s\n\nRun vault-entra-login -help for how to use it.\n", err)
		return exitLocal
	}
	result, err := signIn(ctx, opts, in, messages)
	var remote refused
	switch {
	case ctx.Err() != nil && opts.handedOver.Load():
		fmt.Fprintf(messages, "\nInterrupted, and Vault may still finish the sign-in. It says "+
			"by:\n\n"+
			"    vault read %s/login/%s\n", opts.mount, opts.account)
		return exitInterrupted
	case ctx.Err() != nil:
		fmt.Fprintln(messages, "\nInterrupted. Nothing was kept; the sign-in ends by itself.")
		return exitInterrupted
	case errors.As(err, &remote):
		fmt.Fprintln(messages, remote)
		return exitRemote
	case err != nil:
		fmt.Fprintln(messages, err)
		return exitLocal
	}
	if err := report(opts, result, out); err != nil {
		fmt.Fprintln(messages, err)
		return exitLocal
	}
	return 0
}

func parse(args []string, messages io.Writer) (*options, error) {
	opts := &options{}
	flags := flag.NewFlagSet("vault-entra-login", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&opts.mount, "mount", "entra", "")
	flags.StringVar(&opts.roles, "roles", "", "")
	flags.StringVar(&opts.redirectURI, "redirect-uri", "http://localhost/callback", "")
	flags.BoolVar(&opts.device, "device", false, "")
	flags.BoolVar(&opts.paste, "print", false, "")
	flags.BoolVar(&opts.noBrowser, "no-browser", false, "")
	flags.BoolVar(&opts.json, "json", false, "")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	opts.account = flags.Arg(0)
	opts.mount = strings.Trim(opts.mount, "/")
	switch {
	case flags.NArg() == 0:
		return nil, errors.New("the name of an account is needed")
	case flags.NArg() > 1:
		return nil, fmt.Errorf("one account at a time: %s", strings.Join(flags.Args(), " "))
	case opts.device && opts.paste:
		return nil, errors.New("-device and -print do not go together")
	}
	return opts, nil
}

// signIn takes the way that was asked for.
func signIn(ctx context.Context, opts *options, in io.Reader, messages io.Writer) (*result, error) {
	vault, err := newVault(opts.mount, &opts.handedOver)
	if err != nil {
		return nil, err
	}
	switch {
	case opts.device:
		return signInByDevice(ctx, vault, opts, messages)
	case opts.paste:
		return signInByPaste(ctx, vault, opts, in, messages)
	}
	return signInByBrowser(ctx, vault, opts, messages)
}

// result is who signed in.
type result struct {
	Account  string   `json:"account"`
	Username string   `json:"username"`
	Name     string   `json:"name,omitempty"`
	ObjectID string   `json:"object_id,omitempty"`
	TenantID string   `json:"tenant_id,omitempty"`
	Scopes   []string `json:"scopes,omitempty"`
	Roles    []string `json:"roles,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

func report(opts *options, r *result, out io.Writer) error {
	if opts.json {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	who := r.Username
	if r.Name != "" && r.Name != r.Username {
		who = fmt.Sprintf("%s (%s)", r.Name, r.Username)
	}
	fmt.Fprintf(out, "Signed in as %s.\n", who)
	for _, warning := range r.Warnings {
		fmt.Fprintf(out, "Warning: %s\n", warning)
	}
	fmt.Fprintf(out, "\nRead an access token with:\n\n    vault read %s/token/%s\n", opts.mount,
		r.Account)
	for _, role := range r.Roles {
		fmt.Fprintf(out, "    vault read %s/token/%s/%s\n", opts.mount, r.Account, role)
	}
	return nil
}

// untilExpiry bounds a wait by what Vault says of the login.
func untilExpiry(ctx context.Context, expireTime string) (context.Context, context.CancelFunc) {
	expiry, err := time.Parse(time.RFC3339, expireTime)
	if err != nil {
		expiry = time.Now().Add(10 * time.Minute)
	}
	return context.WithDeadline(ctx, expiry)
}
