// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// vault is a dev server: one node, storage in memory, no audit device. What is
// measured is Vault and the plugin, not a disk.
type vault struct {
	*process
	addr    string // 127.0.0.1:PORT
	token   string
	client  *http.Client
	plugins string // directory with the plugin binaries
}

// startVault starts the server on plugins, a directory of plugin binaries: a dev
// server registers each by its file name.
//
// Its log is at debug, where the engine says when its account index is complete;
// nothing is logged there for a request.
func startVault(binary, dir, plugins string) (*vault, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := listener.Addr().String()
	listener.Close()
	// sys/raw is how the scale table gets its accounts.
	config := filepath.Join(dir, "vault.hcl")
	if err := os.WriteFile(config, []byte("raw_storage_endpoint = true\n"), 0o600); err != nil {
		return nil, err
	}
	v := &vault{
		addr: addr, token: rand.Text(),
		client:  &http.Client{Timeout: requestTimeout},
		plugins: plugins,
	}
	v.process, err = startProcess(filepath.Join(dir, "vault.log"), []string{"HOME=" + dir}, binary,
		"server", "-dev", "-config="+config, "-log-level=debug", "-dev-no-store-token",
		"-dev-root-token-id="+v.token, "-dev-listen-address="+addr, "-dev-plugin-dir="+plugins)
	if err != nil {
		return nil, err
	}
	err = v.await(time.Minute, func() error {
		return v.call(http.MethodGet, "sys/mounts/sys", nil, nil)
	})
	if err != nil {
		v.stop()
		return nil, err
	}
	return v, nil
}

// call asks Vault's API; body and answer may be nil.
func (v *vault) call(method, path string, body map[string]any, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, "http://"+v.addr+"/v1/"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("X-Vault-Token", v.token)
	return answerOf(v.client, req, answer)
}

func (v *vault) write(path string, body map[string]any) error {
	return v.call(http.MethodPost, path, body, nil)
}

func (v *vault) mount(path, kind string, options map[string]any) error {
	return v.write("sys/mounts/"+path, map[string]any{"type": kind, "options": options})
}

// request renders a request, once for all the times that it is sent.
func (v *vault) request(method, path string, body []byte) []byte {
	return fmt.Appendf(nil, "%s /v1/%s HTTP/1.1\r\nHost: %s\r\nX-Vault-Token: %s\r\n"+
		"Content-Length: %d\r\n\r\n%s", method, path, v.addr, v.token, len(body), body)
}

func (v *vault) get(path string) []byte { return v.request(http.MethodGet, path, nil) }

// linkPlugin puts a binary into the plugin directory under a name. A plugin name
// has a process of its own, so a name for each mount tells their memory apart.
func linkPlugin(binary, plugins, name string) error {
	to := filepath.Join(plugins, name)
	if os.Link(binary, to) == nil {
		return nil
	}
	content, err := os.ReadFile(binary) // on another file system
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o755)
}
