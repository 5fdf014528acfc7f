// SPDX-License-Identifier: MPL-2.0

module google.golang.org/api

go 1.25.0

require (
	golang.org/x/oauth2 v0.31.0
)
