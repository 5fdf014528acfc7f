// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

const devicePath = "device/"

func (b *backend) pathDevice() []*framework.Path {
	return []*framework.Path{path(
		devicePath+framework.GenericNameWithAtRegex("account"),
		map[string]*framework.FieldSchema{
			"account": accountField(),
			"scopes":  field(framework.TypeCommaStringSlice, "As at login/<account>."),
			"roles":   field(framework.TypeCommaStringSlice, "As at login/<account>."),
		},
		map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: forwarded(operation(b.handleDeviceStart, "start", "device-login",
				"Start a device code sign-in: returns the code to enter on another device.",
				answers(map[string]*framework.FieldSchema{
					"user_code":        answer(framework.TypeString, "Code to enter."),
					"verification_uri": answer(framework.TypeString, "Where to enter it."),
					"verification_uri_complete": answer(framework.TypeString, "Where, with the code in it; "+
						"empty where the provider offers none."),
					"message":     answer(framework.TypeString, "Both, in a sentence of Entra's."),
					"interval":    answer(framework.TypeInt64, "How often Vault asks Entra, in seconds."),
					"login_id":    answer(framework.TypeString, "Name of this login in its status."),
					"expire_time": answer(framework.TypeString, "When the code stops working, RFC 3339."),
				}))),
		},
		"Start a device code sign-in for an account.", deviceHelp)}
}

func (b *backend) handleDeviceStart(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	login, device, err := b.signIns.StartDevice(ctx, b.signInRequest(req, d))
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		"user_code":        device.UserCode,
		"verification_uri": device.VerificationURI,
		"message":          device.Message,

		"verification_uri_complete": device.VerificationURIComplete,
		"interval":                  seconds(device.Interval),
		"login_id":                  login.LoginID,
		"expire_time":               formatTime(device.Expiry),
	}}, nil
}

const deviceHelp = `
For a person at a terminal without a browser: returns a code and the address to
enter it at, on any device. The engine asks Entra by itself whether the person
has signed in; read login/<account> to see how it went.

Off unless the config has allow_device_code=true. Microsoft advises blocking
this flow where it is not needed: whoever is talked into entering a code signs
in for somebody else.
`
