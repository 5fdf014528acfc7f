// SPDX-License-Identifier: MPL-2.0

// Package signin brings people's sign-ins to their accounts: from authorization URL
// to stored account, by browser, by device code, or by import.
package signin

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/hashicorp/go-hclog"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/config"
	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/lifecycle"
	"vault-plugin-secrets-entra/internal/problem"
)

// putAttempts is how often a sign-in is written before it is given up: its code is
// spent, and its tokens exist nowhere else.
const putAttempts = 4

// SignIns are the sign-ins of a mount.
type SignIns struct {
	// ClientRefused is called when Entra refuses the client at a sign-in.
	ClientRefused func(failure *account.RefreshError, generation uint64)

	config   *config.Store
	accounts *account.Store
	logins   *account.Logins
	work     *lifecycle.Work
	log      hclog.Logger
	sweeper  *sweeper
	devices  *devices
}

// New returns the sign-ins of a mount.
func New(conf *config.Store, accounts *account.Store, work *lifecycle.Work, log hclog.Logger) *SignIns {
	return &SignIns{
		ClientRefused: func(*account.RefreshError, uint64) {},
		config:        conf,
		accounts:      accounts,
		logins:        accounts.Logins,
		work:          work,
		log:           log,
		sweeper:       newSweeper(),
		devices:       newDevices(),
	}
}

// Request is what somebody asks a sign-in for.
type Request struct {
	Account     string
	Scopes      []string // of the default token, kept on the account
	ScopesNamed bool     // by the request; no Scopes then go back to the config's
	Roles       []string // to consent to in the same sign-in
	RolesNamed  bool
	RequestedBy account.Requester
}

// visit is somebody at work on one account's sign-in: it has what every way in needs.
type visit struct {
	reg   *config.Registration
	known *account.Entry // as it was at the start, nil for a new one
	leave func()
}

// enter is the one door of every way in. It checks that the mount is configured, that
// the account is not disabled and that the backend is not stopping. The context that
// it returns outlives the caller: a spent code must not be lost. The caller calls
// leave exactly once if err is nil.
func (s *SignIns) enter(ctx context.Context, name string, reg *config.Registration) (context.Context, *visit, error) {
	if !s.work.Begin() {
		return nil, nil, lifecycle.ErrStopping
	}
	ctx, v, err := s.visit(ctx, name, reg)
	if err != nil {
		s.work.End()
		return nil, nil, err
	}
	return ctx, v, nil
}

