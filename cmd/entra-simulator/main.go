// SPDX-License-Identifier: MPL-2.0

// Entra-simulator serves a simulated Microsoft Entra ID on a loopback address,
// for demos and for tests in other processes:
//
//	entra-simulator -dir run
//
// It writes ca.pem and simulator.json to the directory, prints one line,
// "listening on https://…", and serves until it gets SIGTERM or SIGINT. The
// package internal/entratest describes what it simulates and its control API.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"vault-plugin-secrets-entra/internal/entratest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2) // the flag package has said why
	default:
		fmt.Fprintln(os.Stderr, "entra-simulator:", err)
		os.Exit(1)
	}
}

// errUsage is a command line that was already complained about.
var errUsage = errors.New("usage")

// settings are what the command line says.
type settings struct {
	listen, proxyListen string
	dir                 string
	tokenLifetime       time.Duration
	rotation            entratest.Rotation
	redirectURIs        []string
	seedFree            bool
}

func parse(args []string, stderr io.Writer) (settings, error) {
	s := settings{rotation: entratest.RotateKeepOld}
	flags := flag.NewFlagSet("entra-simulator", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.listen, "listen", "127.0.0.1:0", "loopback `address` to serve HTTPS on")
	flags.StringVar(&s.proxyListen, "proxy-listen", "",
		"loopback `address` for an HTTP CONNECT proxy that leads Entra's real host names here")
	flags.StringVar(&s.dir, "dir", "", "`directory` for ca.pem and simulator.json (required)")
	flags.DurationVar(&s.tokenLifetime, "token-lifetime", 0,
		"lifetime of access tokens (default a random 60 to 90 min, as Entra's)")
	flags.Func(
		"rotation",
		"what becomes of a used refresh token: entra (stays good), refuse-old or revoke-family "+
			"(default entra)",
		func(name string) (err error) {
			s.rotation, err = entratest.ParseRotation(name)
			return err
		},
	)
	flags.Func(
		"redirect-uri",
		"one more redirect `URI` of both apps; may be given many times",
		func(uri string) error {
			s.redirectURIs = append(s.redirectURIs, uri)
			return nil
		},
	)
	flags.BoolVar(&s.seedFree, "seed-free", false,
		"start without the built-in users; the control API adds users")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return s, err
		}
		return s, errUsage
	}
	var wrong string
	switch {
	case flags.NArg() > 0:
		wrong = fmt.Sprintf("unexpected argument %q", flags.Arg(0))
	case s.dir == "":
		wrong = "-dir is required"
	case s.tokenLifetime < 0 || s.tokenLifetime > 0 && s.tokenLifetime < time.Second:
		wrong = "-token-lifetime must be a second or more"
	}
	if wrong != "" {
		fmt.Fprintln(stderr, wrong)
		flags.Usage()
		return s, errUsage
	}
	return s, nil
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	set, err := parse(args, stderr)
	if err != nil {
		return err
	}
	srv, err := entratest.Listen(set.listen, entratest.Options{
		Rotation:  set.rotation,
		Lifetimes: entratest.Lifetimes{AccessToken: set.tokenLifetime},
		NoUsers:   set.seedFree,
	})
	if err != nil {
		return err
	}
	defer srv.Close()
	// One registration can hold both kinds: device codes are for a public client's flows.
	if err := srv.UpdateApp(srv.App.ClientID, func(app *entratest.App) {
		app.AllowPublicFlows = true
	}); err != nil {
		return err
	}
	if err := register(srv, set.redirectURIs); err != nil {
		return err
	}
	proxyURL := ""
	if set.proxyListen != "" {
		proxy, err := srv.ListenProxy(set.proxyListen)
		if err != nil {
			return fmt.Errorf("proxy: %w", err)
		}
		defer proxy.Close()
		proxyURL = proxy.URL
	}
	if err := describe(srv, proxyURL, set.dir); err != nil {
		return err
	}
	fmt.Fprintln(stdout, "listening on", srv.URL)
	<-ctx.Done()
	return nil
}

// register adds redirect URIs to both built-in apps, each under its own platform.
func register(srv *entratest.Server, uris []string) error {
	if len(uris) == 0 {
		return nil
	}
	platforms := map[string]entratest.Platform{srv.App.ClientID: entratest.Web,
		srv.PublicApp.ClientID: entratest.Public}
	for clientID, platform := range platforms {
		err := srv.UpdateApp(clientID, func(app *entratest.App) {
			for _, uri := range uris {
				app.RedirectURIs = append(app.RedirectURIs,
					entratest.RedirectURI{URI: uri, Platform: platform})
			}
		})
		if err != nil {
			return fmt.Errorf("-redirect-uri: %w", err)
		}
	}
	return nil
}
