// SPDX-License-Identifier: MPL-2.0

package readers

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// workspace is a folder with a configuration of Terraform's, and with its state.
type workspace struct {
	t       testing.TB
	program string
	dir     string
	env     []string
}

// planTime bounds one run of Terraform.
const planTime = 2 * time.Minute

// newWorkspace is an empty folder for Terraform or OpenTofu, which ask no registry: the provider
// is the one that scripts/e2e-build.sh has built.
func newWorkspace(t testing.TB, program string, c *harness.Client) *workspace {
	t.Helper()
	dir, home := t.TempDir(), t.TempDir()
	settings := filepath.Join(home, "settings.tfrc")
	text := fmt.Sprintf(`
disable_checkpoint = true
provider_installation {
  dev_overrides {
    "hashicorp/vault" = %q
  }
}
`, harness.Programs(t))
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return &workspace{t: t, program: harness.Program(t, program), dir: dir, env: []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TF_CLI_CONFIG_FILE=" + settings,
		"CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1", "TF_INPUT=0", "TF_CLI_ARGS=-no-color",
		"VAULT_ADDR=" + c.Addr, "VAULT_TOKEN=" + c.Token,
	}}
}

// run runs a program in the folder and returns all that it prints, and its exit status.
func (w *workspace) run(program string, args ...string) (said string, status int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), planTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = w.dir, w.env, time.Second
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && (!errors.As(err, &ended) || ctx.Err() != nil) {
		w.t.Fatalf("%s %s: %v: %s", program, args, err, out)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// plan fails the test unless a plan has this exit status: 0 for no changes, 2 for some.
func (w *workspace) plan(when string, want int) {
	w.t.Helper()
	if said, status := w.run(w.program, "plan", "-detailed-exitcode"); status != want {
		w.t.Errorf("%s: plan ends with %d, want %d:\n%s", when, status, want, said)
	}
}

// apply fails the test unless the configuration is applied.
func (w *workspace) apply(args ...string) {
	w.t.Helper()
	args = append([]string{"apply", "-auto-approve"}, args...)
	if said, status := w.run(w.program, args...); status != 0 {
		w.t.Fatalf("%s ends with %d:\n%s", args, status, said)
	}
}

// finds are the files of the folder that have a text: the state, a copy of it, a plan.
func (w *workspace) finds(text string) (names []string) {
	w.t.Helper()
	err := filepath.WalkDir(w.dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(name)
		if err == nil && bytes.HasPrefix(content, []byte("PK")) {
			content, err = unpacked(content)
		}
		if bytes.Contains(content, []byte(text)) {
			names = append(names, entry.Name())
		}
		return err
	})
	if err != nil || text == "" {
		w.t.Fatalf("looking for %q: %v", text, err)
	}
	return names
}

// unpacked is all that an archive holds: a plan that is saved is one.
func unpacked(archive []byte) (all []byte, err error) {
	z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, err
	}
	for _, file := range z.File {
		content, err := fs.ReadFile(z, file.Name)
		if err != nil {
			return nil, err
		}
		all = append(all, content...)
	}
	return all, nil
}

// message is what Terraform says without its frame and its line breaks.
func message(said string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(said, "│", " ")), " ")
}
