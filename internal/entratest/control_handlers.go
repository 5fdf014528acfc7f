// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// controlState is what a script looks at. It holds no secret: apps and refresh
// tokens are shown without theirs.
func (s *Simulator) controlState(*http.Request) (any, error) {
	apps := s.Apps()
	for i := range apps {
		apps[i].Secrets = nil
	}
	live := s.RefreshTokens("")
	for i := range live {
		live[i].Token = ""
	}
	s.mu.Lock()
	states := make(map[string]map[string]UserState)
	for _, u := range s.users {
		for resource, since := range u.states {
			if states[u.Username] == nil {
				states[u.Username] = make(map[string]UserState)
			}
			states[u.Username][resource] = since.state
		}
	}
	rotation, l := s.rotation, s.lifetimes
	s.mu.Unlock()
	return map[string]any{
		"tenant_id": s.Tenant(), "rotation": rotation,
		"lifetimes": map[string]string{
			"access_token": l.AccessToken.String(), "cae_token": l.CAEToken.String(),
			"refresh_token": l.RefreshToken.String(),
			"code":          l.Code.String(), "device_code": l.DeviceCode.String(),
		},
		"counts": s.Counts(), "faults": s.Faults.List(),
		"users": s.Users(), "user_states": states, "apps": apps, "refresh_tokens": live,
	}, nil
}

func (s *Simulator) controlReset(context.Context, struct{}) (any, error) {
	s.Faults.Clear()
	s.ResetCounts()
	for _, u := range s.Users() {
		if err := s.SetUserState(u.Username, StateActive); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

type faultInput struct {
	Fault
	Delay wireDuration `json:"delay"`
}

func (s *Simulator) controlAddFault(_ context.Context, in faultInput) (any, error) {
	in.Fault.Delay = time.Duration(in.Delay)
	if err := in.Fault.validate(); err != nil {
		return nil, err
	}
	return map[string]int{"id": s.Faults.Add(in.Fault)}, nil
}

func (s *Simulator) controlRemoveFault(r *http.Request) (any, error) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || !s.Faults.Remove(id) {
		return nil, fmt.Errorf("fault %q is %w", r.PathValue("id"), errNotThere)
	}
	return nil, nil
}

func (s *Simulator) controlAddUser(_ context.Context, u User) (any, error) {
	return s.AddUser(u)
}

type userInput struct {
	User     string    `json:"user"`
	State    UserState `json:"state"`
	Resource string    `json:"resource"`
	ClientID string    `json:"client_id"`
}

func (s *Simulator) controlUserState(_ context.Context, in userInput) (any, error) {
	return nil, s.SetUserStateFor(in.User, in.Resource, in.State)
}

func (s *Simulator) controlRevoke(_ context.Context, in userInput) (any, error) {
	return nil, s.Revoke(in.User)
}

func (s *Simulator) controlExpire(_ context.Context, in userInput) (any, error) {
	return nil, s.ExpireRefreshTokens(in.User)
}

func (s *Simulator) controlRemoveConsent(_ context.Context, in userInput) (any, error) {
	return nil, s.RemoveConsent(in.User, in.ClientID, in.Resource)
}

func (s *Simulator) controlAdminConsent(_ context.Context, in userInput) (any, error) {
	return nil, s.AdminConsent(in.ClientID, in.Resource)
}

type appInput struct {
	App
	AccessTokenLifetime wireDuration `json:"access_token_lifetime"`
}

func (s *Simulator) controlAddApp(_ context.Context, in appInput) (any, error) {
	in.App.AccessTokenLifetime = time.Duration(in.AccessTokenLifetime)
	return s.AddApp(in.App)
}

func (s *Simulator) controlRotateKeys(_ context.Context, in struct {
	DropOld bool `json:"drop_old"`
}) (any, error) {
	if in.DropOld {
		s.ReplaceKeys()
	} else {
		s.RotateKeys()
	}
	return nil, nil
}

func (s *Simulator) controlPolicy(_ context.Context, in struct {
	Rotation string `json:"rotation"`
}) (any, error) {
	rotation, err := ParseRotation(in.Rotation)
	if err != nil {
		return nil, err
	}
	s.SetRotation(rotation)
	return nil, nil
}

func (s *Simulator) controlLifetimes(_ context.Context, in struct {
	AccessToken  wireDuration `json:"access_token"`
	CAEToken     wireDuration `json:"cae_token"`
	RefreshToken wireDuration `json:"refresh_token"`
	Code         wireDuration `json:"code"`
	DeviceCode   wireDuration `json:"device_code"`
}) (any, error) {
	s.SetLifetimes(Lifetimes{
		AccessToken: time.Duration(
			in.AccessToken,
		), CAEToken: time.Duration(in.CAEToken), RefreshToken: time.Duration(in.RefreshToken),
		Code: time.Duration(in.Code), DeviceCode: time.Duration(in.DeviceCode),
	})
	return nil, nil
}

func (s *Simulator) controlSignIn(ctx context.Context, in struct {
	AuthURL string `json:"auth_url"`
	User    string `json:"user"`
	Action  string `json:"action"`
}) (any, error) {
	var (
		redirect Redirect
		err      error
	)
	switch in.Action {
	case "", "signin":
		redirect, err = s.SignIn(ctx, in.AuthURL, in.User)
	case "cancel":
		redirect, err = s.Cancel(ctx, in.AuthURL)
	case "open":
		redirect, err = s.NewBrowser().Open(ctx, in.AuthURL)
	default:
		err = fmt.Errorf("no action %q", in.Action)
	}
	if err != nil {
		return nil, err
	}
	params := make(map[string]string, len(redirect.Params))
	for name := range redirect.Params {
		params[name] = redirect.Params.Get(name)
	}
	return map[string]any{
		"uri":    redirect.URI,
		"method": redirect.Method,
		"params": params,
		"url":    redirect.URL,
	}, nil
}

func (s *Simulator) controlDevice(ctx context.Context, in struct {
	UserCode string `json:"user_code"`
	User     string `json:"user"`
	Action   string `json:"action"`
}) (any, error) {
	switch in.Action {
	case "", "signin":
		return nil, s.ApproveDevice(ctx, in.UserCode, in.User)
	case "cancel":
		return nil, s.DeclineDevice(ctx, in.UserCode)
	}
	return nil, fmt.Errorf("no action %q", in.Action)
}

func (s *Simulator) controlRefreshToken(_ context.Context, in struct {
	User     string   `json:"user"`
	ClientID string   `json:"client_id"`
	Platform Platform `json:"platform"`
	Scopes   []string `json:"scopes"`
}) (any, error) {
	token, err := s.IssueRefreshToken(in.User, in.ClientID, in.Platform, in.Scopes...)
	if err != nil {
		return nil, err
	}
	return map[string]string{"refresh_token": token}, nil
}

func (s *Simulator) controlIntrospect(_ context.Context, in struct {
	Token string `json:"token"`
}) (any, error) {
	info, ok := s.Introspect(in.Token)
	if !ok {
		return nil, fmt.Errorf("the token is %w", errNotThere)
	}
	return info, nil
}
