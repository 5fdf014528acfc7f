// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/entra"
)

// putAttempts is how often a sign-in is written before it is given up: its code
// is spent, and its tokens exist nowhere else.
const putAttempts = 4

// authorizationResponse is what Entra sends back with the browser (RFC 6749
// section 4.1.2, RFC 9207).
type authorizationResponse struct {
	code             entra.Secret
	state            string
	issuer           string
	errorCode        string
	errorDescription string
	errorSubcode     string
}

// check refuses what no authorization server sends.
func (r *authorizationResponse) check() *fault {
	switch {
	case r.state == "":
		return invalid("state: is required")
	case r.code == "" && r.errorCode == "":
		return invalid("code: is required")
	case r.code != "" && r.errorCode != "":
		return invalid("code: does not go with error")
	}
	return nil
}

// unknownState answers a state that no login waits for. It shows nothing of the
// request.
func unknownState() *fault {
	f := failedLogin("unknown state: the login was used already, was replaced by newer ones, or never began here")
	f.unknownState = true
	return f
}

// expired is the answer to a callback that comes too late, nil if it is in time.
func (l *loginEntry) expired(now time.Time) *fault {
	if now.Before(l.Expiry) {
		return nil
	}
	f := failedLogin("the login for account %q expired at %s", l.Account, formatTime(l.Expiry))
	f.expired = true
	f.next = loginCommand(l.Account)
	return f
}

// completeLogin redeems the code of a login, once. What comes of it is noted on
// the account; whatever fails, a credential it has already stays untouched.
func (b *backend) completeLogin(ctx context.Context, s logical.Storage, login *loginEntry, resp *authorizationResponse) (*accountEntry, error) {
	if !b.work.begin() {
		return nil, errStopping
	}
	defer b.work.end()
	reg, err := b.registration(ctx, s)
	if err != nil {
		return nil, err
	}
	ctx, cancel := detach(ctx, 3*reg.RequestTimeout+storageGrace) // discovery, keys, code
	defer cancel()

	hash := stateHash(resp.state)
	if err := b.consumeLogin(ctx, s, login.Account, hash); err != nil {
		return nil, err
	}
	signIn, err := b.redeem(ctx, reg, login, resp)
	if err != nil {
		return nil, b.endLogin(ctx, s, login.Account, hash, err)
	}
	return b.finishLogin(ctx, s, reg, login, hash, signIn)
}

// finishLogin stores what a login has brought and notes that it succeeded.
func (b *backend) finishLogin(ctx context.Context, s logical.Storage, reg *registration, login *loginEntry, hash string, signIn *entra.SignIn) (*accountEntry, error) {
	e, err := b.storeSignIn(ctx, s, reg, login.Account, false, signIn, login.Scopes, func(e *accountEntry, now time.Time) {
		e.Scopes, e.Roles = login.KeptScopes, login.Roles
		e.LoginRequestedBy = login.RequestedBy.String()
		e.endLogin(hash, &loginOutcome{Status: loginSucceeded, Username: signIn.User.Username}, now)
	})
	if err != nil {
		return nil, b.endLogin(ctx, s, login.Account, hash, err)
	}
	b.refreshes.forgetAccount(login.Account)
	b.Logger().Info("login succeeded", "account", login.Account)
	b.sendAccountEvent(eventLoginSucceeded, login.Account)
	return e, nil
}

// consumeLogin deletes a login before its code is redeemed, under the account's
// lock: of two callbacks with one state, one finds it gone.
func (b *backend) consumeLogin(ctx context.Context, s logical.Storage, account, hash string) error {
	_, err := b.accounts.update(ctx, s, account, func(e *accountEntry) (*accountEntry, error) {
		login, err := getLogin(ctx, s, hash)
		switch {
		case err != nil:
			return nil, err
		case login == nil || e == nil:
			return nil, usedLogin(e, account, hash)
		}
		if err := deleteLogin(ctx, s, hash); err != nil {
			return nil, err
		}
		e.dropPending(hash)
		return e, nil
	})
	return err
}

// usedLogin answers a state that is not pending any more with what became of it.
func usedLogin(e *accountEntry, account, hash string) *fault {
	f := unknownState()
	f.next = loginCommand(account)
	if e == nil || e.LatestLogin == nil || e.LatestLogin.StateHash != hash {
		return f
	}
	f.unknownState = false
	switch login := e.LatestLogin; {
	case login.Status == loginSucceeded:
		f.text = fmt.Sprintf("already used: signed in as %s at %s", login.Username, formatTime(login.Time))
		f.next = ""
	case login.Word == entraUnavailable || login.Word == clientRejected:
		f.word, f.text = login.Word, login.Message
	case login.Status == loginError:
		f.text = "already used: " + login.Message
	case time.Now().Before(login.Expiry):
		f.text = "already used: its code is being redeemed"
		f.next = "vault read {mount}login/" + account
	}
	return f
}

