// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

func manCommand(std streams) *command {
	c := newCommand(std, manual{
		name:     "man",
		synopsis: "Print the man page",
		usage:    "man",
		text: `
Prints the manual page of all commands, in roff.

    $ vault-entra man > vault-entra.1
    $ man ./vault-entra.1
`,
	})
	c.do = func(_ context.Context, args []string) error {
		if err := none(args); err != nil {
			return err
		}
		return writeMan(c.out)
	}
	return c
}

// exitTable is what the man page and docs/command-line.md say of exit codes.
var exitTable = [][2]string{
	{"0", "it worked"},
	{"1", "it failed; the message says why"},
	{"2", "the command line cannot be meant"},
	{"3", "somebody has to sign in, to Entra or to Vault; the message has the command"},
	{"4", "Vault or Entra is unavailable, sealed or throttling; later it may work"},
	{"125 126 127", "run: the command was never reached, is not executable, was not found"},
	{"128+n", "run: signal n ended the command; 130 also after Ctrl-C elsewhere"},
}

// writeMan writes the manual page, man(7).
func writeMan(out io.Writer) error {
	var page strings.Builder
	fmt.Fprintf(&page, ".TH VAULT-ENTRA 1 \"\" \"%s %s\" \"User Commands\"\n", program, version)
	page.WriteString(".SH NAME\nvault-entra \\- tokens of Microsoft Entra ID from Vault, for any " +
		"program\n")
	page.WriteString(".SH SYNOPSIS\n.B vault-entra\n\\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n")
	page.WriteString(".SH COMMANDS\n")
	table := commands(streams{})
	names := slices.Sorted(maps.Keys(table))
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	for _, name := range names {
		made, err := table[name]()
		if err != nil {
			return err
		}
		c := made.(*command)
		fmt.Fprintf(&page, ".SS %s %s\n%s.\n", program, roff(c.usage), roff(c.synopsis))
		writeText(&page, c.text)
		for _, o := range c.flags.options {
			fmt.Fprintf(&page, ".TP\n.B %s\n%s\n", roff(o.spelled()), roff(o.text))
		}
	}
	page.WriteString(".SH EXIT STATUS\n")
	for _, row := range exitTable {
		fmt.Fprintf(&page, ".TP\n.B %s\n%s\n", roff(row[0]), roff(row[1]))
	}
	page.WriteString(".SH SEE ALSO\nvault(1)\n")
	_, err := io.WriteString(out, page.String())
	return err
}

// rank puts the everyday commands first.
func rank(name string) int {
	if i := slices.Index(everyday, name); i >= 0 {
		return i
	}
	return len(everyday)
}

// writeText turns paragraphs and examples into roff.
func writeText(page *strings.Builder, text string) {
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		if strings.HasPrefix(paragraph, "    ") {
			page.WriteString(".PP\n.nf\n.RS 4\n")
			for line := range strings.SplitSeq(paragraph, "\n") {
				page.WriteString(roff(strings.TrimPrefix(line, "    ")) + "\n")
			}
			page.WriteString(".RE\n.fi\n")
			continue
		}
		page.WriteString(".PP\n" + roff(paragraph) + "\n")
	}
}

// roff escapes a text: backslashes, hyphens that are to be copied, and a dot or quote that begins a
// line.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
