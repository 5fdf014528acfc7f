// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/helper/testhelpers/schema"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entratest"
	"vault-plugin-secrets-entra/internal/store"
)

// bounded is how long a test waits for anything before it fails.
const bounded = 20 * time.Second

const vaultCallback = "https://vault.example.com/v1/entra/callback"

// mount is the engine as Vault drives it, beside a simulator that needs no socket.
type mount struct {
	t       *testing.T
	b       *backend
	sim     *entratest.Simulator
	storage *testStorage
	system  *testSystem
	log     *testLog
	events  *testEvents

	transport http.RoundTripper // nil is a client's own, over sockets
}

// newMount starts the engine, and a simulator it is not configured for yet.
func newMount(t *testing.T, opts entratest.Options) *mount {
	t.Helper()
	m := &mount{
		t:       t,
		sim:     entratest.New(opts),
		storage: newTestStorage(),
		system:  newTestSystem(),
		log:     &testLog{},
		events:  &testEvents{},
	}
	m.transport = m.sim.Transport()
	t.Cleanup(m.sim.Close)
	m.start()
	return m
}

// newConfiguredMount has a config for the simulator's confidential app.
func newConfiguredMount(t *testing.T, opts entratest.Options, config ...map[string]any) *mount {
	t.Helper()
	m := newMount(t, opts)
	m.mustWrite("config", m.config(config...))
	return m
}

// config is a working config, with changes.
func (m *mount) config(changes ...map[string]any) map[string]any {
	config := map[string]any{
		"authority_url": m.sim.Authority(),
		"tenant_id":     m.sim.Tenant(),
		"client_id":     m.sim.App.ClientID,
		"client_secret": m.sim.App.Secret(),
		"scopes":        "User.Read",
		"redirect_uris": vaultCallback + ",http://localhost/callback",
	}
	for _, change := range changes {
		maps.Copy(config, change)
	}
	return config
}

// start makes the backend, as after a start of the plugin.
func (m *mount) start() {
	m.t.Helper()
	ctx := context.Background()
	made, err := newBackend(ctx, &logical.BackendConfig{
		StorageView:  m.storage,
		System:       m.system,
		EventsSender: m.events,
		Logger:       hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: m.log}),
		BackendUUID:  "test",
	}, m.transport)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := made.Initialize(ctx, &logical.InitializationRequest{Storage: m.storage}); err != nil {
		m.t.Fatal(err)
	}
	m.b = made
	m.t.Cleanup(func() { made.Cleanup(ctx) })
}

// restart stops the backend and makes a new one on the same storage.
func (m *mount) restart() {
	m.t.Helper()
	m.b.Cleanup(context.Background())
	m.start()
}

// periodic is what Vault calls about once a minute.
func (m *mount) periodic() {
	m.t.Helper()
	if err := m.b.periodic(context.Background(), &logical.Request{Storage: m.storage}); err != nil {
		m.t.Fatal(err)
	}
}

// do sends one request as Vault's core does, existence check included, and holds
// every answer to the operation's response schema.
func (m *mount) do(ctx context.Context, op logical.Operation, path string, data map[string]any) (*logical.Response, error) {
	m.t.Helper()
	req := &logical.Request{
		Operation:   op,
		Path:        path,
		MountPoint:  "entra/",
		Data:        data,
		Storage:     m.storage,
		ClientToken: "hvs.test",
		DisplayName: "token-test",
		EntityID:    m.system.entityID(),
		Connection:  &logical.Connection{RemoteAddr: "192.0.2.7"},
	}
	if op == logical.UpdateOperation {
		found, exists, err := m.b.HandleExistenceCheck(ctx, req)
		if err != nil {
			return nil, err
		}
		if found && !exists {
			req.Operation = logical.CreateOperation
		}
	}
	resp, err := m.b.HandleRequest(ctx, req)
	if err == nil && resp != nil && !resp.IsError() {
		schema.ResponseValidatingCallback(m.t)(m.b, req, resp)
	}
	return resp, err
}

func (m *mount) write(path string, data map[string]any) (*logical.Response, error) {
	m.t.Helper()
	return m.do(context.Background(), logical.UpdateOperation, path, data)
}

func (m *mount) read(path string) (*logical.Response, error) {
	m.t.Helper()
	return m.do(context.Background(), logical.ReadOperation, path, nil)
}

func (m *mount) mustWrite(path string, data map[string]any) map[string]any {
	m.t.Helper()
	return m.mustDo(logical.UpdateOperation, path, data)
}

func (m *mount) mustRead(path string) map[string]any {
	m.t.Helper()
	return m.mustDo(logical.ReadOperation, path, nil)
}

