// SPDX-License-Identifier: MPL-2.0

package account

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"testing"
	"time"
)

// TestPack changes nothing but where the text is.
func TestPack(t *testing.T) {
	now := time.Now().UTC().Round(0)
	packed, plain := benchEntry(), benchEntry()
	for _, e := range []*Entry{packed, plain} {
		e.CreatedTime, e.Incarnation, e.Generation = now, "i", "g"
		e.RefreshTokenTime, e.LoginTime, e.LastReadTime, e.LastRefreshTime = now, now, now, now
		e.Scopes, e.Granted, e.Roles = []string{"a", "b"}, nil, []string{}
		e.Metadata = map[string]string{"team": "red"}
		e.Tokens[""].ObtainedAt, e.Tokens[""].Expiry = now, now
		e.Tokens["mail"] = &CachedToken{AccessToken: "m", Scopes: []string{"Mail.Read"}}
	}
	scopes := plain.Scopes
	packed.Scopes = scopes
	packed.pack()
	if !reflect.DeepEqual(packed, plain) {
		t.Errorf("it became %+v, from %+v", packed, plain)
	}
	if &packed.Scopes[0] == &scopes[0] {
		t.Error("a list that others have was changed")
	}
}

// TestCachedSize: an account takes its tokens and at most 1.5 KiB in memory.
func TestCachedSize(t *testing.T) {
	const accounts = 2000
	s, e, ctx := benchStore(), benchEntry(), context.Background()
	tokens := len(e.RefreshToken) + len(e.Tokens[""].AccessToken)
	name := func(i int) string { return fmt.Sprintf("account-%06d", i) }
	for i := range accounts {
		if err := s.entries.Write(ctx, StoragePrefix+name(i), e); err != nil {
			t.Fatal(err)
		}
	}
	before := heap()
	for i := range accounts {
		if _, err := s.Get(ctx, name(i)); err != nil {
			t.Fatal(err)
		}
	}
	each := (heap() - before) / accounts
	t.Logf("%d bytes beside %d of tokens", each-tokens, tokens)
	if each-tokens > 1536 {
		t.Errorf("a cached account takes %d bytes beside %d of tokens", each-tokens, tokens)
	}
	got, _ := s.Get(ctx, name(0))
	if size := got.StoredSize(); size < each*8/10 || size > each*13/10 {
		t.Errorf("it counts as %d bytes and takes %d", size, each)
	}
	s.SetCacheSize(10)
	if left := (heap() - before) / accounts; left > each/10 {
		t.Errorf("of a smaller cache %d bytes for each are left", left)
	}
	runtime.KeepAlive(s)
}

func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestCachedCopy: what is cached after a write holds on to nothing that was before it.
func TestCachedCopy(t *testing.T) {
	s, ctx := benchStore(), context.Background()
	written, err := s.Update(ctx, "alice", func(*Entry) (*Entry, error) { return benchEntry(), nil })
	if err != nil {
		t.Fatal(err)
	}
	got, found := s.cache.Get("alice")
	if !found || got == written || got.Tokens[""] == written.Tokens[""] {
		t.Fatal("the entry itself is cached")
	}
	stored := &Entry{}
	if _, err := s.entries.Read(ctx, StoragePrefix+"alice", stored); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, stored) {
		t.Errorf("%+v is cached, and %+v stored", got, stored)
	}
}
