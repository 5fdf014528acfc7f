// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/identity"
	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

const runText = `
Runs a command that finds a managed identity: Azure's SDKs, Terraform and
other programs get the tokens of Vault's accounts without a change.

    $ vault-entra run -account ci -- terraform plan
    $ vault-entra run -map entra.hcl -- node app.mjs

The endpoint listens on loopback, has a secret of its own for each run, and
ends with the command. Signals are passed on. The Vault token is renewed
meanwhile.

The exit code is the command's, 128 and its number for a signal that ended it,
127 if there is no such command, 126 if it cannot be executed, and 125 if it
never came so far.
`

func runCommand(std streams) *command {
	c := newCommand(std, manual{
		name:     "run",
		synopsis: "Run a command that finds a managed identity",
		usage:    "run [options] -- COMMAND [ARGUMENTS]",
		text:     runText,
	})
	c.stopsAt1 = true
	c.failCode = exitNotStarted
	var selected selection
	selected.define(c.flags)
	c.do = func(ctx context.Context, args []string) error { return c.run(ctx, &selected, args) }
	return c
}

// run starts the endpoint and the child, and waits for the child.
func (c *command) run(ctx context.Context, selected *selection, args []string) error {
	if len(args) == 0 {
		return usagef("which command? It follows --")
	}
	tokens, err := selected.open()
	if err != nil {
		return err
	}
	if _, err := tokens.resolver.Default(); err != nil && tokens.resolver.Map == nil {
		return usageError{err.Error()}
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		fmt.Fprintf(c.messages, "%s: %s\n", program, describeLookup(args[0], err))
		return exitCode(lookupCode(err))
	}
	server, end, err := c.endpoint(tokens, "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer end()
	if err := tokens.ready(ctx); err != nil {
		if fatal(err) || ctx.Err() != nil {
			return err
		}
		c.warn("%v", err)
	}
	go func() { _ = server.Serve() }() // ends with Close
	return c.runChild(path, args, childEnvironment(os.Environ(), server.Variables()))
}

// fatal reports whether no token at all can be had, so that a child would only fail later.
func fatal(err error) bool {
	var trouble *vaultclient.Error
	if !errors.As(err, &trouble) {
		return false
	}
	switch trouble.Class {
	case vaultclient.Sealed, vaultclient.Unreachable, vaultclient.NoVaultToken:
		return true
	}
	return false
}

// runChild starts the child and returns its exit code as an error.
func (c *command) runChild(path string, args, environment []string) error {
	child := &exec.Cmd{
		Path: path, Args: args, Env: environment,
		Stdin: c.in, Stdout: c.out, Stderr: c.messages,
	}
	// Notified before it starts, so that none ends this process in between.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, passedOn...)
	defer signal.Stop(signals)
	if err := child.Start(); err != nil {
		fmt.Fprintf(c.messages, "%s: %s cannot be executed: %v\n", program, args[0], err)
		return exitCode(exitNotExecutable)
	}
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case <-ended:
				return
			case s := <-signals:
				if !sentToGroup(s) {
					_ = child.Process.Signal(s) // it may have ended
				}
			}
		}
	}()
	_ = child.Wait() // the state says how it went
	close(ended)
	return exitCode(stateCode(child.ProcessState))
}

// childEnvironment is the environment with the variables set, and without those that lead
// elsewhere.
func childEnvironment(environment []string, variables []identity.Variable) []string {
	replaced := slices.Clone(identity.Withdrawn)
	for _, v := range variables {
		replaced = append(replaced, v.Name)
	}
	child := slices.DeleteFunc(slices.Clone(environment), func(setting string) bool {
		name, _, _ := strings.Cut(setting, "=")
		return slices.ContainsFunc(replaced, func(other string) bool {
			return sameVariable(name, other)
		})
	})
	for _, v := range variables {
		child = append(child, v.Name+"="+v.Value)
	}
	return child
}

// lookupCode is the exit code for a command that cannot be found or executed.
func lookupCode(err error) int {
	if errors.Is(err, os.ErrPermission) {
		return exitNotExecutable
	}
	return exitNotFound
}

func describeLookup(command string, err error) string {
	switch {
	case errors.Is(err, os.ErrPermission):
		return command + " is not executable"
	case errors.Is(err, exec.ErrDot):
		return command + " is only in the current folder: write ./" + command
	}
	return "there is no command " + command
}

// separateChild puts `--` before the child's command where it was left out, so that no option of
// the child's is taken for one of run's.
func separateChild(arguments []string) []string {
	f := newFlags("run")
	new(selection).define(f)
	for i := 1; i < len(arguments); i++ {
		name, isOption := strings.CutPrefix(arguments[i], "-")
		switch {
		case arguments[i] == "--":
			return arguments
		case !isOption || name == "":
			return slices.Insert(slices.Clone(arguments), i, "--")
		}
		name, _, hasValue := strings.Cut(strings.TrimPrefix(name, "-"), "=")
		if f.set.Lookup(name) != nil && !hasValue {
			i++ // its value
		}
	}
	return arguments
}
