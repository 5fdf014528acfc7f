// SPDX-License-Identifier: MPL-2.0

package entratest_test

import (
	"net/http"
	"testing"

	"vault-plugin-secrets-entra/internal/entratest"
)

func TestListenOnLoopbackOnly(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "example.com:0",
		"nonsense"} {
		srv, err := entratest.Listen(address, entratest.Options{})
		if err == nil {
			srv.Close()
			t.Errorf("%s: listens", address)
		}
	}
	srv, err := entratest.Listen("localhost:0", entratest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestOnlyItsOwnCAVouchesForIt(t *testing.T) {
	first, second := start(t, entratest.Options{}), start(t, entratest.Options{})
	if resp, err := first.Client().Get(second.URL + "/"); err == nil {
		resp.Body.Close()
		t.Error("another simulator's CA is trusted")
	}
}

func TestCloseTwice(t *testing.T) {
	srv, err := entratest.Listen("127.0.0.1:0", entratest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	srv.Close()
	srv.Close()
	if resp, err := srv.Client().Get(srv.URL + "/"); err == nil {
		resp.Body.Close()
		t.Error("a closed server answers")
	}
}
