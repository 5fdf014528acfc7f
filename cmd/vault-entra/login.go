// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/login"
	"vault-plugin-secrets-entra/cmd/vault-entra/internal/mapping"
	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

const loginText = `
Signs you in to Microsoft Entra ID for an account of the entra secrets engine.
A listener on this machine receives what Entra answers, and hands it to Vault.
No token is shown or kept here.

Sign in with your browser:

    $ vault-entra login alice

On a machine without a browser, enter a code on another device:

    $ vault-entra login alice -device

Or open the address elsewhere, and paste where it led to:

    $ vault-entra login alice -print

Vault is found as the vault command finds it: VAULT_ADDR, VAULT_TOKEN,
VAULT_NAMESPACE, VAULT_CACERT and the others, and the token helper. Behind a
Vault Agent with auto-auth no token is needed.
`

func loginCommand(std streams) *command {
	c := newCommand(std, manual{
		name:     "login",
		synopsis: "Sign in to an account",
		usage:    "login [options] ACCOUNT",
		text:     loginText,
	})
	var selected selection
	var opts login.Options
	var format string
	selected.defineMount(c.flags)
	c.flags.text(&opts.Roles, "roles", "list", "",
		"Roles to consent to in the same sign-in, separated by commas.")
	c.flags.text(&opts.RedirectURI, "redirect-uri", "uri", login.DefaultRedirectURI,
		"Loopback redirect URI that the mount allows. Without a port, a free one is taken. "+
			"The default is "+login.DefaultRedirectURI+".")
	c.flags.on(&opts.Device, "device", "Device code sign-in, if the mount allows it.")
	c.flags.on(&opts.Paste, "print",
		"Print the address, and read where it led to from standard input.")
	c.flags.on(&opts.NoBrowser, "no-browser", "Do not open a browser, print the address only.")
	c.flags.format(&format)
	c.do = func(ctx context.Context, args []string) error {
		var err error
		if opts.Account, err = one(args, "the name of an account"); err != nil {
			return err
		}
		switch {
		case !mapping.ValidName(opts.Account):
			return usagef("%q is no name of an account", opts.Account)
		case opts.Device && opts.Paste:
			return usagef("-device and -print do not go together")
		}
		opts.Mount = selected.mountPath()
		vault, err := vaultclient.New()
		if err != nil {
			return err
		}
		result, err := login.Run(ctx, vault, opts, c.in, c.messages)
		if err != nil {
			return c.loginFailed(err, opts)
		}
		if format == "json" {
			return printJSON(c.out, result)
		}
		return c.welcome(result, opts.Mount)
	}
	return c
}

// loginFailed tells what became of a sign-in that was interrupted.
func (c *command) loginFailed(err error, opts login.Options) error {
	var interrupted login.Interrupted
	if !errors.As(err, &interrupted) {
		return err
	}
	if interrupted.HandedOver {
		fmt.Fprintf(c.messages, "\nInterrupted, and Vault may still finish the sign-in. It says "+
			"by:\n\n    vault read %s/login/%s\n", opts.Mount, opts.Account)
	} else {
		fmt.Fprintln(c.messages, "\nInterrupted. Nothing was kept; the sign-in ends by itself.")
	}
	return exitCode(exitInterrupted)
}

// welcome says who signed in, and what to do next.
func (c *command) welcome(r *login.Result, mount string) error {
	who := r.Username
	if r.Name != "" && r.Name != r.Username {
		who = fmt.Sprintf("%s (%s)", r.Name, r.Username)
	}
	fmt.Fprintf(c.out, "Signed in as %s.\n", who)
	for _, warning := range r.Warnings {
		fmt.Fprintf(c.out, "Warning: %s\n", warning)
	}
	at := ""
	if mount != vaultclient.DefaultMount {
		at = " -mount=" + mount
	}
	fmt.Fprintf(c.out, "\nPrint an access token with:\n\n    vault-entra token%s %s\n", at,
		r.Account)
	for _, role := range r.Roles {
		fmt.Fprintf(c.out, "    vault-entra token%s -role=%s %s\n", at, role, r.Account)
	}
	return nil
}
