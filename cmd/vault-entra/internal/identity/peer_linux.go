// SPDX-License-Identifier: MPL-2.0

package identity

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerUser is whose process opened a unix socket (SO_PEERCRED, unix(7)).
func peerUser(conn net.Conn) (user int, told bool) {
	user, told = -1, true // what is not told is nobody's
	control(conn, func(fd int) {
		if peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			user = int(peer.Uid)
		}
	})
	return user, told
}
