// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// The ports of the tests lie below the ephemeral ones, so that no outgoing connection
// takes one before, or while, a server is restarted. They come in blocks. Whoever
// listens on the first port of a block owns the others: that holds between packages
// that run at the same time, and ends with the process.
const (
	firstPort = 20000
	blocks    = 40
	blockSize = 250
)

var ports struct {
	sync.Mutex
	owners []net.Listener // keep this process's blocks
	next   int
	left   int // ports of the last block that nobody was given
}

// FreePort returns a loopback port that nobody listens on and that no other test was
// given.
func FreePort(t testing.TB) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range 2 * blockSize {
		if ports.left == 0 {
			ports.next, ports.left = ownBlock(t)
		}
		port := ports.next
		ports.next++
		ports.left--
		if l := listen(port); l != nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// ownBlock returns the first port of a block that is this process's from now on, and
// how many there are.
func ownBlock(t testing.TB) (first, n int) {
	t.Helper()
	for _, block := range rand.Perm(blocks) {
		owner := firstPort + block*blockSize
		if l := listen(owner); l != nil {
			ports.owners = append(ports.owners, l)
			return owner + 1, blockSize - 1
		}
	}
	t.Fatal("no free block of ports")
	return 0, 0
}

func listen(port int) net.Listener {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil
	}
	return l
}
