// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/posener/complete"
)

// command is one command: what its help, the man page and the completion say, and what it does. It
// implements cli.Command and cli.CommandAutocomplete.
type command struct {
	streams
	manual
	flags *flags

	// do is the command itself. Its arguments are what is left of the command line.
	do func(ctx context.Context, args []string) error

	args     complete.Predictor // of the arguments; nil = nothing
	stopsAt1 bool               // the first argument ends the options: what follows is a child's
	failCode int                // the exit code of every failure, instead of the usual ones
	warning  sync.Mutex         // of warn, which the background calls as well
}

// manual is what a command says of itself.
type manual struct {
	name     string // such as "token"
	synopsis string // at most 50 characters
	usage    string // what follows the program's name: "token [options] ACCOUNT"
	text     string // paragraphs; what is indented by four is an example
}

// newCommand is a command with no options yet.
func newCommand(std streams, m manual) *command {
	m.text = strings.Trim(m.text, "\n")
	return &command{streams: std, manual: m, flags: newFlags(m.name)}
}

// Run runs the command and returns its exit code.
func (c *command) Run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	rest, err := c.flags.parse(args, c.stopsAt1)
	if err == nil {
		err = c.do(ctx, rest)
	}
	c.tell(err)
	var code exitCode
	if err != nil && c.failCode != 0 && !errors.As(err, &code) {
		return c.failCode
	}
	return codeOf(err)
}

// tell says what went wrong.
func (c *command) tell(err error) {
	var code exitCode
	var usage usageError
	switch {
	case err == nil, errors.As(err, &code):
	case errors.As(err, &usage):
		fmt.Fprintf(c.messages, "%s\n\nRun %s %s -help for how to use it.\n", usage, program, c.name)
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(c.messages, "Interrupted.")
	default:
		fmt.Fprintln(c.messages, err)
	}
}

// warn says what a person should know and the command goes on with.
func (c *command) warn(format string, args ...any) {
	c.warning.Lock()
	defer c.warning.Unlock()
	fmt.Fprintf(c.messages, "Warning: "+format+"\n", args...)
}

// Help is the whole text, in Vault's manner.
func (c *command) Help() string {
	var help strings.Builder
	fmt.Fprintf(&help, "Usage: %s %s\n\n", program, c.usage)
	for line := range strings.Lines(c.text) {
		if strings.TrimSpace(line) != "" {
			help.WriteString("  ")
		}
		help.WriteString(line)
	}
	help.WriteString("\n")
	if options := c.flags.help(); options != "" {
		help.WriteString("\nOptions:\n\n" + options)
	}
	return strings.TrimRight(help.String(), "\n")
}

// Synopsis is one line of the list of commands.
func (c *command) Synopsis() string { return c.synopsis }

// AutocompleteArgs predicts arguments.
func (c *command) AutocompleteArgs() complete.Predictor {
	if c.args == nil {
		return complete.PredictNothing
	}
	return c.args
}

// AutocompleteFlags predicts options.
func (c *command) AutocompleteFlags() complete.Flags { return c.flags.predictors() }

// one is the only argument, an error naming what it is if there is none or more.
func one(args []string, what string) (string, error) {
	switch len(args) {
	case 0:
		return "", usagef("%s is needed", what)
	case 1:
		return args[0], nil
	}
	return "", usagef("one at a time: %s", strings.Join(args, " "))
}

// none refuses arguments.
func none(args []string) error {
	if len(args) > 0 {
		return usagef("too many arguments: %s", strings.Join(args, " "))
	}
	return nil
}

var _ flag.Value = (*choice)(nil)
