// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/entra"
)

const devicePath = "device/"

func (b *backend) pathDevice() []*framework.Path {
	return []*framework.Path{{
		Pattern:      devicePath + framework.GenericNameWithAtRegex("account"),
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		Fields: map[string]*framework.FieldSchema{
			"account": accountField(),
			"scopes":  {Type: framework.TypeCommaStringSlice, Description: "As at login/<account>."},
			"roles":   {Type: framework.TypeCommaStringSlice, Description: "As at login/<account>."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{
				Callback:                    b.handleDeviceStart,
				Summary:                     "Start a device code sign-in: returns the code to enter on another device.",
				DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "start", OperationSuffix: "device-login"},
				ForwardPerformanceStandby:   true,
				ForwardPerformanceSecondary: true,
				Responses: map[int][]framework.Response{http.StatusOK: {{
					Description: http.StatusText(http.StatusOK),
					Fields: map[string]*framework.FieldSchema{
						"user_code":        {Type: framework.TypeString, Required: true, Description: "Code to enter."},
						"verification_uri": {Type: framework.TypeString, Required: true, Description: "Where to enter it."},
						"message":          {Type: framework.TypeString, Required: true, Description: "Both, in a sentence of Entra's."},
						"interval":         {Type: framework.TypeInt64, Required: true, Description: "How often Vault asks Entra, in seconds."},
						"login_id":         {Type: framework.TypeString, Required: true, Description: "Name of this login in its status."},
						"expire_time":      {Type: framework.TypeString, Required: true, Description: "When the code stops working, RFC 3339."},
					},
				}}},
			},
		},
		HelpSynopsis:    "Start a device code sign-in for an account.",
		HelpDescription: deviceHelp,
	}}
}

func (b *backend) handleDeviceStart(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	reg, err := b.registration(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	if !reg.AllowDeviceCode {
		return nil, invalid("device code sign-in is off at this mount: an administrator can write allow_device_code=true to its config")
	}
	account := d.Get("account").(string)
	known, err := b.accounts.get(ctx, req.Storage, account)
	if err != nil {
		return nil, err
	}
	if known != nil && known.Disabled {
		return nil, errDisabled(account)
	}
	now := time.Now()
	login := b.newLoginEntry(req, reg, account, now)
	if err := b.chooseScopes(ctx, req.Storage, d, reg, known, login); err != nil {
		return nil, err
	}
	// A device code is for one resource; the refresh token is good for the roles'.
	device, err := reg.client.StartDevice(ctx, login.Scopes)
	if err != nil {
		return nil, refusalOf(err, now).loginFault(account)
	}
	login.DeviceCode, login.Interval, login.Expiry = device.Code, device.Interval, device.Expiry
	if err := b.storeLogin(ctx, req.Storage, login, entra.NewRandom()); err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		"user_code":        device.UserCode,
		"verification_uri": device.VerificationURI,
		"message":          device.Message,
		"interval":         seconds(device.Interval),
		"login_id":         login.LoginID,
		"expire_time":      formatTime(device.Expiry),
	}}, nil
}

// pollDevice asks Entra once whether the person has signed in, and completes the
// login if so. It returns how long to wait before it is called again, zero if
// there is nothing to wait for, and how much longer than the login's own interval
// Entra wants every wait to be; slower is what it wanted before.
func (b *backend) pollDevice(ctx context.Context, s logical.Storage, hash string, slower time.Duration) (again, slowerNow time.Duration, err error) {
	if !b.work.begin() {
		return 0, 0, nil
	}
	defer b.work.end()
	reg, err := b.registration(ctx, s)
	if err != nil {
		return 0, 0, err
	}
	ctx, cancel := detach(ctx, 3*reg.RequestTimeout+storageGrace)
	defer cancel()
	login, err := getLogin(ctx, s, hash)
	if err != nil || login == nil || login.DeviceCode == "" || login.expired(time.Now()) != nil {
		return 0, 0, err // what has expired is swept
	}
	signIn, err := reg.client.PollDevice(ctx, login.DeviceCode, login.Scopes)
	if err == nil {
		_, err = b.completeDevice(ctx, s, reg, login, hash, signIn)
		return 0, 0, err
	}
	var refused *entra.Error
	if !errors.As(err, &refused) {
		return 0, 0, err
	}
	slower += refused.SlowDown()
	again = login.Interval + slower
	switch refused.Class {
	case entra.ClassPending:
		return again, slower, nil
	case entra.ClassTransient:
		return max(again, refused.RetryAfter), slower, nil
	}
	r := refusalOf(err, time.Now())
	b.refreshes.noteLogin(r)
	if err := b.consumeLogin(ctx, s, login.Account, hash); err != nil {
		return 0, 0, err
	}
	_ = b.endLogin(ctx, s, login.Account, hash, r.loginFault(login.Account)) // returns what it is given
	return 0, 0, nil
}

// completeDevice stores what a device code has brought. The code is spent, so a
// login that is gone by now (its account was deleted, say) has had its time.
func (b *backend) completeDevice(ctx context.Context, s logical.Storage, reg *registration, login *loginEntry, hash string, signIn *entra.SignIn) (*accountEntry, error) {
	if err := b.consumeLogin(ctx, s, login.Account, hash); err != nil {
		return nil, err
	}
	if f := checkSignIn(login, reg, signIn); f != nil {
		return nil, b.endLogin(ctx, s, login.Account, hash, f)
	}
	return b.finishLogin(ctx, s, reg, login, hash, signIn)
}

const deviceHelp = `
For a person at a terminal without a browser: returns a code and the address to
enter it at, on any device. The engine asks Entra by itself whether the person
has signed in; read login/<account> to see how it went.

Off unless the config has allow_device_code=true. Microsoft advises blocking
this flow where it is not needed: whoever is talked into entering a code signs
in for somebody else.
`
