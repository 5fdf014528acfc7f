// SPDX-License-Identifier: MPL-2.0

// Package nodestatus stands for what a link tells of its node.
package nodestatus

import (
	"context"

	"google.golang.org/protobuf/proto"
)

// Reporter tells a node's status.
type Reporter interface {
	GetNodeStatus(context.Context) (NodeStatus, error)
}

// NodeStatus is a node's status.
type NodeStatus struct {
	StatusVersion uint32
	Status        proto.Message
}
