// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// observed reads a table of testdata/observed, whose README says what the columns are.
func observed[T any](t *testing.T, name string) T {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "observed", name))
	if err != nil {
		t.Fatal(err)
	}
	var table T
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&table); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return table
}

// observedError is a refusal that somebody has seen.
type observedError struct {
	ID        string            `json:"id"`
	Endpoint  string            `json:"endpoint"` // token, discovery, authorize (a redirect)
	Grant     string            `json:"grant"`
	Status    int               `json:"status"`
	Error     string            `json:"error"`
	Suberror  string            `json:"suberror"`
	Codes     []int             `json:"codes"`
	Members   []string          `json:"members"` // name:type, beside error and suberror
	Separator string            `json:"separator"`
	Prefix    *string           `json:"prefix"` // in place of the number's
	Inner     string            `json:"inner"`  // a second number in the description alone
	Text      string            `json:"text"`
	Claims    json.RawMessage   `json:"claims"`
	Headers   map[string]string `json:"headers"`
	Body      string            `json:"body"` // text: no JSON at all
	Source    string            `json:"source"`
	Marked    string            `json:"marked"`
	Class     Class             `json:"class"`
}

const (
	observedTrace       = "aaaaaaaa-1111-2222-3333-444444444444"
	observedCorrelation = "bbbbbbbb-1111-2222-3333-444444444444"
	observedTime        = "2026-01-02 03:04:05Z"
)

// number is the one that says most: the last, behind any that only wraps it.
func (o observedError) number() int {
	if len(o.Codes) > 0 {
		return o.Codes[len(o.Codes)-1]
	}
	number := 0
	_, _ = fmt.Sscanf(o.Inner, "AADSTS%d", &number)
	return number
}

// description is the text of the answer, in a sentence of ours.
func (o observedError) description() string {
	var parts []string
	switch {
	case o.Prefix != nil && *o.Prefix != "":
		parts = append(parts, *o.Prefix+": This did not work.")
	case o.Prefix == nil:
		for _, code := range o.Codes {
			parts = append(parts, fmt.Sprintf("AADSTS%d: This did not work.", code))
		}
	default:
		parts = append(parts, "This did not work.")
	}
	if o.Inner != "" {
		parts = append(parts, o.Inner+": Nor did this.")
	}
	if o.Text != "" {
		parts = append(parts, "It says: "+o.Text+".")
	}
	text := strings.Join(parts, " ")
	separator, ids := map[string]string{
		"crlf": "\r\n", "lf": "\n", "space": " ", "nbsp": "\u00a0",
	}[o.Separator]
	if !ids {
		return text
	}
	return strings.Join([]string{text, "Trace ID: " + observedTrace,
		"Correlation ID: " + observedCorrelation, "Timestamp: " + observedTime}, separator)
}

// body is the answer, built from the row.
func (o observedError) body(t *testing.T) string {
	t.Helper()
	if o.Body == "text" {
		return "Too many requests."
	}
	members := map[string]any{"error": o.Error}
	for _, member := range o.Members {
		name, kind, _ := strings.Cut(member, ":")
		values := map[string]any{
			"error_description": o.description(), "error_codes": o.Codes,
			"timestamp": observedTime, "trace_id": observedTrace,
			"correlation_id": observedCorrelation, "error_uri": "https://login.example/error",
		}
		value, known := values[name]
		if _, isText := value.(string); !known || isText != (kind == "string") {
			t.Fatalf("%s: no member %s", o.ID, member)
		}
		members[name] = value
	}
	if o.Suberror != "" {
		members["suberror"] = o.Suberror
	}
	if o.Claims != nil {
		members["claims"] = string(o.Claims)
	}
	body, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// meet lets the public client meet the answer and returns its error.
func (o observedError) meet(t *testing.T, p *provider) error {
	header := http.Header{}
	for name, value := range o.Headers {
		header.Set(name, value)
	}
	switch o.Endpoint {
	case "authorize":
		query := url.Values{"error": {o.Error}}
		if len(o.Members) > 0 {
			query.Set("error_description", o.description())
		}
		if o.Suberror != "" {
			query.Set("error_subcode", o.Suberror)
		}
		redirect, err := url.Parse("https://vault.example.com/cb?" + query.Encode() + "#")
		if err != nil {
			t.Fatal(err)
		}
		q := redirect.Query()
		return AuthorizeError(q.Get("error"), q.Get("error_description"), q.Get("error_subcode"))
	case "discovery":
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(o.Status)
			_, _ = w.Write([]byte(o.body(t)))
		}))
		defer srv.Close()
		c, err := New(Config{AuthorityURL: srv.URL + "/x/v2.0", ClientID: testClient})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.Verify(t.Context())
	}
	p.setAnswer(o.Status, header, o.body(t))
	c := p.client(nil)
	defer c.Close()
	var err error
	switch o.Grant {
	case "refresh_token":
		_, err = c.Refresh(t.Context(), RefreshRequest{RefreshToken: "the-refresh-token"})
	case "authorization_code":
		_, err = c.RedeemCode(t.Context(), goodCode)
	case "device_code":
		_, err = c.PollDevice(t.Context(), "the-device-code", nil)
	default:
		t.Fatalf("%s: no grant %q", o.ID, o.Grant)
	}
	return err
}

