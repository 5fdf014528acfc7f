// SPDX-License-Identifier: MPL-2.0

package identity

import (
	"net"
	"os"
)

// ownPeers accepts connections of this user and of root, where the system tells whose they are.
type ownPeers struct{ net.Listener }

// Accept closes what another user opened, and waits for the next.
func (l ownPeers) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || mayConnect(conn, os.Getuid()) {
			return conn, err
		}
		_ = conn.Close()
	}
}

// mayConnect reports whether a connection's other end is a process of the user or of root.
func mayConnect(conn net.Conn, user int) bool {
	peer, told := peerUser(conn)
	return !told || peer == user || peer == 0
}
