// SPDX-License-Identifier: MPL-2.0

package azcli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/mapping"
)

// Options as argparse takes them for az: --name VALUE, --name=VALUE, -o VALUE, -o=VALUE, -oVALUE.
var (
	short = map[byte]string{'o': "output", 't': "tenant", 's': "subscription", 'n': "subscription"}
	alias = map[string]string{"scopes": "scope", "name": "subscription"}
	// global are the options of every command of az.
	global = []string{"output", "query", "only-show-errors", "verbose", "debug"}
	bare   = []string{"only-show-errors", "verbose", "debug", "all", "refresh"} // without a value
	many   = []string{"scope"}                                                  // with several
)

// command is what was said after a command's words.
type command struct {
	values map[string][]string // by the option's name
}

// option is the last value of an option, "" without it.
func (c *command) option(name string) string {
	if values := c.values[name]; len(values) > 0 {
		return values[len(values)-1]
	}
	return ""
}

func parse(args, known []string) (*command, error) {
	c := &command{values: map[string][]string{}}
	for len(args) > 0 {
		name, value, found := split(args[0])
		args = args[1:]
		if !slices.Contains(known, name) && !slices.Contains(global, name) {
			return nil, usage("unrecognized arguments: %s", name)
		}
		switch {
		case slices.Contains(bare, name):
			if found {
				return nil, usage("argument --%s: ignored explicit argument '%s'", name, value)
			}
			c.values[name] = []string{"true"}
		case found:
			c.values[name] = []string{value}
		case len(args) == 0 || strings.HasPrefix(args[0], "-"):
			return nil, usage("argument --%s: expected one argument", name)
		default:
			n := 1
			for slices.Contains(many, name) && n < len(args) && !strings.HasPrefix(args[n], "-") {
				n++
			}
			c.values[name] = args[:n]
			args = args[n:]
		}
	}
	return c, c.check()
}

// split parts an argument into the name of an option, and its value if that is joined to it. What
// is no option is its own name, which no command knows.
func split(arg string) (name, value string, found bool) {
	if long, ok := strings.CutPrefix(arg, "--"); ok {
		name, value, found = strings.Cut(long, "=")
		if full, ok := alias[name]; ok {
			name = full
		}
		return name, value, found
	}
	if len(arg) < 2 || arg[0] != '-' || short[arg[1]] == "" {
		return arg, "", false
	}
	value = strings.TrimPrefix(arg[2:], "=")
	return short[arg[1]], value, arg[2:] != ""
}

// formats are those of --output in which a script reads a token.
var formats = []string{"json", "jsonc", "tsv", "none"}

func (c *command) check() error {
	if output := c.option("output"); output != "" && !slices.Contains(formats, output) {
		return usage("'%s' is not a value for '--output' that vault-entra knows: %s", output,
			strings.Join(formats, ", "))
	}
	if c.option("output") == "tsv" && c.option("query") == "" {
		return usage("-o tsv needs --query with the name of one field")
	}
	return nil
}

// resource is what the token has to be for: by --resource, by --scope, by its kind, or Azure
// Resource Manager.
func (c *command) resource() (string, error) {
	if len(c.values["resource"]) > 0 && len(c.values["scope"]) > 0 {
		return "", usage("--resource and --scope do not go together")
	}
	if resource := c.option("resource"); resource != "" {
		return resource, nil
	}
	if kind := c.option("resource-type"); kind != "" {
		resource, ok := kinds[kind]
		if !ok {
			return "", usage("--resource-type %s is not one that vault-entra knows", kind)
		}
		return resource, nil
	}
	resource := ""
	for _, scope := range c.values["scope"] {
		of := mapping.ResourceOf(scope)
		if of == "" { // openid and its like
			continue
		}
		if resource != "" && of != resource {
			return "", usage("--scope: a token is for one resource, not for %s and %s", resource, of)
		}
		resource = of
	}
	if resource == "" {
		resource = armResource
	}
	return resource, nil
}

// kinds are the resources that az has a word for (custom.py, cloud_resource_type_mappings; the
// addresses are those of the public cloud in azure-cli-core's cloud.py).
var kinds = map[string]string{
	"arm":       armResource,
	"ms-graph":  "https://graph.microsoft.com/",
	"oss-rdbms": "https://ossrdbms-aad.database.windows.net",
	"batch":     "https://batch.core.windows.net/",
	"data-lake": "https://datalake.azure.net/",
	"media":     "https://rest.media.azure.net",
}

// print writes the answer in the format that was asked for.
func (c *command) print(out io.Writer, answer any) error {
	if query := c.option("query"); query != "" {
		var err error
		if answer, err = field(answer, query); err != nil {
			return err
		}
	}
	switch c.option("output") {
	case "none":
		return nil
	case "tsv":
		_, err := fmt.Fprintln(out, answer)
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(answer)
}

// field is one field of an answer. --query takes JMESPath; scripts mostly ask for one name.
func field(answer any, name string) (any, error) {
	encoded, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(encoded, &fields) != nil || fields[name] == nil {
		return nil, usage("argument --query: vault-entra knows the name of one field, not '%s'", name)
	}
	var value any
	if text := fields[name]; text[0] == '"' || text[0] == 't' || text[0] == 'f' {
		err = json.Unmarshal(text, &value)
		return value, err
	} else if text[0] >= '0' && text[0] <= '9' {
		return json.Number(text), nil
	}
	return nil, errors.New("--query " + name + " is not one value")
}
