// SPDX-License-Identifier: MPL-2.0

package main

import (
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
)

// rememberedSystem answers from memory what the framework asks on every request:
// the replication state, and whether the mount is local. Asking Vault is a round
// trip each time.
//
// LocalMount and the performance standby bit are fixed for the life of an
// instance; the secondary and DR bits can change, so renew is called at
// initialisation, once a minute, and before anything that calls Entra.
type rememberedSystem struct {
	logical.SystemView
	state atomic.Uint32 // 0: not known. A failed round trip answers 0, too.
	local atomic.Bool   // counts where state is known
}

// ReplicationState implements logical.SystemView.
func (s *rememberedSystem) ReplicationState() consts.ReplicationState {
	if state := s.state.Load(); state != 0 {
		return consts.ReplicationState(state)
	}
	return s.renew()
}

// LocalMount implements logical.SystemView.
func (s *rememberedSystem) LocalMount() bool {
	if s.state.Load() != 0 {
		return s.local.Load()
	}
	return s.SystemView.LocalMount()
}

// renew asks Vault. An answer of 0 is not remembered: it reads as "may write".
func (s *rememberedSystem) renew() consts.ReplicationState {
	state := s.SystemView.ReplicationState()
	if state != 0 && s.state.Load() == 0 {
		s.local.Store(s.SystemView.LocalMount())
	}
	s.state.Store(uint32(state))
	return state
}

// mayWrite asks Vault whether this node may write, now.
func (b *backend) mayWrite() bool {
	b.system.renew()
	return b.WriteSafeReplicationState()
}
