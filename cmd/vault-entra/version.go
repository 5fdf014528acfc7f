// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"runtime"
)

func versionCommand(std streams) *command {
	c := newCommand(std, manual{
		name:     "version",
		synopsis: "Print the version",
		usage:    "version [options]",
		text:     `Prints the version, and the commit it was built from.`,
	})
	var format string
	c.flags.format(&format)
	c.do = func(_ context.Context, args []string) error {
		if err := none(args); err != nil {
			return err
		}
		if format == "json" {
			return printJSON(c.out, map[string]string{
				"version": version, "commit": commit, "go": runtime.Version(),
			})
		}
		_, err := fmt.Fprintln(c.out, versionText())
		return err
	}
	return c
}
