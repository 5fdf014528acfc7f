// SPDX-License-Identifier: MPL-2.0

package login

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

// byPaste prints the address and reads where it led to: for a browser on
// another machine, where nothing listens on its loopback.
func (s *signIn) byPaste(ctx context.Context) (*Result, error) {
	login, err := s.start(ctx, "login", s.loginFields(s.RedirectURI, "query"))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(s.messages, "Open this address in any browser and sign in:\n\n%s\n\n"+
		"The browser ends at an address that it cannot open. Copy the whole of it and paste it "+
		"here:\n", vaultclient.Text(login, "auth_url"))
	defer longLines(s.in)()
	pasted := make(chan string, 1)
	go func() { pasted <- readLine(s.in) }()
	wait, cancel := untilExpiry(ctx, vaultclient.Text(login, "expire_time"))
	defer cancel()
	select {
	case <-wait.Done():
		if ctx.Err() == nil {
			return nil, refused("nothing was pasted before the sign-in expired")
		}
		return nil, ctx.Err()
	case line := <-pasted:
		if line == "" {
			return nil, errors.New("nothing was pasted")
		}
		return s.handOver(ctx, map[string]any{"url": line})
	}
}

// What a person's keys send in a terminal that does not edit the line itself.
const (
	keyEnd       = 0x04 // Ctrl-D
	keyBackspace = '\b'
	keyErase     = 0x15 // Ctrl-U
	keyDelete    = 0x7f
)

// readLine reads up to the end of the line and corrects what was taken back on the way.
func readLine(in io.Reader) string {
	reader := bufio.NewReader(in)
	var line []byte
	for len(line) < maxAnswer {
		key, err := reader.ReadByte()
		if err != nil || key == '\n' || key == '\r' || key == keyEnd {
			break
		}
		switch key {
		case keyDelete, keyBackspace:
			line = line[:max(0, len(line)-1)]
		case keyErase:
			line = line[:0]
		default:
			line = append(line, key)
		}
	}
	return strings.TrimSpace(string(line))
}

// longLines lets a terminal hand over lines of any length until the function that it returns is
// called: left to itself it cuts them, at 1,024 bytes on macOS, and an address with a code is
// longer. What is not a terminal stays as it is.
func longLines(in io.Reader) (restore func()) {
	if file, isFile := in.(*os.File); isFile {
		return withoutLineEditing(file)
	}
	return func() {}
}
