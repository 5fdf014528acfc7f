// SPDX-License-Identifier: MPL-2.0

package login

import (
	"fmt"
	"io"
	"os"
	"time"
)

// spin shows a person that something is waited for, until the function that it returns is called.
// Where out is no terminal it is one line.
func spin(out io.Writer) (stop func()) {
	if !isTerminal(out) {
		fmt.Fprintln(out, "Waiting for the sign-in.")
		return func() {}
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(150 * time.Millisecond)
		defer tick.Stop()
		for turn := 0; ; turn++ {
			fmt.Fprintf(out, "\r%c Waiting for the sign-in ", `|/-\`[turn%4])
			select {
			case <-end:
				fmt.Fprint(out, "\r\033[K")
				return
			case <-tick.C:
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// isTerminal reports whether a person sees what is written.
func isTerminal(out io.Writer) bool {
	file, isFile := out.(*os.File)
	if !isFile {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
