// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/hashicorp/vault/api"
)

// signInByDevice shows a code to enter elsewhere. Vault asks Entra, at Entra's
// pace; this asks Vault.
func signInByDevice(ctx context.Context, vault *vaultClient, opts *options,
	messages io.Writer) (*result, error) {
	fields := map[string]any{}
	if opts.roles != "" {
		fields["roles"] = opts.roles
	}
	device, err := vault.write(ctx, "device/"+opts.account, fields)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(messages, "On any device, open\n\n    %s\n\nand enter the code\n\n    %s\n\n",
		text(device, "verification_uri"), text(device, "user_code"))
	wait, cancel := untilExpiry(ctx, text(device, "expire_time"))
	defer cancel()
	spin := newSpinner(messages)
	defer spin.stop()
	for {
		if !spin.wait(wait, interval(device)) {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, refused{errors.New("nobody entered the code before it expired")}
		}
		login, err := vault.read(ctx, "login/"+opts.account)
		if err != nil {
			return nil, err
		}
		switch status := text(login, "status"); {
		case text(login, "login_id") != text(device, "login_id"):
			return nil, refused{errors.New("another sign-in of this account was started meanwhile")}
		case status == "succeeded":
			return &result{Account: opts.account, Username: text(login, "username")}, nil
		case status == "expired":
			return nil, refused{errors.New("nobody entered the code before it expired")}
		case status != "pending":
			return nil, refused{errors.New(text(login, "error"))}
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