// TestObservedErrors feeds every refusal of the table through the client and holds its class to the
// one that Microsoft's documents, MSAL's rules and the people who met it give.
func TestObservedErrors(t *testing.T) {
	rows := observed[[]observedError](t, "errors.json")
	p := newProvider(t)
	p.document["cloud_instance_name"] = "microsoftonline.com" // it answers as Entra does
	type line struct{ cases, codes, agreed int }
	table := map[Class]*line{}
	codes := map[int]bool{}
	for _, o := range rows {
		of := table[o.Class]
		if of == nil {
			of = &line{}
			table[o.Class] = of
		}
		of.cases++
		if number := o.number(); number != 0 && !codes[number] {
			codes[number] = true
			of.codes++
		}
		var e *Error
		if err := o.meet(t, p); !errors.As(err, &e) {
			t.Errorf("%s: %v", o.ID, err)
			continue
		}
		if e.Class == o.Class {
			of.agreed++
		} else {
			t.Errorf("%s (%s): %s, want %s: %v", o.ID, o.Source, e.Class, o.Class, e)
		}
		o.checkParts(t, e)
	}
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "class\tcases\tcodes\tagreed")
	for _, class := range []Class{ClassUser, ClassResource, ClassBlocked, ClassClient, ClassRequest,
		ClassSignIn, ClassPending, ClassTransient} {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", class, table[class].cases, table[class].codes,
			table[class].agreed)
	}
	_ = w.Flush() // into a builder
	t.Logf("%d cases over %d codes\n%s", len(rows), len(codes), out.String())
	if len(rows) < 120 || len(codes) < 60 {
		t.Errorf("%d cases over %d codes are too few", len(rows), len(codes))
	}
}

// checkParts checks what the client took out of the answer beside the class.
func (o observedError) checkParts(t *testing.T, e *Error) {
	t.Helper()
	if o.Source == "" {
		t.Errorf("%s has no source", o.ID)
	}
	if o.Body == "text" {
		return
	}
	if e.Code != o.Error || e.Suberror != o.Suberror || e.AADSTS != o.number() {
		t.Errorf("%s: %s (%s) AADSTS%d", o.ID, e.Code, e.Suberror, e.AADSTS)
	}
	for _, id := range []string{"Trace ID", "Correlation ID", "Timestamp"} {
		if strings.Contains(e.Description, id) {
			t.Errorf("%s: the description is %q", o.ID, e.Description)
		}
	}
	hasIDs := o.Separator != "none" && len(o.Members) > 0
	if hasIDs && (e.CorrelationID != observedCorrelation || e.TraceID != observedTrace) {
		t.Errorf("%s: correlation id %q, trace id %q", o.ID, e.CorrelationID, e.TraceID)
	}
	if (e.Claims != "") != (o.Claims != nil) {
		t.Errorf("%s: claims %q", o.ID, e.Claims)
	}
}

// msal is how Microsoft's own libraries sort errors.
type msal struct {
	Rules []struct {
		Library     string   `json:"library"`
		Error       []string `json:"error"`
		Suberror    []string `json:"suberror"`
		NotSuberror []string `json:"not_suberror"`
		Says        string   `json:"says"`
	} `json:"rules"`
	Classification map[string]Class `json:"classification"` // MSAL.NET's, by suberror
	Explained      []struct {
		Because string  `json:"because"`
		Codes   []int   `json:"codes"`
		Classes []Class `json:"classes"`
	} `json:"explained"`
}

