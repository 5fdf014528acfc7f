// SPDX-License-Identifier: MPL-2.0

module github.com/jcmturner/gokrb5/v8

go 1.25.0
