// SPDX-License-Identifier: MPL-2.0

package login

import (
	"context"
	"encoding/json"
	"fmt"
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
	defer spin(s.messages)()
	for {
		select {
		case <-wait.Done():
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, refused("nobody entered the code before it expired")
		case <-time.After(interval(device)):
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
