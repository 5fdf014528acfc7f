// SPDX-License-Identifier: MPL-2.0

package login

import (
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

// openTerminal is a pseudo-terminal: what is written to the person's end is read from the other.
func openTerminal(t *testing.T) (person, terminal *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { _ = person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return person, terminal
}

// TestPasteIntoATerminal checks that an address is read whole which is longer than a terminal's
// line (4,096 bytes here, 1,024 on macOS), that corrections count, and that the terminal is left as
// it was.
func TestPasteIntoATerminal(t *testing.T) {
	person, terminal := openTerminal(t)
	before, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	v := newFakeVault(t)
	long := "http://localhost/callback?code=" + strings.Repeat("c", 6000) + "&state=the-state"
	asked := make(chan struct{})
	go func() {
		<-asked
		text := long[:100] + "typo\x7f\x7f\x7f\x7f" + long[100:] + "\r"
		for len(text) > 0 { // as a terminal takes a paste, in pieces
			n := min(len(text), 512)
			_, _ = io.WriteString(person, text[:n])
			text = text[n:]
			time.Sleep(5 * time.Millisecond)
		}
	}()
	go func() { _, _ = io.Copy(io.Discard, person) }() // what the terminal shows
	out := &afterPrompt{asked: asked}
	vault, err := vaultclient.New()
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{Account: "alice", Mount: "entra", RedirectURI: DefaultRedirectURI, Paste: true}
	if _, err := Run(t.Context(), vault, opts, terminal, out); err != nil {
		t.Fatalf("%v %s", err, out.String())
	}
	if got, _ := v.fields("callback/alice")["url"].(string); got != long {
		t.Errorf("read %d bytes of %d", len(got), len(long))
	}
	after, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal was left as %+v, %v", after, err)
	}
}

// TestSpinner checks that a terminal shows that something is waited for, and that its line is empty
// afterwards; anything else gets one line.
func TestSpinner(t *testing.T) {
	person, terminal := openTerminal(t)
	stop := spin(terminal)
	seen := make([]byte, 200)
	var shown string
	for !strings.Contains(shown, "/ Waiting for the sign-in") { // the second turn
		n, err := person.Read(seen)
		if err != nil {
			t.Fatal(err)
		}
		shown += string(seen[:n])
	}
	stop()
	for !strings.HasSuffix(shown, "\r\033[K") {
		n, err := person.Read(seen)
		if err != nil {
			t.Fatal(err)
		}
		shown += string(seen[:n])
	}
	var out strings.Builder
	spin(&out)()
	if out.String() != "Waiting for the sign-in.\n" {
		t.Errorf("no terminal is told %q", out.String())
	}
}

// afterPrompt tells when the command has asked for the address.
type afterPrompt struct {
	strings.Builder
	asked chan struct{}
}

func (a *afterPrompt) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "paste it") {
		time.AfterFunc(100*time.Millisecond, func() { close(a.asked) }) // until it reads
	}
	return a.Builder.Write(p)
}
