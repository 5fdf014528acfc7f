// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// signInByPaste prints the address and reads where it led to: for a browser on
// another machine, where nothing listens on its loopback.
func signInByPaste(ctx context.Context, vault *vaultClient, opts *options, in io.Reader,
	messages io.Writer) (*result, error) {
	login, err := vault.write(ctx, "login/"+opts.account, loginFields(opts, opts.redirectURI))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(messages, "Open this address in any browser and sign in:\n\n%s\n\n"+
		"The browser ends at an address that it cannot open. Copy the whole of it and paste it "+
		"here:\n", text(login, "auth_url"))
	pasted := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReaderSize(in, 64<<10).ReadString('\n')
		pasted <- strings.TrimSpace(line)
	}()
	wait, cancel := untilExpiry(ctx, text(login, "expire_time"))
	defer cancel()
	select {
	case <-wait.Done():
		if ctx.Err() == nil {
			return nil, refused{errors.New("nothing was pasted before the sign-in expired")}
		}
		return nil, ctx.Err()
	case line := <-pasted:
		if line == "" {
			return nil, errors.New("nothing was pasted")
		}
		done, err := vault.write(ctx, "callback/"+opts.account, map[string]any{"url": line})
		if err != nil {
			return nil, err
		}
		return resultOf(done), nil
	}
}