func (m *mount) mustDo(op logical.Operation, path string, data map[string]any) map[string]any {
	m.t.Helper()
	resp, err := m.do(context.Background(), op, path, data)
	if err != nil {
		m.t.Fatalf("%s %s: %v", op, path, describe(resp, err))
	}
	if resp == nil {
		return nil
	}
	if resp.IsError() {
		m.t.Fatalf("%s %s: %v", op, path, resp.Error())
	}
	return resp.Data
}

// describe says what a refused request was answered.
func describe(resp *logical.Response, err error) string {
	if resp != nil && resp.IsError() {
		return resp.Error().Error()
	}
	return fmt.Sprint(err)
}

// statusOf is the HTTP status that core gives such an answer, and its message.
func statusOf(resp *logical.Response, err error) (int, string) {
	message := describe(resp, err)
	var coded logical.HTTPCodedError // the framework's own, for a value of the wrong type
	switch {
	case errors.As(err, &coded):
		return coded.Code(), message
	case errors.Is(err, logical.ErrUpstreamRateLimited):
		return 502, message
	case errors.Is(err, logical.ErrUnsupportedPath):
		return 404, message
	case err != nil:
		return 500, message
	case resp == nil:
		return 404, ""
	case resp.IsError():
		return 400, message
	}
	return 200, ""
}

// wantProblem holds an answer to a status, the word its message begins with, and
// texts that the message holds.
func wantProblem(t *testing.T, resp *logical.Response, err error, status int, texts ...string) {
	t.Helper()
	got, message := statusOf(resp, err)
	if got != status {
		t.Fatalf("status %d (%s), want %d", got, message, status)
	}
	if len(texts) > 0 && !strings.HasPrefix(message, texts[0]) {
		t.Fatalf("message %q does not begin with %q", message, texts[0])
	}
	for _, text := range texts {
		if !strings.Contains(message, text) {
			t.Errorf("message %q lacks %q", message, text)
		}
	}
}

// signIn walks a user from the authorization URL to the redirect.
func (m *mount) signIn(account, user string, login map[string]any) entratest.Redirect {
	m.t.Helper()
	started := m.mustWrite("login/"+account, login)
	return m.open(started["auth_url"].(string), user)
}

func (m *mount) open(authURL, user string) entratest.Redirect {
	m.t.Helper()
	redirect, err := m.sim.SignIn(context.Background(), authURL, user)
	if err != nil {
		m.t.Fatalf("sign in as %s: %v", user, err)
	}
	return redirect
}

// complete hands a redirect's parameters to the account's callback.
func (m *mount) complete(account string, redirect entratest.Redirect) (*logical.Response, error) {
	m.t.Helper()
	return m.write("callback/"+account, flat(redirect.Params))
}

// login signs user in to account, the whole way.
func (m *mount) login(account, user string) map[string]any {
	m.t.Helper()
	resp, err := m.complete(account, m.signIn(account, user, nil))
	if err != nil || resp.IsError() {
		m.t.Fatalf("login of %s: %s", account, describe(resp, err))
	}
	return resp.Data
}

func flat(values url.Values) map[string]any {
	data := map[string]any{}
	for name := range values {
		if name != "session_state" && name != "client_info" {
			data[name] = values.Get(name)
		}
	}
	return data
}

// refreshRequests counts the refreshes at the simulator's token endpoint.
func (m *mount) refreshRequests() int {
	return m.sim.Count(entratest.Match{Endpoint: entratest.Token, GrantType: "refresh_token"})
}

// refreshFault scripts a fault of the token endpoint's refreshes.
func (m *mount) refreshFault(f entratest.Fault) int {
	f.Endpoint, f.GrantType = entratest.Token, "refresh_token"
	return m.sim.Faults.Add(f)
}

// expire makes the account's held tokens be due, as time would.
func (m *mount) expire(account string) { m.age(account, -time.Second) }

