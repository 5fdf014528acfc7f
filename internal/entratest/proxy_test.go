// SPDX-License-Identifier: MPL-2.0

package entratest_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"testing"

	"vault-plugin-secrets-entra/internal/entratest"
)

// through returns a client that trusts the simulator and uses the proxy.
func (w *world) through(p *entratest.Proxy) *http.Client {
	w.t.Helper()
	address, err := url.Parse(p.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(w.CAPEM()))
	transport := &http.Transport{Proxy: http.ProxyURL(address),
		TLSClientConfig: &tls.Config{RootCAs: roots}}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestProxyLeadsEntrasNamesHere(t *testing.T) {
	w := start(t, entratest.Options{})
	p := w.StartProxy(t)
	client := w.through(p)
	for _, host := range []string{"login.microsoftonline.com", "login.microsoftonline.us",
		"login.partner.microsoftonline.cn", "contoso.ciamlogin.com", "contoso.b2clogin.com"} {
		resp, err := client.Get(
			"https://" + host + "/" + w.Tenant() + "/v2.0/.well-known/openid-configuration")
		if err != nil {
			t.Fatal(err)
		}
		var doc metadata
		decode(t, resp.Body, &doc)
		resp.Body.Close()
		if want := "https://" + host + "/" + w.Tenant() + "/oauth2/v2.0/token"; doc.Token != want {
			t.Errorf("token endpoint %s, want %s", doc.Token, want)
		}
		if p.Tunnels()[host] != 1 {
			t.Errorf("tunnels %v", p.Tunnels())
		}
	}
}

func TestProxyRefusesTheRest(t *testing.T) {
	w := start(t, entratest.Options{})
	p := w.StartProxy(t)
	client := w.through(p)
	for _, address := range []string{
		"https://graph.microsoft.com/", "https://a.b.ciamlogin.com/", "https://ciamlogin.com/",
		"https://evil.example/",
		"https://login.microsoftonline.com:8443/",
		"https://login.microsoftonline.com.evil.example/",
	} {
		if resp, err := client.Get(address); err == nil {
			resp.Body.Close()
			t.Errorf("%s: status %d", address, resp.StatusCode)
		}
	}
	resp, err := client.Get("http://login.microsoftonline.com/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("plain http: status %d", resp.StatusCode)
	}
	if len(p.Refused()) != 7 || len(p.Tunnels()) != 0 {
		t.Errorf("refused %v, tunnels %v", p.Refused(), p.Tunnels())
	}
}

func TestProxyCloses(t *testing.T) {
	w := start(t, entratest.Options{})
	p, err := w.ListenProxy("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client := w.through(p)
	get := func() error {
		resp, err := client.Get("https://login.microsoftonline.com/")
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	p.Close()
	if err := get(); err == nil {
		t.Error("a closed proxy answers")
	}
	if _, err := w.ListenProxy("0.0.0.0:0"); err == nil {
		t.Error("a proxy listens beyond loopback")
	}
}
