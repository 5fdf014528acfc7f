// SPDX-License-Identifier: MPL-2.0

//go:build linux || darwin

package identity

import "net"

// control hands the descriptor of a unix socket to what.
func control(conn net.Conn, what func(fd int)) {
	socket, isSocket := conn.(*net.UnixConn)
	if !isSocket {
		return
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { what(int(fd)) }) // closed already: nothing is told
}
