// SPDX-License-Identifier: MPL-2.0

package login

import "golang.org/x/sys/unix"

const getTermios, setTermios = unix.TCGETS, unix.TCSETS
