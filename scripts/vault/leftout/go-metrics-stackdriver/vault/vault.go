// SPDX-License-Identifier: MPL-2.0

// Package vault stands for the names of Vault's metrics.
package vault

// What Vault hands to the sink.
var Extractor, Bucketer any
