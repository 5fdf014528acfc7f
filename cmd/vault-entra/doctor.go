// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
)

func doctorCommand(std streams) *command {
	c := newCommand(std, manual{
		name:     "doctor",
		synopsis: "Find what is wrong, and how to mend it",
		usage:    "doctor [options] [ACCOUNT]",
		text: `
Looks at everything that has to work before a token can be had, and names the
command that mends what does not.

    $ vault-entra doctor ci
    $ vault-entra doctor -map entra.hcl
`,
	})
	var selected selection
	selected.define(c.flags)
	c.do = func(ctx context.Context, args []string) error {
		tokens, err := selected.open()
		if err != nil {
			return err
		}
		token, err := tokens.Default(ctx)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.out, "%s can be read\n", token.Target.Path())
		return err
	}
	return c
}
