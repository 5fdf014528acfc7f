// SPDX-License-Identifier: MPL-2.0

package signin

import (
	"context"
	"errors"
	"sync"
	"time"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/problem"
)

const (
	// maxPolling is how many device codes are polled at once.
	maxPolling = 8

	// storageRetry is how long what storage interrupted waits.
	storageRetry = 5 * time.Second
)

// devices are the device codes that wait for a person, each with a loop of its own.
type devices struct {
	slots chan struct{} // one is held while a code is polled

	mu      sync.Mutex // guards the map
	polling map[string]bool
}

func newDevices() *devices {
	return &devices{slots: make(chan struct{}, maxPolling), polling: map[string]bool{}}
}

// StartDevice begins a sign-in by device code (RFC 8628) and polls for it.
func (s *SignIns) StartDevice(ctx context.Context, req Request) (*account.Login, *entra.DeviceCode, error) {
	ctx, v, err := s.enter(ctx, req.Account, nil)
	if err != nil {
		return nil, nil, err
	}
	defer v.leave()
	if !v.reg.AllowDeviceCode {
		return nil, nil, problem.Invalid("device code sign-in is off at this mount: " +
			"an administrator can write allow_device_code=true to its config")
	}
	login, _ := account.NewLogin(req.Account, req.RequestedBy, v.reg.Entry, time.Now())
	if _, err := s.chooseScopes(ctx, req, v, login); err != nil {
		return nil, nil, err
	}
	login.ClientAuth = account.WithoutCredential // device codes are a public client's
	// A device code is for one resource; the refresh token is good for the roles'.
	device, err := account.Client(v.reg, login.ClientAuth).StartDevice(ctx, login.Scopes)
	if err != nil {
		failure, _ := account.NewRefreshError(err, time.Now())
		return nil, nil, failure.LoginProblem(req.Account)
	}
	login.DeviceCode, login.Interval, login.Expiry = device.Code, device.Interval, device.Expiry
	if err := s.begin(ctx, login); err != nil {
		return nil, nil, err
	}
	s.follow(login)
	return login, device, nil
}

// follow polls one device code until it has come to an end, the backend stops, or
// this node may not write any more. A code that is followed already is left alone.
func (s *SignIns) follow(login *account.Login) {
	d, hash := s.devices, login.Hash()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.polling[hash] {
		return
	}
	d.polling[hash] = true
	s.work.Go(func() {
		defer func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			delete(d.polling, hash)
		}()
		s.pollLoop(hash, login.Interval)
	})
}

func (s *SignIns) pollLoop(hash string, interval time.Duration) {
	ctx := context.Background()
	for wait := interval; s.work.Sleep(ctx, wait); {
		if !s.sweeper.active.Load() {
			return // the node that may write polls; Resume begins again
		}
		s.devices.slots <- struct{}{}
		slower, retryAfter, err := s.poll(ctx, hash)
		<-s.devices.slots
		switch {
		case problem.Internal(err) && s.work.Stopping():
			return
		case problem.Internal(err):
			s.log.Warn("a device code could not be polled, it is tried again", "error", err)
			wait = storageRetry
		case err != nil:
			return
		default:
			interval += slower
			wait = max(interval, retryAfter)
		}
	}
}

// errFinished ends a loop: the login is over.
var errFinished = problem.FailedLogin("the login is over")

// poll asks Entra once whether the person has signed in, and completes the login if
// so. Any problem means that there is nothing more to wait for. slower is how much
// longer Entra wants every wait to be from now on, retryAfter how long the next.
func (s *SignIns) poll(ctx context.Context, hash string) (slower, retryAfter time.Duration, err error) {
	login, err := s.logins.Get(ctx, hash)
	if err != nil {
		return 0, 0, err
	}
	if login == nil || login.Expired(time.Now()) != nil {
		return 0, 0, errFinished // what has expired is swept
	}
	ctx, v, err := s.enter(ctx, login.Account, nil)
	if problem.Internal(err) {
		return 0, 0, err
	}
	if err != nil { // the account may be enabled again, or the config written
		return 0, storageRetry, nil
	}
	defer v.leave()
	signIn, err := account.Client(v.reg, login.ClientAuth).PollDevice(ctx, login.DeviceCode, login.Scopes)
	if err == nil {
		// The code is spent, so the login ends with the write that stores what it has brought.
		_, err = s.finish(ctx, v.reg, login, signIn)
		if undeleted := s.logins.Delete(ctx, hash); undeleted != nil {
			s.log.Warn("a login that is over stays until it expires",
				"account", login.Account, "error", undeleted)
		}
		return 0, 0, errors.Join(errFinished, err)
	}
	var refused *entra.Error
	if !errors.As(err, &refused) {
		return 0, 0, err
	}
	switch refused.Class {
	case entra.ClassPending, entra.ClassTransient:
		return refused.SlowDown(), refused.RetryAfter, nil
	}
	if gone := s.consume(ctx, login); gone != nil {
		return 0, 0, gone
	}
	return 0, 0, s.end(ctx, login, s.refused(login.Account, v.reg, err))
}
