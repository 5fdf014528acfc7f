// SPDX-License-Identifier: MPL-2.0

package account

import (
	"strings"
	"unique"
)

// pack makes a decoded entry small, for it is going to be kept: what it has in common with other
// accounts is shared with them, and the rest of its text is one piece of memory. Nobody else may
// have the entry yet.
func (e *Entry) pack() {
	for _, text := range []*string{
		&e.ClientID, &e.Authority, &e.ConfiguredTenant, &e.ClientAuth, &e.User.Issuer,
		&e.User.TenantID, &e.Pin.User.Issuer, &e.Pin.User.TenantID,
	} {
		share(text)
	}
	own := []*string{
		&e.Incarnation, &e.Generation, &e.User.Subject, &e.User.ObjectID, &e.User.Username,
		&e.User.PreferredUsername, &e.User.Name, (*string)(&e.RefreshToken), (*string)(&e.PreviousRefreshToken),
	}
	for _, t := range e.Tokens {
		if t == nil {
			continue
		}
		share(&t.TokenType)
		share(&t.Scope)
		shareAll(&t.Scopes)
		own = append(own, (*string)(&t.AccessToken))
	}
	shareAll(&e.Scopes)
	shareAll(&e.Granted)
	shareAll(&e.Roles)
	join(own)
	if e.Pin.User == e.User {
		e.Pin.User = e.User
	}
}

func share(text *string) { *text = unique.Make(*text).Value() }

// shareAll is for the texts of a list, which may be somebody else's too.
func shareAll(list *[]string) {
	if len(*list) == 0 {
		return
	}
	shared := make([]string, len(*list))
	for i, text := range *list {
		shared[i] = unique.Make(text).Value()
	}
	*list = shared
}

// join lays texts into one piece of memory.
func join(texts []*string) {
	var all strings.Builder
	length := 0
	for _, text := range texts {
		length += len(*text)
	}
	all.Grow(length)
	for _, text := range texts {
		all.WriteString(*text)
	}
	joined := all.String()
	for _, text := range texts {
		*text, joined = joined[:len(*text)], joined[len(*text):]
	}
}
