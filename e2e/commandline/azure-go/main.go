// SPDX-License-Identifier: MPL-2.0

// Azure-go asks Microsoft's and HashiCorp's own client libraries for access tokens, for
// e2e/commandline. It knows nothing of Vault: what it finds, it finds as any program would.
//
//	azure-go CREDENTIAL     one of the names in credentials
//	azure-go -versions      the versions of the libraries, as a JSON object
//
// It reads requests from standard input, a line of JSON each, and answers each with one:
//
//	{"resource": "https://graph.microsoft.com", "calls": 1000}     calls at once, 1 without it
//	{"token": "…", "expires_on": 1795638600}   or   {"error": "…"}
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"
)

// request is a line of standard input.
type request struct {
	Resource string `json:"resource"`
	Calls    int    `json:"calls"`
}

// answer is a line of standard output.
type answer struct {
	Token     string `json:"token,omitempty"`
	ExpiresOn int64  `json:"expires_on,omitempty"` // seconds since 1970, 0 if it is not told
	Error     string `json:"error,omitempty"`
}

// credential gives tokens for resources.
type credential func(ctx context.Context, resource string) (answer, error)

func main() {
	if len(os.Args) != 2 {
		fail(fmt.Errorf("usage: azure-go CREDENTIAL | -versions"))
	}
	if os.Args[1] == "-versions" {
		versions := map[string]string{}
		info, _ := debug.ReadBuildInfo()
		for _, module := range info.Deps {
			versions[module.Path] = module.Version
		}
		say(versions)
		return
	}
	construct, known := credentials[os.Args[1]]
	if !known {
		fail(fmt.Errorf("there is no credential %s", os.Args[1]))
	}
	credential, err := construct()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			fail(err)
		}
		if err != nil { // the constructor's: some libraries ask for more before the first token
			say(answer{Error: err.Error()})
			continue
		}
		say(ask(credential, r))
	}
	if err := lines.Err(); err != nil {
		fail(err)
	}
}

// ask makes all calls of a request at once. They have to agree.
func ask(credential credential, r request) answer {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	answers := make([]answer, max(1, r.Calls))
	var calls sync.WaitGroup
	for i := range answers {
		calls.Go(func() {
			a, err := credential(ctx, r.Resource)
			if err != nil {
				a = answer{Error: err.Error()}
			}
			answers[i] = a
		})
	}
	calls.Wait()
	for _, a := range answers[1:] {
		if a.Error != "" {
			return a
		}
		if a.Token != answers[0].Token {
			return answer{Error: "two tokens at the same time"}
		}
	}
	return answers[0]
}

func say(v any) {
	if err := json.NewEncoder(os.Stdout).Encode(v); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
