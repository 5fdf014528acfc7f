// SPDX-License-Identifier: MPL-2.0

// Package demobrowser_test runs scripts/demo.sh --browser with a browser of its own.
package demobrowser_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A browser, as far as the demo needs one: it follows auth_url, signs alice in and confirms.
const browser = `#!/bin/sh
set -eu
exec 2>&1
unescape() { sed -e 's/&#43;/+/g' -e 's/&#34;/"/g' -e 's/&amp;/\&/g'; }
action() { sed -n 's/.*<form method="post" action="\([^"]*\)".*/\1/p' "$1" | unescape; }
field() {
	sed -n 's/.*<input type="hidden" name="'"$1"'" value="\([^"]*\)">.*/\1/p' "$2" | unescape
}
get() { curl -sS --noproxy '*' --cacert ca.pem -c jar -b jar "$@"; }
mkdir browser
cp ca.pem browser
cd browser
get "$1" -o sign-in
get "$(action sign-in)" --data-urlencode "flow=$(field flow sign-in)" -d username=alice \
	-d action=signin -o post
callback=$(action post)
get "$callback" --data-urlencode "code=$(field code post)" \
	--data-urlencode "state=$(field state post)" -o confirm
get "$callback" --data-urlencode "code=$(field code confirm)" \
	--data-urlencode "state=$(field state confirm)" -d decision=confirm -o done
grep -q 'You are signed in' done
cp done "$DEMO_BROWSER_SAW"
`

func TestDemoInBrowser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, saw := filepath.Join(dir, "browser"), filepath.Join(dir, "saw")
	if err := os.WriteFile(program, []byte(browser), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join("..", "..", "scripts", "demo.sh"), "--browser")
	cmd.Env = append(os.Environ(), "BROWSER="+program, "DEMO_BROWSER_SAW="+saw, "TMPDIR="+dir,
		"ENTRA_TENANT_ID=", "ENTRA_CLIENT_ID=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	page, err := os.ReadFile(saw)
	if err != nil || !strings.Contains(string(page), "alice") {
		t.Errorf("%v, the browser's last page is %.300s", err, page)
	}
	for _, says := range []string{
		"its CA was made a moment ago", "Waiting for your sign-in", "=== The whole way was walked",
	} {
		if !strings.Contains(string(out), says) {
			t.Errorf("the demo does not say %q:\n%s", says, out)
		}
	}
}
