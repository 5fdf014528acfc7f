// SPDX-License-Identifier: MPL-2.0

//go:build minimal

// Package command: this file takes the place of Vault's of the same name, for it has no
// storage in files, which one machine wants.
package command

import (
	_ "github.com/hashicorp/vault/helper/builtinplugins"
	"github.com/hashicorp/vault/sdk/physical/file"
)

func extendAddonHandlers(handlers *vaultHandlers) {
	handlers.physicalBackends["file"] = file.NewFileBackend
	handlers.physicalBackends["file_transactional"] = file.NewTransactionalFileBackend
}