// says is the verdict on a refusal: retry, interaction or service.
func (m msal) says(o observedError) string {
	if o.Status >= 500 || o.Status == http.StatusTooManyRequests {
		return "retry"
	}
	for _, rule := range m.Rules {
		if (len(rule.Error) == 0 || slices.Contains(rule.Error, o.Error)) &&
			(len(rule.Suberror) == 0 || slices.Contains(rule.Suberror, o.Suberror)) &&
			!slices.Contains(rule.NotSuberror, o.Suberror) {
			return rule.Says
		}
	}
	return "service"
}

// TestObservedAgainstMSAL holds the classes to MSAL's rules. Where they differ, the table says why,
// and no explanation stands there for nothing.
func TestObservedAgainstMSAL(t *testing.T) {
	m := observed[msal](t, "msal.json")
	used := make([]int, len(m.Explained))
	agreed := 0
	for _, o := range observed[[]observedError](t, "errors.json") {
		verdict := m.says(o)
		person := o.Class == ClassUser || o.Class == ClassResource
		agrees := verdict == "retry" && o.Class == ClassTransient ||
			verdict == "interaction" && person || verdict == "service" && !person
		if class, isClassified := m.Classification[o.Suberror]; isClassified && agrees {
			agrees = class == o.Class
		}
		if agrees {
			agreed++
			continue
		}
		explained := false
		for i, because := range m.Explained {
			if slices.Contains(because.Codes, o.number()) ||
				slices.Contains(because.Classes, o.Class) {
				used[i]++
				explained = true
				break
			}
		}
		if !explained {
			t.Errorf("%s is %s, and MSAL says %s", o.ID, o.Class, verdict)
		}
	}
	lines := []string{fmt.Sprintf("%d agreed", agreed)}
	for i, because := range m.Explained {
		if used[i] == 0 {
			t.Errorf("explained for nothing: %s", because.Because)
		}
		lines = append(lines, fmt.Sprintf("%d explained: %s", used[i], because.Because))
	}
	t.Log(strings.Join(lines, "\n"))
}

// TestObservedTokens feeds every kind of token answer through a redemption and a refresh.
func TestObservedTokens(t *testing.T) {
	for _, row := range observed[[]struct {
		ID      string         `json:"id"`
		Members map[string]any `json:"members"`
		Life    int            `json:"life"` // seconds
		Refresh bool           `json:"refresh"`
		After   int            `json:"after"` // seconds until it is to be refreshed; 0 = not said
		Source  string         `json:"source"`
		Marked  string         `json:"marked"`
	}](t, "success.json") {
		p := newProvider(t)
		row.Members["id_token"] = p.idToken(nil)
		body, err := json.Marshal(row.Members)
		if err != nil {
			t.Fatal(err)
		}
		p.setAnswer(200, nil, string(body))
		c := p.client(nil)
		signIn, err := c.RedeemCode(t.Context(), goodCode)
		if err != nil {
			t.Errorf("%s: %v", row.ID, err)
			continue
		}
		refreshed, err := c.Refresh(t.Context(), RefreshRequest{
			RefreshToken: "the-refresh-token", Scopes: goodCode.Scopes, User: signIn.User,
		})
		if err != nil {
			t.Errorf("%s: %v", row.ID, err)
			continue
		}
		for _, tokens := range []Tokens{signIn.Tokens, *refreshed} {
			after := time.Time{}
			if row.After != 0 {
				after = tokens.Obtained.Add(time.Duration(row.After) * time.Second)
			}
			life := time.Duration(row.Life) * time.Second
			if tokens.Expiry.Sub(tokens.Obtained) != life || !tokens.RefreshAfter.Equal(after) ||
				(tokens.RefreshToken != "") != row.Refresh || tokens.Scope == "" {
				t.Errorf("%s: %+v", row.ID, tokens)
			}
		}
	}
}

// TestObservedDevices feeds every kind of device authorization through the client.
func TestObservedDevices(t *testing.T) {
	for _, row := range observed[[]struct {
		ID       string         `json:"id"`
		Members  map[string]any `json:"members"`
		Interval int            `json:"interval"`
		Life     int            `json:"life"`
		Complete bool           `json:"complete"`
		Source   string         `json:"source"`
		Marked   string         `json:"marked"`
	}](t, "device.json") {
		p := newProvider(t)
		body, err := json.Marshal(row.Members)
		if err != nil {
			t.Fatal(err)
		}
		p.setAnswer(200, nil, string(body))
		device, err := p.client(nil).StartDevice(t.Context(), []string{"User.Read"})
		if err != nil {
			t.Errorf("%s: %v", row.ID, err)
			continue
		}
		if device.Interval != time.Duration(row.Interval)*time.Second ||
			device.Expiry.Sub(p.now) != time.Duration(row.Life)*time.Second ||
			(device.VerificationURIComplete != "") != row.Complete ||
			device.VerificationURI != "https://login.example/device" || device.Message == "" {
			t.Errorf("%s: %+v", row.ID, device)
		}
	}
}

