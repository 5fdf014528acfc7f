// SPDX-License-Identifier: MPL-2.0

//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package login

import "os"

// withoutLineEditing has nothing to do where the console cuts no line.
func withoutLineEditing(*os.File) (restore func()) { return func() {} }
