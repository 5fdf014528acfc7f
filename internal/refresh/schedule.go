// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"container/heap"
	"time"
)

// schedule says what is due when: at most one time for each key. Looking at what is due
// costs by what is due, never by how much is scheduled.
//
// A key without a time is parked: there is nothing to do for it, which is known. One
// that is not in the schedule at all has been lost.
type schedule struct {
	byKey  map[string]*scheduled
	queues [2]dueQueue // by urgency
}

// urgency orders what is due at the same time.
type urgency int

const (
	inUse urgency = iota // somebody reads the token
	idle                 // the refresh token is only kept alive
)

// scheduled is a key with its time.
type scheduled struct {
	key     string
	due     time.Time // zero: parked
	urgency urgency
	index   int // in its queue
}

func newSchedule() *schedule {
	return &schedule{byKey: map[string]*scheduled{}}
}

// set makes key due at a time, instead of the one it had; the zero time parks it.
func (s *schedule) set(key string, due time.Time, u urgency) {
	s.drop(key)
	item := &scheduled{key: key, due: due, urgency: u}
	s.byKey[key] = item
	if !due.IsZero() {
		heap.Push(&s.queues[u], item)
	}
}

// setEarlier is set, unless key is due before that already.
func (s *schedule) setEarlier(key string, due time.Time, u urgency) {
	if item := s.byKey[key]; item == nil || item.due.IsZero() || due.Before(item.due) {
		s.set(key, due, u)
	}
}

// drop forgets key.
func (s *schedule) drop(key string) {
	item := s.byKey[key]
	if item == nil {
		return
	}
	delete(s.byKey, key)
	if !item.due.IsZero() {
		heap.Remove(&s.queues[item.urgency], item.index)
	}
}

// has reports whether key is scheduled or parked.
func (s *schedule) has(key string) bool { return s.byKey[key] != nil }

// next is when something is due; the zero time is never.
func (s *schedule) next() time.Time {
	var next time.Time
	for _, queue := range s.queues {
		if len(queue) > 0 && (next.IsZero() || queue[0].due.Before(next)) {
			next = queue[0].due
		}
	}
	return next
}

// take removes and returns a key that is due now: what is in use first, and of that the
// earliest.
func (s *schedule) take(now time.Time) (key string, ok bool) {
	for _, queue := range s.queues {
		if len(queue) > 0 && !queue[0].due.After(now) {
			key = queue[0].key
			s.drop(key)
			return key, true
		}
	}
	return "", false
}

// dueQueue implements heap.Interface, the earliest first.
type dueQueue []*scheduled

func (q dueQueue) Len() int           { return len(q) }
func (q dueQueue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q dueQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push and Pop are for container/heap.
func (q *dueQueue) Push(x any) {
	item := x.(*scheduled)
	item.index = len(*q)
	*q = append(*q, item)
}

func (q *dueQueue) Pop() any {
	old := *q
	item := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return item
}
