// SPDX-License-Identifier: MPL-2.0

//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package login

import "golang.org/x/sys/unix"

const getTermios, setTermios = unix.TIOCGETA, unix.TIOCSETA
