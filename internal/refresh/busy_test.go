// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// TestPatience: Vault's own client repeats what fails and bounds all its attempts together. Its
// user is told when to come back, not that a deadline was exceeded.
func TestPatience(t *testing.T) {
	client := api.DefaultConfig()
	if client.Error != nil || client.Timeout == 0 || client.MaxRetries == 0 {
		t.Fatalf("the client's defaults: %+v", client)
	}
	retries := time.Duration(client.MaxRetries)
	longest := (retries+1)*patience + retries*client.MaxRetryWait
	if longest >= client.Timeout {
		t.Errorf("%d attempts take up to %s, and the client gives up after %s",
			retries+1, longest, client.Timeout)
	}
}
