// SPDX-License-Identifier: MPL-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server that the benchmark started.
type process struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
}

func startProcess(log string, env []string, name string, args ...string) (*process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the process has its own
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(cleanEnvironment(), env...)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log, ended: make(chan struct{})}
	go func() {
		cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// cleanEnvironment is the environment without what would change the servers or
// lead loopback requests elsewhere.
func cleanEnvironment() []string {
	var env []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		proxy := strings.HasSuffix(strings.ToLower(name), "_proxy")
		if !proxy && !strings.HasPrefix(name, "VAULT_") {
			env = append(env, entry)
		}
	}
	return env
}

// stop ends the process, by force after 10 s.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		p.cmd.Process.Kill()
		<-p.ended
	}
}

// await tries until ready succeeds, for at most limit, while the process lives.
func (p *process) await(limit time.Duration, ready func() error) error {
	for deadline := time.Now().Add(limit); ; {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			text, _ := os.ReadFile(p.log)
			end := text[max(0, len(text)-2000):]
			return fmt.Errorf("%s ended:\n%s", filepath.Base(p.cmd.Path), end)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not come up: %w", filepath.Base(p.cmd.Path), err)
		}
	}
}

// errNoProc says that memory and CPU time are read from /proc, which only Linux has.
var errNoProc = errors.New("not measured on this system: it has no /proc")

// pluginProcess finds the process that runs the plugin binary at path. Vault may
// have started it more than once, for a look at its metadata: the last counts.
func pluginProcess(path string) (pid int, err error) {
	entries, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil || len(entries) == 0 {
		return 0, errNoProc
	}
	latest := uint64(0)
	for _, entry := range entries {
		if target, err := os.Readlink(entry); err != nil || target != path {
			continue
		}
		p, err := strconv.Atoi(filepath.Base(filepath.Dir(entry)))
		if err != nil {
			continue
		}
		if fields, err := processStat(p); err == nil && fields[22-3] >= latest {
			pid, latest = p, fields[22-3] // starttime
		}
	}
	if pid == 0 {
		return 0, fmt.Errorf("no process runs %s", path)
	}
	return pid, nil
}

// processStat is /proc/PID/stat from its third field on, the state letter as 0
// (proc(5)). The second field, the name, may hold spaces.
func processStat(pid int) ([]uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 22 {
		return nil, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	values := make([]uint64, len(fields))
	for i, f := range fields {
		values[i], _ = strconv.ParseUint(f, 10, 64) // negative ones are not asked for
	}
	return values, nil
}

// cpuTime is what a process has used so far. The unit of /proc is USER_HZ, which
// is 100 on every platform that Go runs on.
func cpuTime(pid int) (time.Duration, error) {
	fields, err := processStat(pid)
	if err != nil {
		return 0, err
	}
	return time.Duration(fields[14-3]+fields[15-3]) * 10 * time.Millisecond, nil
}

// processMemory is a process's VmRSS, or its peak VmHWM, in MiB.
func processMemory(pid int, field string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, field+":"); found {
			kib, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no %s", pid, field)
}
