// SPDX-License-Identifier: MPL-2.0

//go:build !unix

package main

import (
	"os"
	"strings"
)

// passedOn are the signals that must not end run before its child.
var passedOn = []os.Signal{os.Interrupt}

// sentToGroup is always so on Windows: a console sends Ctrl-C to every process that it has.
func sentToGroup(os.Signal) bool { return true }

// stateCode is the exit code of a child.
func stateCode(state *os.ProcessState) int { return state.ExitCode() }

// sameVariable compares names of the environment, whose case does not count here.
func sameVariable(a, b string) bool { return strings.EqualFold(a, b) }
