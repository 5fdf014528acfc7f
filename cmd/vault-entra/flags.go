// SPDX-License-Identifier: MPL-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/posener/complete"
)

// flags are the options of a command: Go's flag package, with what help and completion need
// besides.
type flags struct {
	set     *flag.FlagSet
	options []option // in the order of their definition
}

// option is what help and completion say of a flag.
type option struct {
	name      string
	value     string // what stands for its value in help, "" for a switch
	text      string
	predictor complete.Predictor
}

func newFlags(name string) *flags {
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	return &flags{set: set}
}

func (f *flags) add(name, value, text string, predictor complete.Predictor) {
	f.options = append(f.options, option{name, value, text, predictor})
}

// text defines an option with a text as its value; initial is what it is without the option.
func (f *flags) text(into *string, name, value, initial, text string) {
	f.set.StringVar(into, name, initial, "")
	f.add(name, value, text, complete.PredictAnything)
}

// file defines an option that names a file.
func (f *flags) file(into *string, name, initial, text string) {
	f.set.StringVar(into, name, initial, "")
	f.add(name, "file", text, complete.PredictFiles("*"))
}

// on defines a switch.
func (f *flags) on(into *bool, name, text string) {
	f.set.BoolVar(into, name, false, "")
	f.add(name, "", text, complete.PredictNothing)
}

// oneOf defines an option that takes one of some words, the first of which is the default.
func (f *flags) oneOf(into *string, name, text string, words ...string) {
	*into = words[0]
	f.set.Var(&choice{into, words}, name, "")
	f.add(name, strings.Join(words, "|"), text, complete.PredictSet(words...))
}

// format defines -format of a command that prints a table by default.
func (f *flags) format(into *string) {
	f.oneOf(into, "format", "How to print what it found.", "table", "json")
}

// choice is the value of such an option.
type choice struct {
	into  *string
	words []string
}

// String is the word chosen.
func (c *choice) String() string {
	if c == nil || c.into == nil {
		return ""
	}
	return *c.into
}

// Set takes one of the words.
func (c *choice) Set(word string) error {
	if !slices.Contains(c.words, word) {
		return fmt.Errorf("it is one of %s", strings.Join(c.words, ", "))
	}
	*c.into = word
	return nil
}

// parse reads options and returns the arguments between and behind them. What stands behind `--`,
// or behind the first argument where stopAtFirst is set, is no option.
func (f *flags) parse(args []string, stopAtFirst bool) ([]string, error) {
	var rest []string
	for {
		if err := f.set.Parse(args); err != nil {
			return nil, usageError{explainFlag(err)}
		}
		left := f.set.Args()
		ended := len(left) < len(args) && args[len(args)-len(left)-1] == "--"
		if len(left) == 0 || stopAtFirst || ended {
			return append(rest, left...), nil
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}

// explainFlag is an error of the flag package in the style of the others.
func explainFlag(err error) string {
	if errors.Is(err, flag.ErrHelp) {
		return "-help stands alone"
	}
	return err.Error()
}

// help is the list of options.
func (f *flags) help() string {
	var help strings.Builder
	for _, o := range f.options {
		help.WriteString("  " + o.spelled() + "\n\n")
		for _, line := range wrap(o.text, 72) {
			help.WriteString("      " + line + "\n")
		}
		help.WriteString("\n")
	}
	return help.String()
}

// spelled is the option as help writes it.
func (o option) spelled() string {
	if o.value == "" {
		return "-" + o.name
	}
	return fmt.Sprintf("-%s=<%s>", o.name, o.value)
}

// predictors are the options as completion takes them.
func (f *flags) predictors() complete.Flags {
	predictors := complete.Flags{}
	for _, o := range f.options {
		predictors["-"+o.name] = o.predictor
	}
	return predictors
}

// wrap breaks a text into lines of at most width characters.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