// TestObservedDiscovery checks which document speaks for which authority.
func TestObservedDiscovery(t *testing.T) {
	fill := strings.NewReplacer("{tenant}", testTenant, "{other}", otherTenant)
	for _, row := range observed[[]struct {
		ID        string `json:"id"`
		Authority string `json:"authority"`
		Issuer    string `json:"issuer"`
		Good      bool   `json:"good"`
		Source    string `json:"source"`
		Marked    string `json:"marked"`
	}](t, "discovery.json") {
		var asked *http.Request
		c, err := New(Config{AuthorityURL: fill.Replace(row.Authority), ClientID: testClient,
			Transport: roundTrip(func(r *http.Request) (int, string) {
				asked = r
				document, err := json.Marshal(map[string]string{
					"issuer":                 fill.Replace(row.Issuer),
					"authorization_endpoint": "https://" + r.URL.Host + "/authorize",
					"token_endpoint":         "https://" + r.URL.Host + "/token",
					"jwks_uri":               "https://" + r.URL.Host + "/keys",
				})
				if err != nil {
					t.Fatal(err)
				}
				return 200, string(document)
			})})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Verify(t.Context()); (err == nil) != row.Good {
			t.Errorf("%s: %v", row.ID, err)
		}
		ofCloud := strings.Contains(row.Authority, "microsoftonline.") ||
			strings.Contains(row.Authority, "chinacloudapi") ||
			strings.Contains(row.Authority, "windows.net") ||
			strings.Contains(row.Authority, "sovcloud")
		if (asked.URL.Query().Get("appid") == testClient) != ofCloud {
			t.Errorf("%s: asked %s", row.ID, asked.URL)
		}
	}
}

// roundTrip is a transport that answers from a function.
type roundTrip func(*http.Request) (status int, body string)

func (answer roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := answer(r)
	recorder := httptest.NewRecorder()
	recorder.WriteHeader(status)
	_, _ = recorder.WriteString(body)
	return recorder.Result(), nil
}

// TestObservedKeys checks which key of a set signs for which issuer.
func TestObservedKeys(t *testing.T) {
	for _, row := range observed[[]struct {
		ID      string   `json:"id"`
		Issuer  string   `json:"issuer"`
		Members []string `json:"members"`
		Good    bool     `json:"good"`
		Source  string   `json:"source"`
	}](t, "keys.json") {
		p := newProvider(t)
		p.publish(p.key, p.keyID, strings.NewReplacer("{base}", p.URL, "{tenant}", testTenant).
			Replace(row.Issuer))
		p.mu.Lock()
		for _, name := range []string{"x5t", "cloud_instance_name"} { // of no matter here
			if slices.Contains(row.Members, name) {
				p.jwks[0][name] = strings.Repeat("A", 27) // twenty bytes
			}
		}
		p.mu.Unlock()
		_, err := p.client(nil).RedeemCode(t.Context(), goodCode)
		if (err == nil) != row.Good {
			t.Errorf("%s: %v", row.ID, err)
		}
	}
}

// TestObservedIDTokens checks who the claims of an ID token are about.
func TestObservedIDTokens(t *testing.T) {
	for _, row := range observed[[]struct {
		ID     string         `json:"id"`
		Claims map[string]any `json:"claims"`
		User   struct {
			Username string `json:"username"`
			Guest    bool   `json:"guest"`
		} `json:"user"`
		Good   bool   `json:"good"`
		Source string `json:"source"`
	}](t, "idtoken.json") {
		p := newProvider(t)
		for name, value := range row.Claims {
			if text, isText := value.(string); isText {
				row.Claims[name] = strings.ReplaceAll(text, "{other}", otherTenant)
			}
		}
		p.setAnswer(200, nil, p.tokens(map[string]any{"id_token": p.idToken(row.Claims)}))
		signIn, err := p.client(nil).RedeemCode(t.Context(), goodCode)
		if (err == nil) != row.Good {
			t.Errorf("%s: %v", row.ID, err)
			continue
		}
		if row.Good && (signIn.User.Username != row.User.Username ||
			signIn.User.IsGuest() != row.User.Guest) {
			t.Errorf("%s: %+v", row.ID, signIn.User)
		}
	}
}
