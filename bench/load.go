// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// requestTimeout bounds every request of the load.
const requestTimeout = 2 * time.Minute

// reader is one keep-alive connection to Vault. It writes requests that were
// rendered before, so that the load takes as little of the CPU as it can.
type reader struct {
	conn     net.Conn
	buffered *bufio.Reader
}

func dial(addr string) (*reader, error) {
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &reader{conn: conn, buffered: bufio.NewReaderSize(conn, 8<<10)}, nil
}

// do sends one rendered request and reads the whole answer, which must be 200.
func (r *reader) do(request []byte) error {
	if err := r.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return err
	}
	if _, err := r.conn.Write(request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(r.buffered, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("status %d: %s", resp.StatusCode, text)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// dialAll opens n connections. The caller closes them with closeAll.
func dialAll(addr string, n int) ([]*reader, error) {
	readers := make([]*reader, 0, n)
	for range n {
		r, err := dial(addr)
		if err != nil {
			closeAll(readers)
			return nil, err
		}
		readers = append(readers, r)
	}
	return readers, nil
}

func closeAll(readers []*reader) {
	for _, r := range readers {
		r.conn.Close()
	}
}

// round is what one load measured.
type round struct {
	perSecond float64
	p50, p99  time.Duration
}

// load reads from random ones of the requests, on so many connections, for so long.
func load(addr string, requests [][]byte, connections int, length time.Duration) (round, error) {
	ended := make(chan struct{})
	defer time.AfterFunc(length, func() { close(ended) }).Stop()
	return loadUntil(addr, requests, connections, ended)
}

// loadUntil is load until ended is closed.
func loadUntil(addr string, requests [][]byte, connections int, ended <-chan struct{}) (round, error) {
	readers, err := dialAll(addr, connections)
	if err != nil {
		return round{}, err
	}
	defer closeAll(readers)
	took := make([][]time.Duration, connections)
	failed := make([]error, connections)
	start := time.Now()
	var wg sync.WaitGroup
	for i, r := range readers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), uint64(start.UnixNano())))
			for last := time.Now(); !over(ended) && failed[i] == nil; {
				failed[i] = r.do(requests[random.IntN(len(requests))])
				now := time.Now()
				took[i] = append(took[i], now.Sub(last))
				last = now
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	for _, err := range failed {
		if err != nil {
			return round{}, err
		}
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	return round{
		perSecond: float64(len(all)) / elapsed.Seconds(),
		p50:       percentile(all, 50),
		p99:       percentile(all, 99),
	}, nil
}

func over(ended <-chan struct{}) bool {
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

// all sends one request on every connection at once and returns when the last
// answer was there.
func all(readers []*reader, request []byte) (time.Duration, error) {
	failed := make([]error, len(readers))
	start := make(chan struct{})
	var ready, done sync.WaitGroup
	ready.Add(len(readers))
	for i, r := range readers {
		done.Go(func() {
			ready.Done()
			<-start
			failed[i] = r.do(request)
		})
	}
	ready.Wait()
	began := time.Now()
	close(start)
	done.Wait()
	took := time.Since(began)
	for _, err := range failed {
		if err != nil {
			return 0, err
		}
	}
	return took, nil
}

// percentile of sorted values, by the nearest rank.
func percentile[T any](sorted []T, p int) T {
	var none T
	if len(sorted) == 0 {
		return none
	}
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

type number interface{ ~int64 | ~float64 }

// median of values in any order, 0 without any.
func median[T number](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// medianRound takes each figure's median over the rounds.
func medianRound(rounds []round) round {
	var m round
	m.perSecond = median(each(rounds, func(r round) float64 { return r.perSecond }))
	m.p50 = median(each(rounds, func(r round) time.Duration { return r.p50 }))
	m.p99 = median(each(rounds, func(r round) time.Duration { return r.p99 }))
	return m
}

// ratios compares two loads round by round: what disturbs the machine disturbs
// both of a pair. It returns the medians of the pairs' ratios.
func ratios(of, to []round) (perSecond, p99 float64) {
	var throughput, latency []float64
	for i := range min(len(of), len(to)) {
		throughput = append(throughput, of[i].perSecond/to[i].perSecond)
		latency = append(latency, float64(of[i].p99)/float64(to[i].p99))
	}
	return median(throughput), median(latency)
}

func each[A, B any](values []A, f func(A) B) []B {
	mapped := make([]B, len(values))
	for i, v := range values {
		mapped[i] = f(v)
	}
	return mapped
}
