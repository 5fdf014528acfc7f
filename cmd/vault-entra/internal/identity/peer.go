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
		if err != nil {
			return nil, err
		}
		if peer, told := peerUser(conn); !told || mayConnect(peer, os.Getuid()) {
			return conn, nil
		}
		_ = conn.Close()
	}
}

// mayConnect reports whether a process of the peer may have the user's tokens: one of the user's
// own, or of root, who can have them anyway.
func mayConnect(peer, user int) bool { return peer == user || peer == 0 }