// redeem exchanges the code for verified tokens, or says why there are none.
func (b *backend) redeem(ctx context.Context, reg *registration, login *loginEntry, resp *authorizationResponse) (*entra.SignIn, error) {
	if resp.errorCode != "" {
		r := refusalOf(entra.AuthorizeError(resp.errorCode, resp.errorDescription, resp.errorSubcode), time.Now())
		f := r.loginFault(login.Account)
		f.declined = r.Class == entra.ClassSignIn
		return nil, f
	}
	if f := login.detached(reg); f != nil {
		return nil, f
	}
	signIn, err := reg.client.RedeemCode(ctx, entra.CodeRequest{
		Code:        resp.code,
		Verifier:    login.Verifier,
		Nonce:       login.Nonce,
		RedirectURI: login.RedirectURI,
		Scopes:      login.Scopes,
		Claims:      login.Claims,
	})
	if err != nil {
		r := refusalOf(err, time.Now())
		b.refreshes.noteLogin(r)
		return nil, r.loginFault(login.Account)
	}
	if f := checkSignIn(login, reg, signIn); f != nil {
		return nil, f
	}
	return signIn, nil
}

// detached says that the config has changed under a login, nil if it has not.
func (l *loginEntry) detached(reg *registration) *fault {
	if l.ClientID == reg.ClientID && l.Authority == reg.authority() {
		return nil
	}
	f := failedLogin("the config has changed since the login for account %q began", l.Account)
	f.next = loginCommand(l.Account)
	return f
}

// checkSignIn holds a verified sign-in to what a login is for; nil if it is that.
func checkSignIn(login *loginEntry, reg *registration, signIn *entra.SignIn) *fault {
	if f := login.detached(reg); f != nil {
		return f
	}
	if signIn.Tokens.RefreshToken != "" {
		return nil
	}
	f := failedLogin("Entra gave no refresh token for account %q: the scope offline_access was not granted; an administrator may have to consent to it, some providers want authorize_params=prompt=consent", login.Account)
	f.next = loginCommand(login.Account)
	return f
}

// storeSignIn puts a verified sign-in on its account, if its user may have it.
// Every way in ends here: both callbacks, device code, import. An account that is
// not there is begun only by an import: a login's was deleted meanwhile.
func (b *backend) storeSignIn(ctx context.Context, s logical.Storage, reg *registration, account string, begin bool, signIn *entra.SignIn, wanted []string, note func(*accountEntry, time.Time)) (*accountEntry, error) {
	store := func() (*accountEntry, error) {
		return b.accounts.update(ctx, s, account, func(e *accountEntry) (*accountEntry, error) {
			switch {
			case e == nil && begin:
				e = newAccountEntry(time.Now())
			case e == nil:
				return nil, failedLogin("account %q was deleted meanwhile", account)
			case e.Disabled:
				return nil, errDisabled(account)
			}
			if f := e.admits(account, signIn.User, reg.configEntry); f != nil {
				return nil, f
			}
			now := time.Now()
			e.signIn(signIn, wanted, reg.configEntry, now)
			note(e, now)
			return e, nil
		})
	}
	e, err := store()
	for i := 1; i < putAttempts && isStorageError(err); i++ {
		b.work.sleep(ctx, time.Duration(i)*200*time.Millisecond)
		e, err = store()
	}
	return e, err
}

// isStorageError tells Vault's trouble from a refusal of ours.
func isStorageError(err error) bool { return err != nil && !isFault(err) }

// endLogin notes on the account why its login failed, and returns that reason.
func (b *backend) endLogin(ctx context.Context, s logical.Storage, account, hash string, reason error) error {
	outcome := &loginOutcome{Status: loginError, Word: loginFailed, Message: "Vault could not store the sign-in"}
	if f, ok := reason.(*fault); ok {
		outcome.Word, outcome.Message, outcome.Code = f.word, f.text, f.code
	}
	_, err := b.accounts.update(ctx, s, account, func(e *accountEntry) (*accountEntry, error) {
		if e == nil {
			return nil, errNoChange
		}
		e.endLogin(hash, outcome, time.Now())
		return e, nil
	})
	if err != nil {
		b.Logger().Warn("a login's failure could not be noted", "account", account, "error", err)
	}
	b.Logger().Info("login failed", "account", account, "word", outcome.Word, "code", outcome.Code)
	return reason
}

// endLogin notes what became of a login, if it is still the latest one.
func (e *accountEntry) endLogin(hash string, outcome *loginOutcome, now time.Time) {
	e.dropPending(hash)
	if e.LatestLogin == nil || e.LatestLogin.StateHash != hash {
		return
	}
	login := *e.LatestLogin
	login.Status, login.Word, login.Message, login.Code = outcome.Status, outcome.Word, outcome.Message, outcome.Code
	login.Username = outcome.Username
	login.Time = now.UTC()
	e.LatestLogin = &login
}
