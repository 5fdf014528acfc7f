// SPDX-License-Identifier: MPL-2.0

package main

import (
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// profiled does nothing without -profile. With it, it runs do, and takes a CPU
// profile of the plugin meanwhile and its live heap afterwards. The plugin is
// built for that: see profile.go beside the engine's backend.
func (b *bench) profiled(plugin string, do func() error) error {
	if b.profiles == "" {
		return nil
	}
	binary := filepath.Join(b.vault.plugins, plugin)
	pid, err := pluginProcess(binary)
	if err != nil {
		return err
	}
	b.doing("profile %s", plugin)
	if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
		return err
	}
	time.Sleep(2 * time.Second) // it writes them now
	for _, kind := range []string{".cpu", ".heap"} {
		content, err := os.ReadFile(binary + kind)
		if err != nil {
			return err
		}
		to := filepath.Join(b.profiles, plugin+kind)
		if err := os.WriteFile(to, content, 0o644); err != nil {
			return err
		}
		b.doing("%s: go tool pprof -top %s", kind[1:], to)
	}
	return nil
}

// profileReads profiles reads of fresh tokens.
func (b *bench) profileReads(plugin string, requests [][]byte) error {
	return b.profiled(plugin, func() error {
		_, err := load(b.vault.addr, requests, manyConnections, 5*time.Second)
		return err
	})
}
