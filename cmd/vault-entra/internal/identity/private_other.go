// SPDX-License-Identifier: MPL-2.0

//go:build !unix

package identity

import "net"

// listenPrivately makes a socket with the rights of its folder.
func listenPrivately(path string) (net.Listener, error) { return net.Listen("unix", path) }
