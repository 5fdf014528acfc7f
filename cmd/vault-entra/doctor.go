// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/mapping"
	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

const doctorText = `
Looks at everything that has to work before a token can be had, in the order
in which it is needed, and names the command that mends what does not. It
reads no token where the engine has check/.

    $ vault-entra doctor ci
    $ vault-entra doctor -map entra.hcl

The exit code is that of the first thing that does not work.
`

func doctorCommand(std streams) *command {
	c := newCommand(std, manual{
		name:     "doctor",
		synopsis: "Find what is wrong, and how to mend it",
		usage:    "doctor [options] [ACCOUNT]",
		text:     doctorText,
	})
	var selected selection
	var format string
	selected.define(c.flags)
	c.flags.format(&format)
	c.do = func(ctx context.Context, args []string) error {
		if err := selected.takeAccount(args); err != nil {
			return err
		}
		if err := selected.check(); err != nil {
			return err
		}
		d := &doctor{selected: &selected}
		d.examine(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := c.printFindings(d.findings, format); err != nil {
			return err
		}
		if code := codeOf(d.first); code != 0 {
			return exitCode(code)
		}
		return nil
	}
	return c
}

// finding is one thing that was looked at.
type finding struct {
	Check   string `json:"check"`  // settings, map, vault, clock, vault_token, policy, token
	Status  string `json:"status"` // ok, warning or failed
	Detail  string `json:"detail"`
	Command string `json:"command,omitempty"` // mends it
}

const (
	statusOK      = "ok"
	statusWarning = "warning"
	statusFailed  = "failed"
)

// doctor looks at one thing after the other.
type doctor struct {
	selected *selection
	vault    *vaultclient.Client
	mapped   *mapping.Map
	findings []finding
	first    error // the first failure
}

func (d *doctor) ok(check, format string, args ...any) {
	d.findings = append(d.findings, finding{check, statusOK, fmt.Sprintf(format, args...), ""})
}

func (d *doctor) warn(check, command, format string, args ...any) {
	d.findings = append(d.findings,
		finding{check, statusWarning, fmt.Sprintf(format, args...), command})
}

func (d *doctor) fail(check string, err error) {
	text, command := err.Error(), ""
	var trouble *vaultclient.Error
	if errors.As(err, &trouble) {
		text, command = trouble.Text, trouble.Command
	}
	d.findings = append(d.findings, finding{check, statusFailed, text, command})
	if d.first == nil {
		d.first = err
	}
}

// examine stops where nothing after it could work.
func (d *doctor) examine(ctx context.Context) {
	d.lookAtMap()
	if !d.lookAtSettings() || !d.lookAtVault(ctx) || !d.lookAtVaultToken(ctx) {
		return
	}
	targets := d.targets()
	mounted := true
	for _, target := range targets {
		mounted = d.lookAtTarget(ctx, target)
	}
	if len(targets) > 0 && mounted && d.mapped == nil && d.selected.role == "" {
		d.lookAtRoles(ctx, targets[0].Mount)
	}
}

func (d *doctor) lookAtMap() {
	if d.selected.mapFile == "" {
		return
	}
	m, err := mapping.Load(d.selected.mapFile)
	if err == nil && d.selected.account == "" {
		err = m.Complete()
	}
	if err != nil {
		d.fail("map", err)
		return
	}
	d.mapped = m
	d.ok("map", "%s names %d resources", d.selected.mapFile, len(m.Resources()))
}

// lookAtSettings makes the client.
func (d *doctor) lookAtSettings() bool {
	vault, err := vaultclient.New()
	if err != nil {
		d.fail("settings", err)
		return false
	}
	d.vault = vault
	vault.FailAtOnce()
	switch {
	case vault.ThroughAgent():
		d.ok("settings", "VAULT_AGENT_ADDR is %s", vault.Address())
	case os.Getenv("VAULT_ADDR") == "":
		d.warn("settings", "export VAULT_ADDR=https://vault.example.com:8200",
			"VAULT_ADDR is not set, so %s is asked", vault.Address())
	default:
		d.ok("settings", "VAULT_ADDR is %s", vault.Address())
	}
	return true
}

// maxSkew is how far the clocks may be apart: expiry is compared with this machine's.
const maxSkew = time.Minute

func (d *doctor) lookAtVault(ctx context.Context) bool {
	before := time.Now()
	health, err := d.vault.Health(ctx)
	if err != nil {
		d.fail("vault", err)
		return false
	}
	switch {
	case !health.Initialized:
		d.fail("vault", &vaultclient.Error{Class: vaultclient.Sealed,
			Text: "Vault is not initialized", Command: "vault operator init"})
		return false
	case health.Sealed:
		d.fail("vault", &vaultclient.Error{Class: vaultclient.Sealed,
			Text: "Vault is sealed", Command: "vault operator unseal"})
		return false
	}
	d.ok("vault", "Vault %s answers, and is unsealed", health.Version)
	took := time.Since(before)
	skew := before.Add(took / 2).Sub(health.Time).Truncate(time.Second)
	if skew.Abs() > maxSkew+took {
		d.warn("clock", "timedatectl set-ntp true",
			"this machine's clock is %s %s Vault's: tokens seem older or younger than they are",
			skew.Abs(), map[bool]string{true: "ahead of", false: "behind"}[skew > 0])
	} else {
		d.ok("clock", "this machine's clock and Vault's agree")
	}
	return true
}

// soon is when the end of a Vault token that cannot be renewed is worth a word.
const soon = time.Hour

func (d *doctor) lookAtVaultToken(ctx context.Context) bool {
	status, err := d.vault.TokenStatus(ctx)
	var refused *vaultclient.Error
	switch {
	case errors.As(err, &refused) && refused.Class == vaultclient.Forbidden:
		// A token without the default policy may not look at itself.
		d.ok("vault_token", "Vault knows the token")
		return true
	case err != nil:
		d.fail("vault_token", err)
		return false
	}
	whose := "the token"
	if !d.vault.HasToken() {
		whose = "the Agent's token"
	}
	policies := strings.Join(status.Policies, ", ")
	if status.TTL > 0 && status.TTL < soon && !status.Renewable {
		d.warn("vault_token", "vault login", "%s ends in %s and cannot be renewed", whose, status.TTL)
	} else {
		d.ok("vault_token", "Vault takes %s, with the policies %s", whose, policies)
	}
	return true
}

// targets are the tokens that the command line or the map names.
func (d *doctor) targets() []vaultclient.Target {
	resolver := mapping.Resolver{
		Map: d.mapped, Account: d.selected.account, Role: d.selected.role,
		Mount: strings.Trim(d.selected.mount, "/"),
	}
	var targets []vaultclient.Target
	if target, err := resolver.Default(); err == nil {
		targets = append(targets, target)
	}
	if d.mapped != nil && d.selected.role == "" {
		targets = append(targets, resolver.Targets()...)
	}
	if len(targets) == 0 && d.selected.mapFile == "" {
		d.warn("token", "vault-entra doctor ACCOUNT", "no account and no map is named, so no "+
			"token was looked at")
	}
	slices.SortFunc(targets, func(a, b vaultclient.Target) int {
		return strings.Compare(a.Path(), b.Path())
	})
	return slices.Compact(targets)
}

// lookAtTarget looks at the policy and at the account. It reports false where no engine is mounted.
func (d *doctor) lookAtTarget(ctx context.Context, target vaultclient.Target) (mounted bool) {
	may, err := d.vault.May(ctx, "read", target.Path())
	if err == nil && !may {
		d.fail("policy", vaultclient.NotGranted("read", target.Path()))
		return true
	}
	ready, err := d.vault.Check(ctx, target)
	var refused *vaultclient.Error
	if errors.As(err, &refused) && (refused.Class == vaultclient.Forbidden ||
		refused.Class == vaultclient.NothingThere) {
		d.lookByReading(ctx, target)
		return true
	}
	switch {
	case err != nil:
		d.fail("token", err)
	case ready.Trouble != nil:
		d.fail("token", ready.Trouble)
	default:
		d.ok("token", "%s: %s", target.Path(), ready.Message)
	}
	return refused == nil || refused.Class != vaultclient.NoMount
}

// lookByReading reads the token, where check/ is not there or not granted.
func (d *doctor) lookByReading(ctx context.Context, target vaultclient.Target) {
	token, err := d.vault.Token(ctx, target, 0)
	switch {
	case err != nil:
		d.fail("token", err)
	case len(token.Warnings) > 0:
		d.warn("token", "", "%s: %s", target.Path(), strings.Join(token.Warnings, "; "))
	default:
		d.ok("token", "%s is a token of %s", target.Path(), token.Username)
	}
}

// lookAtRoles looks at what lookups by resource need where there is no map.
func (d *doctor) lookAtRoles(ctx context.Context, mount string) {
	path := mount + "/roles"
	may, err := d.vault.May(ctx, "list", path)
	if err == nil && !may {
		d.warn("policy", "", "%s; without it, a resource is found by -role or a map only",
			vaultclient.NotGranted("list", path).Text)
		return
	}
	if _, err := d.vault.List(ctx, path); err != nil {
		d.warn("policy", "", "%v", err)
		return
	}
	d.ok("policy", "the roles of %s can be listed, so resources are found without a map", mount)
}

// printFindings prints a line for each finding, and the command that mends it below.
func (c *command) printFindings(findings []finding, format string) error {
	if format == "json" {
		return printJSON(c.out, findings)
	}
	for _, f := range findings {
		if _, err := fmt.Fprintf(c.out, "%-8s %s\n", f.Status, f.Detail); err != nil {
			return err
		}
		if f.Command == "" {
			continue
		}
		if _, err := fmt.Fprintf(c.out, "%-8s Run: %s\n", "", f.Command); err != nil {
			return err
		}
	}
	return nil
}
