// SPDX-License-Identifier: MPL-2.0

// Package gitcredential answers git as one of its credential helpers: gitcredentials(7), and the
// input/output format of git-credential(1).
//
// The access token is the password. Azure DevOps takes one there, whatever the username (Git
// Credential Manager's Microsoft.AzureRepos provider sends it so), and every git can: the
// attributes authtype and credential exist since git 2.46 alone.
package gitcredential

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// maxLine bounds one attribute: a part of a URL, or a header that a server sent.
const maxLine = 1 << 20

// Credential is what git sends as HTTP Basic authentication.
type Credential struct {
	Username string // used where the URL has none; any name does for Azure DevOps
	Password string // an access token
	Expiry   time.Time
}

// Credentials is where they come from.
type Credentials interface {
	// Credential is for a host as git names it: with a port, if the URL has one. It is nil, without
	// an error, for a host that may not be given a token.
	Credential(ctx context.Context, host string) (*Credential, error)
}

// Run carries out what git asks for. Only get answers; store, erase and what git may think of
// later are ignored in silence, as gitcredentials(7) has it for a helper that stores nothing.
func Run(ctx context.Context, credentials Credentials, action string, in io.Reader,
	out io.Writer) error {
	if action != "get" {
		return nil
	}
	asked, err := read(in)
	if err != nil {
		return err
	}
	if asked.protocol != "https" || asked.host == "" {
		return nil // another scheme would send the token in the clear
	}
	credential, err := credentials.Credential(ctx, asked.host)
	if err == nil && credential == nil {
		return nil // git asks its next helper
	}
	if err == nil {
		err = write(out, asked, credential)
	}
	if err != nil {
		// git stops here: without quit it would ask the person for a password that there is not.
		if _, e := io.WriteString(out, "quit=1\n"); e != nil {
			return e
		}
	}
	return err
}

// request is what git says of the URL.
type request struct{ protocol, host, username string }

// read takes the attributes that are needed of key=value lines up to an empty one. Others, such
// as path, wwwauth[] and capability[], are left aside.
func read(in io.Reader) (request, error) {
	var r request
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() && lines.Text() != "" {
		key, value, found := strings.Cut(lines.Text(), "=")
		if !found {
			return r, errors.New("git's input has a line without =")
		}
		switch key {
		case "protocol":
			r.protocol = value
		case "host":
			r.host = value
		case "username":
			r.username = value
		}
	}
	if err := lines.Err(); err != nil {
		return r, fmt.Errorf("git's input: %w", err)
	}
	return r, nil
}

// write is the answer. A git before 2.40 leaves password_expiry_utc aside.
func write(out io.Writer, asked request, c *Credential) error {
	username := asked.username // such as contoso in https://contoso@dev.azure.com/contoso/…
	for _, name := range []string{c.Username, "vault-entra"} {
		if username == "" {
			username = name
		}
	}
	if c.Password == "" || strings.ContainsAny(username+c.Password, "\n\r\x00") {
		return errors.New("the token cannot be told to git: it is empty, or of several lines")
	}
	answer := "username=" + username + "\npassword=" + c.Password + "\n"
	if !c.Expiry.IsZero() {
		answer += fmt.Sprintf("password_expiry_utc=%d\n", c.Expiry.Unix())
	}
	_, err := io.WriteString(out, answer)
	return err
}
