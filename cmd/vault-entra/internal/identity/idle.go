// SPDX-License-Identifier: MPL-2.0

package identity

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// idleConnections bounds how many connections may stay open between requests.
type idleConnections struct {
	limit int

	mu     sync.Mutex
	order  *list.List // of net.Conn, the longest idle first
	places map[net.Conn]*list.Element
}

func newIdleConnections(limit int) *idleConnections {
	return &idleConnections{limit: limit, order: list.New(), places: map[net.Conn]*list.Element{}}
}

// observe is told each change of a connection (http.Server.ConnState).
func (i *idleConnections) observe(conn net.Conn, state http.ConnState) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if place, known := i.places[conn]; known {
		i.order.Remove(place)
		delete(i.places, conn)
	}
	if state != http.StateIdle {
		return
	}
	i.places[conn] = i.order.PushBack(conn)
	if i.order.Len() > i.limit {
		oldest := i.order.Front()
		conn := i.order.Remove(oldest).(net.Conn)
		delete(i.places, conn)
		_ = conn.Close() // its server's goroutine ends of it
	}
}
