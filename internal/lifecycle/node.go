// SPDX-License-Identifier: MPL-2.0

package lifecycle

import (
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
)

// Node is the system view of one mount on one node. It answers from memory what
// the framework asks on every request: the replication state, and whether the
// mount is local. Asking Vault is a round trip each time.
//
// LocalMount and the performance standby bit are fixed for the life of an
// instance; the secondary and DR bits can change, so MayWrite asks again: at
// initialisation, once a minute, and before anything that calls Entra.
type Node struct {
	logical.SystemView
	state atomic.Uint32 // 0: not known. A failed round trip answers 0, too.
	local atomic.Bool   // counts where state is known
}

// ReplicationState implements logical.SystemView.
func (n *Node) ReplicationState() consts.ReplicationState {
	if state := n.state.Load(); state != 0 {
		return consts.ReplicationState(state)
	}
	return n.renew()
}

// LocalMount implements logical.SystemView.
func (n *Node) LocalMount() bool {
	if n.state.Load() != 0 {
		return n.local.Load()
	}
	return n.SystemView.LocalMount()
}

// renew asks Vault. An answer of 0 is not remembered: it reads as "may write".
func (n *Node) renew() consts.ReplicationState {
	state := n.SystemView.ReplicationState()
	if state != 0 && n.state.Load() == 0 {
		n.local.Store(n.SystemView.LocalMount())
	}
	n.state.Store(uint32(state))
	return state
}

// IsStandby asks Vault whether this node is a performance standby, now: one that registers
// no leases.
func (n *Node) IsStandby() bool {
	return n.renew().HasState(consts.ReplicationPerformanceStandby)
}

// MayWrite asks Vault whether this node may write, now. The rule is that of
// framework.Backend.WriteSafeReplicationState.
func (n *Node) MayWrite() bool {
	state := n.renew()
	if state.HasState(consts.ReplicationDRSecondary | consts.ReplicationPerformanceStandby) {
		return false
	}
	return n.LocalMount() || !state.HasState(consts.ReplicationPerformanceSecondary)
}