// age lets the account's held tokens expire in left from now: the token itself,
// not the clock, is what a test can move.
func (m *mount) age(name string, left time.Duration) {
	m.t.Helper()
	_, err := m.b.accounts.Update(context.Background(), name, func(e *account.Entry) (*account.Entry, error) {
		for role, cached := range e.Tokens {
			by := time.Now().Add(left).Sub(cached.Expiry)
			e.Tokens[role] = &account.CachedToken{ // not in place: readers hold the old one
				AccessToken: cached.AccessToken, TokenType: cached.TokenType,
				Scope: cached.Scope, Scopes: cached.Scopes,
				ObtainedAt: cached.ObtainedAt.Add(by), Expiry: cached.Expiry.Add(by),
			}
		}
		return e, nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

// entry is the account as it is stored.
func (m *mount) entry(name string) *account.Entry {
	m.t.Helper()
	e := &account.Entry{}
	found, err := store.New(m.storage.Storage).Read(context.Background(), account.StoragePrefix+name, e)
	if err != nil || !found {
		m.t.Fatalf("account %s: found %v, %v", name, found, err)
	}
	return e
}

// inBubble runs a subtest in a bubble whose clock moves when everybody waits.
func inBubble(t *testing.T, name string, test func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

// eventually waits for a condition, for a bounded time.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(bounded); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, bounded)
		}
	}
}

// testStorage is Vault's in-memory storage with failures on request.
type testStorage struct {
	logical.Storage

	mu   sync.Mutex
	fail func(op, key string) error // nil: nothing fails
	ops  []string
}

func newTestStorage() *testStorage { return &testStorage{Storage: &logical.InmemStorage{}} }

// failOn makes storage fail where f says so, until the next call; nil mends it. f may
// wait. A Get asks twice: "get" before storage is read, "got" after; so does a Put, with
// "put" and "stored".
func (s *testStorage) failOn(f func(op, key string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = f
}

// count returns how many operations on entries under prefix there were since the
// last count.
func (s *testStorage) count(prefix string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, done := range s.ops {
		if op, key, _ := strings.Cut(done, " "); op != "list" && strings.HasPrefix(key, prefix) {
			n++
		}
	}
	s.ops = nil
	return n
}

func (s *testStorage) note(op, key string) error {
	s.mu.Lock()
	if op != "got" && op != "stored" {
		s.ops = append(s.ops, op+" "+key)
	}
	fail := s.fail
	s.mu.Unlock()
	if fail == nil {
		return nil
	}
	return fail(op, key)
}

func (s *testStorage) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	if err := s.note("get", key); err != nil {
		return nil, err
	}
	e, err := s.Storage.Get(ctx, key)
	if failed := s.note("got", key); failed != nil { // storage has answered, the reader not yet
		return nil, failed
	}
	return e, err
}

func (s *testStorage) Put(ctx context.Context, e *logical.StorageEntry) error {
	if err := s.note("put", e.Key); err != nil {
		return err
	}
	if err := s.Storage.Put(ctx, e); err != nil {
		return err
	}
	return s.note("stored", e.Key)
}

func (s *testStorage) Delete(ctx context.Context, key string) error {
	if err := s.note("delete", key); err != nil {
		return err
	}
	return s.Storage.Delete(ctx, key)
}

func (s *testStorage) List(ctx context.Context, prefix string) ([]string, error) {
	if err := s.note("list", prefix); err != nil {
		return nil, err
	}
	return s.Storage.List(ctx, prefix)
}

// keys lists everything that is stored.
func (s *testStorage) keys(t *testing.T) []string {
	t.Helper()
	keys, err := logical.CollectKeys(context.Background(), s.Storage)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

var errStorage = errors.New("storage is down")

// testSystem is a system view whose replication state and entity can be set.
type testSystem struct {
	logical.StaticSystemView

	mu     sync.Mutex
	state  consts.ReplicationState
	entity *logical.Entity
	asked  int // for state and locality
}

func newTestSystem() *testSystem {
	return &testSystem{StaticSystemView: *logical.TestSystemView(), state: consts.ReplicationPerformanceDisabled}
}

func (s *testSystem) ReplicationState() consts.ReplicationState {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return s.state
}

func (s *testSystem) LocalMount() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return false
}

// timesAsked returns how often the state was asked for since the last call.
func (s *testSystem) timesAsked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.asked
	s.asked = 0
	return n
}

func (s *testSystem) setState(state consts.ReplicationState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
}

func (s *testSystem) setEntity(entity *logical.Entity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entity = entity
}

func (s *testSystem) entityID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entity == nil {
		return ""
	}
	return s.entity.ID
}

func (s *testSystem) EntityInfo(string) (*logical.Entity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entity, nil
}

// testEvents collects the events.
type testEvents struct {
	mu   sync.Mutex
	sent []string
}

func (e *testEvents) SendEvent(_ context.Context, event logical.EventType, data *logical.EventData) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sent = append(e.sent, string(event)+" "+data.Metadata.Fields["path"].GetStringValue())
	return nil
}

func (e *testEvents) has(event string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Contains(e.sent, event)
}

// testLog collects the log.
type testLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newServerMount reaches the simulator over HTTPS, as in service. overSockets is the
// config for that.
func newServerMount(t *testing.T, srv *entratest.Server) *mount {
	t.Helper()
	m := &mount{
		t: t, sim: srv.Simulator, storage: newTestStorage(), system: newTestSystem(),
		log: &testLog{}, events: &testEvents{},
	}
	m.start()
	return m
}

func overSockets(srv *entratest.Server) map[string]any {
	return map[string]any{"authority_url": srv.Authority(), "ca_pem": srv.CAPEM()}
}

// newEnvironmentMount is configured with a cloud and a tenant, no authority_url.
func newEnvironmentMount(t *testing.T, config ...map[string]any) *mount {
	t.Helper()
	m := newMount(t, entratest.Options{})
	written := m.config(config...)
	delete(written, "authority_url")
	m.mustWrite("config", written)
	return m
}

// serverCA is the certificate that a test server is trusted by.
func serverCA(srv *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
}
