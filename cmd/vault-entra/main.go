// SPDX-License-Identifier: MPL-2.0

// Command vault-entra signs a person in to an account of the entra secrets engine and hands its
// tokens to programs that know nothing of Vault.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/cli"
)

// What the release writes here.
var (
	version = "v0.0.0-dev"
	commit  = "unknown"
)

const program = "vault-entra"

// streams are what a command reads and writes.
type streams struct {
	in       io.Reader
	out      io.Writer // what was asked for
	messages io.Writer // what a person reads besides
}

func main() {
	os.Exit(start(os.Args, streams{os.Stdin, os.Stdout, os.Stderr}))
}

// start runs a command line, program name first, and returns the exit code.
func start(args []string, std streams) int {
	table := commands(std)
	arguments := dispatch(args)
	c := &cli.CLI{
		Name:         program,
		Version:      versionText(),
		Args:         arguments,
		Commands:     table,
		Autocomplete: true,
		HelpFunc:     topHelp,
		HelpWriter:   std.out,
		ErrorWriter:  std.messages,
	}
	subcommand := c.Subcommand()
	_, known := table[subcommand]
	if subcommand != "" && !known && !isParent(table, subcommand) {
		fmt.Fprintf(std.messages, "There is no command %q. Run %s -help for those that there are.\n",
			subcommand, program)
		return exitUsage
	}
	code, err := c.Run()
	switch {
	case err != nil:
		fmt.Fprintln(std.messages, err)
		return exitFailed
	case !known && code != 0: // the library has shown the help, and says 127 or 1
		return exitUsage
	}
	return code
}

// isParent reports whether a word is the first of longer commands, such as az.
func isParent(table map[string]cli.CommandFactory, word string) bool {
	for name := range table {
		if strings.HasPrefix(name, word+" ") {
			return true
		}
	}
	return false
}

// links are the names of links to this program that stand for a command: what git and docker look
// for on PATH, and what an SDK runs as az.
var links = map[string]string{
	"az":                            "az",
	"git-credential-vault-entra":    "git-credential",
	"docker-credential-vault-entra": "docker-credential",
	"kubectl-credential":            "kubectl-credential",
}

// dispatch is the command line without the program's name, led by the command that the name of a
// link stands for. What follows run's own options is kept from the library, which would take a
// child's -help for its own.
func dispatch(args []string) []string {
	arguments := slices.Clone(args[1:])
	name := strings.TrimSuffix(filepath.Base(args[0]), ".exe")
	if command, linked := links[name]; linked {
		return append([]string{command}, arguments...)
	}
	if len(arguments) > 0 && arguments[0] == "run" {
		return separateChild(arguments)
	}
	return arguments
}

func versionText() string {
	return fmt.Sprintf("%s %s, commit %s", program, version, commit)
}
