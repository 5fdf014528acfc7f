// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/identity"
	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

const serveText = `
Answers as Azure's managed identity does, until it is interrupted: for
programs that it does not start itself, beside which it runs.

    $ vault-entra serve -map entra.hcl

It prints the variables that those programs need. They hold a secret: whoever
has it, and reaches the address, gets the tokens. They can go to a file:

    $ vault-entra serve -account ci -environment entra.env &
    $ set -a; . ./entra.env; node app.mjs

A unix socket is open to its own user alone:

    $ vault-entra serve -account ci -listen unix:/run/user/1000/entra.sock
`

func serveCommand(std streams) *command {
	c := newCommand(std, manual{
		name:     "serve",
		synopsis: "Answer as a managed identity does",
		usage:    "serve [options]",
		text:     serveText,
	})
	var selected selection
	var listen, file, format string
	selected.define(c.flags)
	c.flags.text(&listen, "listen", "address", "127.0.0.1:0",
		"Loopback address, or unix:PATH. The default, 127.0.0.1:0, takes a free port.")
	c.flags.file(&file, "environment", "",
		"Write the variables to this file, which only you may read, instead of printing them. It "+
			"is removed at the end.")
	c.flags.oneOf(&format, "format", "How to print the variables.", "sh", "json")
	c.do = func(ctx context.Context, args []string) error {
		if err := none(args); err != nil {
			return err
		}
		tokens, err := selected.open()
		if err != nil {
			return err
		}
		if _, err := tokens.resolver.Default(); err != nil && tokens.resolver.Map == nil {
			return usageError{err.Error()}
		}
		server, end, err := c.endpoint(tokens, listen)
		if err != nil {
			return err
		}
		defer end()
		if err := c.announce(server, file, format); err != nil {
			return err
		}
		if file != "" {
			defer os.Remove(file)
		}
		if err := tokens.ready(ctx); err != nil {
			c.warn("%v\nPrograms are told so until that is mended.", err)
		}
		ended := make(chan error, 1)
		go func() { ended <- server.Serve() }()
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			return nil
		}
	}
	return c
}

// endpoint listens, and keeps the Vault token alive, until end is called.
func (c *command) endpoint(tokens *source, listen string) (server *identity.Server, end func(),
	err error) {
	tokens.vault.FailAtOnce()
	tokens.cache.Failed = func(target vaultclient.Target, err error) {
		c.warn("%s is not refreshed, and served until it expires: %v", target.Path(), err)
	}
	server, err = identity.Listen(listen, "", tokens.Resource)
	if err != nil {
		return nil, nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	var alive sync.WaitGroup
	alive.Go(func() {
		tokens.vault.KeepAlive(ctx, func(err error) {
			c.warn("the Vault token is not renewed: %v", err)
		})
	})
	return server, func() {
		server.Close()
		stop()
		alive.Wait()
	}, nil
}

// ready reads the default token, if there is one, to find out early what does not work.
func (s *source) ready(ctx context.Context) error {
	target, err := s.resolver.Default()
	if err != nil {
		return nil // the map names every token by its resource
	}
	_, err = s.cache.Token(ctx, target)
	var refused *vaultclient.Error
	if errors.As(err, &refused) && refused.Class == vaultclient.Forbidden {
		return nil // the policy may grant those of roles alone
	}
	return err
}

// announce says where the server is, to a file or to standard output.
func (c *command) announce(server *identity.Server, file, format string) error {
	if file == "" {
		return printVariables(c.out, server, format)
	}
	out, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("the file of -environment: %w", err)
	}
	if err := printVariables(out, server, format); err != nil {
		_ = out.Close()
		return fmt.Errorf("the file of -environment: %w", err)
	}
	fmt.Fprintf(c.messages, "Listening on %s.\n", server.Address())
	return out.Close()
}

func printVariables(out io.Writer, server *identity.Server, format string) error {
	variables := server.Variables()
	if format == "json" {
		named := map[string]string{}
		for _, v := range variables {
			named[v.Name] = v.Value
		}
		return printJSON(out, map[string]any{"address": server.Address(), "variables": named})
	}
	if _, err := fmt.Fprintf(out, "# vault-entra listens on %s\n", server.Address()); err != nil {
		return err
	}
	for _, v := range variables {
		if _, err := fmt.Fprintf(out, "%s=%s\n", v.Name, quoted(v.Value)); err != nil {
			return err
		}
	}
	return nil
}

// quoted is a text as a shell takes it for one word.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
