// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// notOnOpenBao are the tests and subtests that do not apply where the server is OpenBao, and why.
var notOnOpenBao = map[string]string{}

// OpenBao reports whether the server that the tests run on is OpenBao, and not Vault.
func OpenBao(t testing.TB) bool {
	t.Helper()
	Programs(t)
	is, err := serverIsOpenBao()
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// serverIsOpenBao asks the server's command for its version, as scripts/vault.sh does.
var serverIsOpenBao = sync.OnceValues(func() (bool, error) {
	dir, err := programFolder()
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, dir+"/vault", "version").Output()
	if err != nil {
		return false, fmt.Errorf("the server's version: %w", err)
	}
	return strings.HasPrefix(string(out), "OpenBao v"), nil
})

// MustApply skips a test that does not apply to the server. Every server that the harness starts
// asks for it.
func MustApply(t testing.TB) {
	t.Helper()
	if why := notOnOpenBao[t.Name()]; why != "" && OpenBao(t) {
		t.Skipf("not on OpenBao: %s", why)
	}
}
