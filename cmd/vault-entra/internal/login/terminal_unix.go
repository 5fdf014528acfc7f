// SPDX-License-Identifier: MPL-2.0

//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package login

import (
	"os"

	"golang.org/x/sys/unix"
)

// withoutLineEditing takes a terminal out of canonical mode (termios(3)). Echo and the keys that
// send signals stay.
func withoutLineEditing(file *os.File) (restore func()) {
	fd := int(file.Fd())
	before, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return func() {} // not a terminal
	}
	during := *before
	during.Lflag &^= unix.ICANON
	during.Cc[unix.VMIN], during.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, setTermios, &during); err != nil {
		return func() {}
	}
	return func() { _ = unix.IoctlSetTermios(fd, setTermios, before) }
}
