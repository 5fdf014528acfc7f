// SPDX-License-Identifier: MPL-2.0

// Command zitadel serves the example provider of github.com/zitadel/oidc on a
// loopback port: it refuses a refresh token that was used, and the new one
// survives that.
//
// usage: zitadel PORT REDIRECT_URI
package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: zitadel PORT REDIRECT_URI")
		os.Exit(2)
	}
	issuer := "http://localhost:" + os.Args[1] + "/"
	storage.RegisterClients(storage.WebClient("vault", "the-secret-of-the-tests-client", os.Args[2]))
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	handler := exampleop.SetupServer(issuer, storage.NewStorage(storage.NewUserStore(issuer)), logger, false)
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err == nil {
		fmt.Println("listening")
		err = http.Serve(listener, handler)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
