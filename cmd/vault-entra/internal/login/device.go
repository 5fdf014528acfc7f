// SPDX-License-Identifier: MPL-2.0

package login

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/hashicorp/vault/api"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

// byDevice shows a code to enter elsewhere. Vault asks Entra, at Entra's
// pace; this asks Vault.
func (s *signIn) byDevice(ctx context.Context) (*Result, error) {
	device, err := s.startDevice(ctx, s.roleFields())
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(s.messages, "On any device, open\n\n    %s\n\nand enter the code\n\n    %s\n\n",
		vaultclient.Text(device, "verification_uri"), vaultclient.Text(device, "user_code"))
	wait, cancel := untilExpiry(ctx, vaultclient.Text(device, "expire_time"))
	defer cancel()
	spin := newSpinner(s.messages)
	defer spin.stop()
	for {
		if !spin.wait(wait, interval(device)) {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, refused("nobody entered the code before it expired")
		}
		login, err := s.vault.Read(ctx, s.path("login"))
		if err != nil {
			return nil, err
		}
		switch status := vaultclient.Text(login, "status"); {
		case vaultclient.Text(login, "login_id") != vaultclient.Text(device, "login_id"):
			return nil, refused("another sign-in of this account was started meanwhile")
		case status == "succeeded":
			return &Result{
				Account: s.Account, Username: vaultclient.Text(login, "username"),
			}, nil
		case status == "expired":
			return nil, refused("nobody entered the code before it expired")
		case status != "pending":
			return nil, refused(vaultclient.Text(login, "error"))
		}
	}
}

// interval is how often Vault asks Entra: asking Vault more often tells nothing.
func interval(device *api.Secret) time.Duration {
	number, _ := device.Data["interval"].(json.Number)
	seconds, err := number.Int64()
	if err != nil || seconds < 1 {
		seconds = 5
	}
	return time.Duration(seconds) * time.Second
}

// spinner shows a person that something is waited for.
type spinner struct {
	out      io.Writer
	terminal bool
	turn     int
}

func newSpinner(out io.Writer) *spinner {
	s := &spinner{out: out}
	if file, ok := out.(*os.File); ok {
		info, err := file.Stat()
		s.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	if !s.terminal {
		fmt.Fprintln(out, "Waiting for the sign-in.")
	}
	return s
}

// wait lets time pass; it reports whether all of it did.
func (s *spinner) wait(ctx context.Context, d time.Duration) bool {
	over := time.NewTimer(d)
	defer over.Stop()
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-over.C:
			return true
		case <-tick.C:
			if s.terminal {
				fmt.Fprintf(s.out, "\r%c Waiting for the sign-in ", `|/-\`[s.turn%4])
				s.turn++
			}
		}
	}
}

func (s *spinner) stop() {
	if s.terminal {
		fmt.Fprint(s.out, "\r\033[K")
	}
}
