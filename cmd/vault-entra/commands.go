// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/cli"
)

// commands are all commands, by name.
func commands(std streams) map[string]cli.CommandFactory {
	table := map[string]cli.CommandFactory{}
	for _, c := range []*command{
		loginCommand(std),
		tokenCommand(std),
		runCommand(std),
		serveCommand(std),
		azCommand(std),
		gitCredentialCommand(std),
		kubectlCredentialCommand(std),
		dockerCredentialCommand(std),
		doctorCommand(std),
		manCommand(std),
		completionCommand(std),
		versionCommand(std),
	} {
		table[c.name] = func() (cli.Command, error) { return c, nil }
	}
	return table
}

// everyday are the commands that the help lists first.
var everyday = []string{"login", "token", "run", "serve", "doctor"}

// topHelp is the help of the program.
func topHelp(table map[string]cli.CommandFactory) string {
	var help strings.Builder
	fmt.Fprintf(&help, "Usage: %s <command> [options]\n\n", program)
	help.WriteString("  Signs you in to Microsoft Entra ID through the entra secrets engine of Vault, " +
		"and\n  hands tokens to programs that know nothing of Vault.\n")
	list := func(title string, names []string) {
		help.WriteString("\n" + title + ":\n")
		for _, name := range names {
			factory, has := table[name]
			if !has {
				continue
			}
			if c, err := factory(); err == nil {
				fmt.Fprintf(&help, "    %-20s %s\n", name, c.Synopsis())
			}
		}
	}
	others := slices.Sorted(maps.Keys(table))
	others = slices.DeleteFunc(others, func(name string) bool {
		return slices.Contains(everyday, name)
	})
	list("Common commands", everyday)
	list("Other commands", others)
	fmt.Fprintf(&help, "\nRun %s <command> -help for a command's description and options.", program)
	return help.String()
}
