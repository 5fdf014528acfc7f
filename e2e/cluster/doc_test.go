// SPDX-License-Identifier: MPL-2.0

// Package cluster shows what accounts and logins survive: failover, storms, crashes, restarts and
// upgrades.
package cluster

// object is a JSON object.
type object = map[string]any
