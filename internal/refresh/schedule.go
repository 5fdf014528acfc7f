// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"container/heap"
	"time"
)

// schedule says what is due when: at most one time for each key. Looking at what
// is due costs by what is due, never by how much is scheduled.
type schedule struct {
	byKey map[string]*scheduled
	queue dueQueue
}

// scheduled is a key with its time.
type scheduled struct {
	key   string
	due   time.Time
	index int // in the queue
}

func newSchedule() *schedule {
	return &schedule{byKey: map[string]*scheduled{}}
}

// set makes key due at a time, instead of the one it had; the zero time is never.
func (s *schedule) set(key string, due time.Time) {
	item := s.byKey[key]
	switch {
	case due.IsZero() && item != nil:
		heap.Remove(&s.queue, item.index)
		delete(s.byKey, key)
	case due.IsZero():
	case item != nil:
		item.due = due
		heap.Fix(&s.queue, item.index)
	default:
		item = &scheduled{key: key, due: due}
		s.byKey[key] = item
		heap.Push(&s.queue, item)
	}
}

// setEarlier is set, unless key is due before that already.
func (s *schedule) setEarlier(key string, due time.Time) {
	if item := s.byKey[key]; item == nil || due.Before(item.due) {
		s.set(key, due)
	}
}

// next is when something is due; the zero time is never.
func (s *schedule) next() time.Time {
	if len(s.queue) == 0 {
		return time.Time{}
	}
	return s.queue[0].due
}

// take removes and returns a key that is due now, the earliest first.
func (s *schedule) take(now time.Time) (key string, ok bool) {
	if len(s.queue) == 0 || s.queue[0].due.After(now) {
		return "", false
	}
	item := heap.Pop(&s.queue).(*scheduled)
	delete(s.byKey, item.key)
	return item.key, true
}

func (s *schedule) len() int { return len(s.queue) }

// dueQueue implements heap.Interface, the earliest first.
type dueQueue []*scheduled

func (q dueQueue) Len() int           { return len(q) }
func (q dueQueue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q dueQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

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
