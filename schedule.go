// SPDX-License-Identifier: MPL-2.0

package main

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

// aheadAt is when a token in use is refreshed before a reader has to wait for it:
// within the last tenth of its rotation period. jitter is 0 to 1.
func (t *heldToken) aheadAt(refreshMargin time.Duration, jitter float64) time.Time {
	period := t.life() - t.margin(refreshMargin)
	return t.renewAt(refreshMargin, 0).Add(-time.Duration(jitter * float64(period/10)))
}

// keepaliveAt is when the refresh token is used so that it does not end of
// inactivity, within the last tenth of the interval; zero if it is left alone.
// lastRead is what is known of the account's readers. jitter is 0 to 1.
func (e *accountEntry) keepaliveAt(cfg *configEntry, lastRead time.Time, jitter float64) time.Time {
	if cfg.KeepaliveInterval == 0 || !e.signedIn() {
		return time.Time{}
	}
	at := e.RefreshTokenTime.Add(cfg.KeepaliveInterval - time.Duration(jitter*float64(cfg.KeepaliveInterval/10)))
	if cfg.KeepaliveMax > 0 && at.After(lastRead.Add(cfg.KeepaliveMax)) {
		return time.Time{}
	}
	return at
}