func (s *SignIns) visit(ctx context.Context, name string, reg *config.Registration) (context.Context, *visit, error) {
	if reg == nil {
		var err error
		if reg, err = s.config.Registration(ctx); err != nil {
			return nil, nil, err
		}
	}
	known, err := s.accounts.Get(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	if known != nil && known.Disabled {
		return nil, nil, problem.Disabled(name)
	}
	// Discovery, keys and the code itself, and then storage.
	ctx, cancel := lifecycle.Detach(ctx, 3*reg.RequestTimeout+lifecycle.StorageGrace)
	return ctx, &visit{reg: reg, known: known, leave: func() {
		cancel()
		s.work.End()
	}}, nil
}

// begin stores a new login and notes it on its account, which begins with its first
// login. The login goes first: an account never lists one that is not there.
func (s *SignIns) begin(ctx context.Context, login *account.Login) error {
	s.sweeper.add(login)
	defer s.sweeper.add(login) // this node may have lost the right to write, and got it back
	var evicted []string
	_, err := s.accounts.Update(ctx, login.Account, func(e *account.Entry) (*account.Entry, error) {
		now := time.Now()
		if e == nil {
			e = account.NewEntry(now)
		}
		if e.Disabled {
			return nil, problem.Disabled(login.Account)
		}
		login.Incarnation = e.Incarnation
		if err := s.logins.Write(ctx, login); err != nil {
			return nil, err
		}
		evicted = e.BeginLogin(login, now)
		return e, nil
	})
	if err != nil {
		if undo := s.logins.Delete(ctx, login.Hash()); undo != nil {
			s.log.Warn("a login that was never handed out stays until it expires",
				"account", login.Account, "error", undo)
		}
		return err
	}
	for _, old := range evicted {
		if err := s.logins.Delete(ctx, old); err != nil {
			s.log.Warn("an evicted login stays until it expires",
				"account", login.Account, "error", err)
		}
	}
	return nil
}

// consume deletes a login before its code is redeemed, under the account's lock: of
// two callbacks with one state, one finds it gone.
func (s *SignIns) consume(ctx context.Context, login *account.Login) error {
	_, err := s.accounts.Update(ctx, login.Account, func(e *account.Entry) (*account.Entry, error) {
		stored, err := s.logins.Get(ctx, login.Hash())
		switch {
		case err != nil:
			return nil, err
		case stored == nil || e == nil || !e.Awaits(login):
			return nil, e.UsedLogin(login, time.Now())
		}
		if err := s.logins.Delete(ctx, login.Hash()); err != nil {
			return nil, err
		}
		e.DropPending(login)
		return e, nil
	})
	return err
}

// finish stores what a login has brought and notes that it succeeded. Whatever fails,
// a credential that the account has already stays untouched.
func (s *SignIns) finish(ctx context.Context, reg *config.Registration, login *account.Login, signIn *entra.SignIn) (*account.Entry, error) {
	if p := login.Mismatch(reg.Entry); p != nil {
		return nil, s.end(ctx, login, p)
	}
	if signIn.Tokens.RefreshToken == "" {
		p := problem.FailedLogin("Entra gave no refresh token for account %q: the scope offline_access "+
			"was not granted; an administrator may have to consent to it, some providers want "+
			"authorize_params=prompt=consent", login.Account)
		p.Command = problem.LoginCommand(login.Account)
		return nil, s.end(ctx, login, p)
	}
	e, err := s.store(ctx, login.Account, func(e *account.Entry, now time.Time) (*account.Entry, error) {
		if e == nil || e.Incarnation != login.Incarnation {
			return nil, problem.FailedLogin("account %q was deleted meanwhile", login.Account)
		}
		if login.DeviceCode != "" && !e.Awaits(login) { // other logins were consumed before
			return nil, e.UsedLogin(login, now)
		}
		if p := e.CheckUser(login.Account, signIn.User, reg.Entry); p != nil {
			return nil, p
		}
		e.SignIn(signIn, login.Scopes, reg.Entry, login.ClientAuth, now)
		e.Scopes, e.Roles = login.KeptScopes, login.Roles
		e.LoginRequestedBy = login.RequestedBy.String()
		e.EndLogin(login, account.LoginOutcome{
			Status:   account.LoginSucceeded,
			Username: signIn.User.Username,
		}, now)
		return e, nil
	})
	if err != nil {
		return nil, s.end(ctx, login, err)
	}
	s.log.Info("login succeeded", "account", login.Account)
	return e, nil
}

// store puts a verified sign-in on its account, as one generation however often it is written:
// a write that failed may have happened, and its refresh token may be in use already. Every way
// in ends here. put gets the account's entry, nil if there is none, and decides.
func (s *SignIns) store(ctx context.Context, name string, put func(*account.Entry, time.Time) (*account.Entry, error)) (*account.Entry, error) {
	generation := rand.Text()
	for attempt := 1; ; attempt++ {
		e, err := s.accounts.Update(ctx, name, func(e *account.Entry) (*account.Entry, error) {
			switch {
			case e != nil && e.Disabled:
				return nil, problem.Disabled(name)
			case e != nil && e.Generation == generation:
				return e, nil
			}
			e, err := put(e, time.Now())
			if err == nil {
				e.Generation = generation
			}
			return e, err
		})
		if !problem.Internal(err) || attempt == putAttempts {
			return e, err
		}
		s.work.Sleep(ctx, time.Duration(attempt)*200*time.Millisecond)
	}
}

// end notes on the account why its login failed, and returns that reason.
func (s *SignIns) end(ctx context.Context, login *account.Login, reason error) error {
	outcome := account.LoginOutcome{
		Status:  account.LoginFailed,
		Code:    problem.LoginFailed,
		Message: "Vault could not store the sign-in",
	}
	if p := problem.Of(reason); p != nil {
		outcome.Code, outcome.Message, outcome.EntraCode = p.Code, p.Text, p.EntraCode
		outcome.Claims = p.Claims
	}
	_, err := s.accounts.Update(ctx, login.Account, func(e *account.Entry) (*account.Entry, error) {
		if e == nil || e.Incarnation != login.Incarnation {
			return nil, account.ErrNoChange
		}
		e.EndLogin(login, outcome, time.Now())
		return e, nil
	})
	if err != nil {
		s.log.Warn("a login's failure could not be noted", "account", login.Account, "error", err)
	}
	s.log.Info("login failed", "account", login.Account, "word", outcome.Code, "code", outcome.EntraCode)
	return reason
}

// refused is the answer to a sign-in that Entra refuses.
func (s *SignIns) refused(name string, reg *config.Registration, err error) *problem.Error {
	failure, _ := account.NewRefreshError(err, time.Now())
	if failure.Class == entra.ClassClient {
		s.ClientRefused(failure, reg.Generation)
	}
	return failure.LoginProblem(name)
}
