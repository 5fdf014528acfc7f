// SPDX-License-Identifier: MPL-2.0

//go:build unix

package main

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"
)

// TestSignals checks that each signal is passed on to the child, whose code counts.
func TestSignals(t *testing.T) {
	vaultWithTokens(t)
	for _, s := range []syscall.Signal{
		syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1,
	} {
		cmd := runs(t, "signalled", asCI, nil)
		// In a session of its own there is no terminal whose keys the child would get, too.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		out := started(t, cmd)
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		out.wants(t, fmt.Sprint("got ", s))
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 42 {
			t.Errorf("%s: it ended with %d", s, code)
		}
	}
}

// TestChildKilled checks that a child which a signal ended is told by 128 and its number.
func TestChildKilled(t *testing.T) {
	vaultWithTokens(t)
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGHUP} {
		code, out, said := ends(t, runs(t, "killed", asCI, []string{strconv.Itoa(int(s))}))
		if code != 128+int(s) {
			t.Errorf("%s: %d %s%s", s, code, out, said)
		}
	}
}
