// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Update is the flag -update: what a test makes for a document is written there.
var Update = flag.Bool("update", false, "write into the documents instead of comparing")

// What differs from run to run, and what stands for it in a document.
var volatile = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "2026-11-23T18:00:00Z"},
	{regexp.MustCompile(`eyJ[\w.-]{40,}`), "eyJhbGciOiJSUzI1NiIs…"},
	{regexp.MustCompile(`((?:state|nonce|code_challenge|code|session_state)=)[\w.%-]{20,}`),
		"${1}…"},
	{regexp.MustCompile(`(login_id +)\S+`), "${1}kgNrHjScm9M5yAlC"},
	{regexp.MustCompile(`(correlation_id(?::| ))[0-9a-f-]{36}`),
		"${1}bdfdebef-8af4-47bf-8d69-ed8f07c4b4ea"},
	{regexp.MustCompile(`https://127\.0\.0\.1:\d+`), "https://login.example"},
	{regexp.MustCompile(`http://127\.0\.0\.1:\d+`), "https://vault.example.com"},
	{regexp.MustCompile(`(ttl +)\S+`), "${1}50m"},
	{regexp.MustCompile(`(rotation_period +)\S+`), "${1}50m"},
	{regexp.MustCompile(`localhost(:|%3A)\d+`), "localhost${1}49152"},
	{regexp.MustCompile(`(enter the code\s+)\S+`), "${1}FK7PX2NRD"},
	{regexp.MustCompile(` +\n`), "\n"},
}

// HoldTranscript compares a transcript with the one in a document of docs/, or with
// -update writes it there. What differs from run to run is put in its usual form.
func HoldTranscript(t *testing.T, document, made string) {
	t.Helper()
	for _, v := range volatile {
		made = v.what.ReplaceAllString(made, v.by)
	}
	begin := fmt.Sprintf("<!-- made by %s: %s -->\n", t.Name(), UpdateCommand(t))
	const end = "<!-- end of the transcript -->\n"
	block := begin + "```\n" + strings.TrimRight(made, "\n") + "\n```\n" + end
	path := Path("docs", document)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(content), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the transcript, which begins with: %s", path, begin)
	}
	if *Update {
		if err := os.WriteFile(path, []byte(before+block+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if before+block+after != string(content) {
		t.Errorf(
			"the transcript in %s is not what the commands print (write it anew with -update):\n%s",
			path, made)
	}
}

// UpdateCommand is the command that runs a test with -update.
func UpdateCommand(t testing.TB) string {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("go -C e2e test ./%s -run %s -update", filepath.Base(here), t.Name())
}

// Path is the path of a file of the repository. Tests run in the folder of their
// package, two folders below its root.
func Path(elements ...string) string {
	path, err := filepath.Abs(filepath.Join(append([]string{"..", ".."}, elements...)...))
	if err != nil {
		panic(err) // there is no working directory
	}
	return path
}
