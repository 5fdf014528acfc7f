// SPDX-License-Identifier: MPL-2.0

// Command diesonce is the plugin beside it, but for one time: where the file $DIE_ONCE
// lies, it takes the file away and dies in the middle of Setup, when Vault has asked it
// whether it serves several mounts and waits for its backend.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/plugin"
)

func main() {
	if err := os.Remove(os.Getenv("DIE_ONCE")); err == nil {
		fail(plugin.ServeMultiplex(&plugin.ServeOpts{BackendFactoryFunc: die}))
	}
	real := filepath.Join(filepath.Dir(os.Args[0]), "vault-plugin-secrets-entra")
	fail(syscall.Exec(real, append([]string{real}, os.Args[1:]...), os.Environ()))
}

func die(context.Context, *logical.BackendConfig) (logical.Backend, error) {
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		return nil, err
	}
	select {} // until the signal comes
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
