// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
)

// completions are the scripts that let a shell ask this program, which answers where COMP_LINE is
// set (bash's `complete -C`).
var completions = map[string]string{
	"bash": `complete -C vault-entra vault-entra
`,
	"zsh": `autoload -U +X bashcompinit && bashcompinit
complete -o nospace -C vault-entra vault-entra
`,
	"fish": `function __complete_vault_entra
    set -lx COMP_LINE (commandline -cp)
    test -z (commandline -ct)
    and set COMP_LINE "$COMP_LINE "
    vault-entra
end
complete -f -c vault-entra -a "(__complete_vault_entra)"
`,
}

func completionCommand(std streams) *command {
	c := newCommand(std, manual{
		name:     "completion",
		synopsis: "Print the completion of a shell",
		usage:    "completion bash|zsh|fish",
		text: `
Prints what a shell has to read to complete this program's command lines.

    $ . <(vault-entra completion bash)
    $ cd ~/.config/fish/completions
    $ vault-entra completion fish > vault-entra.fish

vault-entra -autocomplete-install writes it into your shell's own files.
`,
	})
	c.do = func(_ context.Context, args []string) error {
		shell, err := one(args, "the name of a shell")
		if err != nil {
			return err
		}
		script, known := completions[shell]
		if !known {
			return usagef("there is a completion for bash, zsh and fish, not for %s", shell)
		}
		_, err = fmt.Fprint(c.out, script)
		return err
	}
	return c
}
