// SPDX-License-Identifier: MPL-2.0

//go:build unix

package identity

import (
	"net"

	"golang.org/x/sys/unix"
)

// listenPrivately makes a socket that nobody else can open, not even for a moment.
func listenPrivately(path string) (net.Listener, error) {
	before := unix.Umask(0o177)
	defer unix.Umask(before)
	return net.Listen("unix", path)
}
