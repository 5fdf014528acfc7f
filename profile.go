// SPDX-License-Identifier: MPL-2.0

//go:build profile

package main

import (
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"syscall"
)

// A plugin built with the tag "profile", which no release is, writes a CPU
// profile to a file named as its binary, plus ".cpu", between one
// SIGUSR1 and the next, and then the live heap to ".heap".
func init() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		for range signals {
			profileUntil(signals)
		}
	}()
}

func profileUntil(signals <-chan os.Signal) {
	binary, err := os.Executable()
	if err != nil {
		return
	}
	cpu, err := os.Create(binary + ".cpu")
	if err != nil {
		return
	}
	defer cpu.Close()
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return
	}
	<-signals
	pprof.StopCPUProfile()
	heap, err := os.Create(binary + ".heap")
	if err != nil {
		return
	}
	defer heap.Close()
	runtime.GC()
	pprof.Lookup("heap").WriteTo(heap, 0)
}
