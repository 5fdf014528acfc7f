// SPDX-License-Identifier: MPL-2.0

// Package spnego stands for Kerberos over HTTP.
package spnego

// HTTPHeaderAuthRequest is the header of a sign-in.
const HTTPHeaderAuthRequest = "Authorization"
