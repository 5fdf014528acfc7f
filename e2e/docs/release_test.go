// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"archive/zip"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vault-plugin-secrets-entra/e2e/harness"
)

// A release built twice, from two folders, has the same bytes; its archives and its
// lists of contents are there, and its binary says which version it is.
func TestReleaseIsReproducible(t *testing.T) {
	t.Parallel()
	root := harness.Path()
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	const copyTree = `mkdir "$2" && cd "$1" &&
		tar cf - --exclude=./bin --exclude=./dist . | (cd "$2" && tar xf -)`
	out, err := exec.Command("sh", "-c", copyTree, "sh", root, elsewhere).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var sums []string
	dist := t.TempDir()
	for i, from := range []string{root, elsewhere} {
		to := filepath.Join(dist, string(rune('a'+i)))
		platforms := []string{"PLATFORMS=linux/amd64 windows/arm64"}
		printed, err := harness.Run(from, platforms, "scripts/release.sh", "v9.9.9-rc.1", to)
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, printed)
	}
	if sums[0] != sums[1] {
		t.Errorf("two runs differ:\n%s\n\n%s", sums[0], sums[1])
	}
	for _, name := range []string{
		"vault-plugin-secrets-entra_9.9.9-rc.1_linux_amd64",
		"vault-plugin-secrets-entra_9.9.9-rc.1_windows_arm64.exe",
		"vault-plugin-secrets-entra_9.9.9-rc.1_linux_amd64.zip",
		"vault-entra_9.9.9-rc.1_windows_arm64.zip",
	} {
		sum, err := harness.Checksum(filepath.Join(dist, "a", name))
		if err != nil || !strings.Contains(sums[0], sum+"  "+name) {
			t.Errorf("%s: %v, its checksum %s is not among:\n%s", name, err, sum, sums[0])
		}
	}
	wantEntries(t, filepath.Join(dist, "a", "vault-entra_9.9.9-rc.1_linux_amd64.zip"),
		"vault-entra", "LICENSE", "vault-entra.cdx.json", "vault-entra.1", "completion.bash",
		"completion.zsh", "completion.fish")
	var contents struct {
		Format     string `json:"bomFormat"`
		Components []struct {
			Name string `json:"name"`
		} `json:"components"`
	}
	text, err := os.ReadFile(filepath.Join(dist, "a",
		"vault-plugin-secrets-entra_9.9.9-rc.1_linux_amd64.cdx.json"))
	if err != nil || json.Unmarshal(text, &contents) != nil || contents.Format != "CycloneDX" ||
		!strings.Contains(string(text), "github.com/hashicorp/vault/sdk") {
		t.Errorf("%v, the list of contents is %.300s", err, text)
	}
	for _, bad := range []string{"", "9.9.9", "v9"} {
		script := filepath.Join(root, "scripts", "release.sh")
		out, err := exec.Command(script, bad, t.TempDir()).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "not semantic") {
			t.Errorf("version %q: %v, %s", bad, err, out)
		}
	}
}

// wantEntries fails the test unless an archive holds these files and no other.
func wantEntries(t *testing.T, archive string, want ...string) {
	t.Helper()
	reader, err := zip.OpenReader(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var names []string
	for _, file := range reader.File {
		names = append(names, file.Name)
		if file.UncompressedSize64 == 0 {
			t.Errorf("%s is empty", file.Name)
		}
	}
	if !slices.Equal(names, want) {
		t.Errorf("%s holds %q, want %q", archive, names, want)
	}
}
