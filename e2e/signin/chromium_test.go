// SPDX-License-Identifier: MPL-2.0

package signin

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"vault-plugin-secrets-entra/e2e/harness"
)

// chromium is a real browser with a person at it. It notes what goes wrong in it,
// and whom it talks to.
type chromium struct {
	t   testing.TB
	ctx context.Context
	dir string // of the screenshots

	mu     sync.Mutex
	wrong  []string // errors on the console
	abroad []string // requests that leave this machine
}

// newChromium starts a browser that trusts these keys and no others. Without
// Chromium a test is skipped, except in CI.
func newChromium(t testing.TB, keys ...string) *chromium {
	t.Helper()
	binary, err := exec.LookPath("chromium")
	if err != nil && os.Getenv("CI") == "" {
		t.Skip("there is no chromium on this machine (Debian: apt-get install chromium)")
	}
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(binary),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, // root has none
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("ignore-certificate-errors-spki-list", strings.Join(keys, ",")),
		chromedp.WSURLReadTimeout(harness.UpTime),
	)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	ctx, end := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(end)
	// it speaks of events newer than it
	ctx, closeTab := chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(closeTab)
	b := &chromium{t: t, ctx: ctx, dir: os.Getenv("ENTRA_SCREENSHOTS")}
	if b.dir == "" {
		b.dir = t.TempDir()
	}
	chromedp.ListenTarget(ctx, b.note)
	// The first run starts the browser, which lives as long as this context.
	if err := chromedp.Run(ctx, network.Enable(), runtime.Enable(), cdplog.Enable()); err != nil {
		t.Fatal(err)
	}
	return b
}

// keyOf is the hash of a server's public key, which the browser is told to take
// though no authority that it knows has signed it.
func keyOf(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	// it is of this test, and nothing is sent
	conn, err := tls.Dial("tcp", u.Host, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sum := sha256.Sum256(conn.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// note takes down what the browser reports. That a page came with status 400 is
// reported, too, and is as it should be.
func (b *chromium) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		u, err := url.Parse(e.Request.URL)
		if err != nil || u.Scheme != "data" && !isLoopback(u.Hostname()) {
			b.abroad = append(b.abroad, e.Request.URL)
		}
	case *runtime.EventExceptionThrown:
		b.wrong = append(b.wrong, e.ExceptionDetails.Text)
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.LevelError &&
			!strings.Contains(e.Entry.Text, "the server responded with a status of") {
			b.wrong = append(b.wrong, e.Entry.Text+" "+e.Entry.URL)
		}
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// wantNoTrouble fails the test if something went wrong in the browser so far.
func (b *chromium) wantNoTrouble() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.wrong) > 0 {
		b.t.Errorf("the console says: %q", b.wrong)
	}
	if len(b.abroad) > 0 {
		b.t.Errorf("requests left this machine: %q", b.abroad)
	}
}

func (b *chromium) do(actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, harness.UpTime)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		b.t.Fatalf("%v, at:\n%s", err, b.text())
	}
}

// text is what the page says.
func (b *chromium) text() string {
	var title, text string
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.Title(&title),
		chromedp.Text("body", &text, chromedp.ByQuery)); err != nil {
		return err.Error()
	}
	return title + "\n" + text
}

// signIn opens an authorization URL as somebody whom Entra does not know yet, and
// signs a user in, or presses Cancel.
func (b *chromium) signIn(authURL, user, action string) {
	b.t.Helper()
	b.do(network.ClearBrowserCookies(),
		chromedp.Navigate(authURL),
		chromedp.SendKeys(`input[name=username]`, user, chromedp.ByQuery),
		chromedp.Click(`button[value=`+action+`]`, chromedp.ByQuery))
}

// wantTitle waits for the page of Vault's that has this title and heading.
func (b *chromium) wantTitle(title string) {
	b.t.Helper()
	harness.Eventually(b.t, 20*time.Second, "a page with the title "+title, func() error {
		ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
		defer cancel()
		var got, heading string
		err := chromedp.Run(ctx, chromedp.Title(&got),
			chromedp.Evaluate(`document.querySelector("main h1")?.textContent ?? ""`, &heading))
		if err != nil || got != title || heading != title {
			return fmt.Errorf("title %q, heading %q, %w at %s", got, heading, err, b.text())
		}
		return nil
	})
}

// press presses Confirm or Cancel.
func (b *chromium) press(decision string) {
	b.t.Helper()
	b.do(chromedp.Click(`button[value=`+decision+`]`, chromedp.ByQuery))
}

// screens are the sizes and colours that every page is looked at in.
var screens = []struct {
	name   string
	width  int64
	height int64
	scheme string
}{
	{"phone-light", 390, 844, "light"},
	{"phone-dark", 390, 844, "dark"},
	{"desk-light", 1280, 800, "light"},
	{"desk-dark", 1280, 800, "dark"},
}

// look looks at the page on every screen, and keeps a picture of each. Those that
// the documents show are written there with -update.
func (b *chromium) look(name string, documented ...string) {
	b.t.Helper()
	for _, screen := range screens {
		b.do(
			emulation.SetDeviceMetricsOverride(screen.width, screen.height, 1, screen.width < 500),
			emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: screen.scheme},
			}),
		)
		b.wantReadable(name + " " + screen.name)
		file := name + "-" + screen.name + ".png"
		picture := b.picture()
		if err := os.WriteFile(filepath.Join(b.dir, file), picture, 0o600); err != nil {
			b.t.Fatal(err)
		}
		if *harness.Update && slices.Contains(documented, screen.name) {
			err := os.WriteFile(harness.Path("docs", "images", file), picture, 0o644)
			if err != nil {
				b.t.Fatal(err)
			}
		}
	}
}

// picture is the page as it is seen, as high as it is.
func (b *chromium) picture() []byte {
	b.t.Helper()
	var width, height float64
	var picture []byte
	b.do(
		chromedp.Evaluate(`document.querySelector("main").getBoundingClientRect().bottom`, &height),
		chromedp.Evaluate(`window.innerWidth`, &width),
		chromedp.ActionFunc(func(ctx context.Context) (err error) {
			picture, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).
				WithClip(&page.Viewport{Width: width, Height: height, Scale: 1}).Do(ctx)
			return err
		}),
	)
	return picture
}

// readable is what a page's layout comes to.
type readable struct {
	Lang     string   `json:"lang"`
	Mains    int      `json:"mains"`
	Headings []string `json:"headings"` // their levels in order
	Wide     float64  `json:"wide"`     // how far the content is wider than the window
	Faint    []string `json:"faint"`    // texts with a contrast below 4.5:1
	Low      []string `json:"low"`      // buttons lower than 40 px
	Scripts  int      `json:"scripts"`
}

// measure looks at the computed styles of every text. The contrast is WCAG 2.2's
// (success criterion 1.4.3).
const measure = `(() => {
  const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const channel = v => linear(v / 255);
  const parse = c => c.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] === 1) return c;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
  };
  const faint = [];
  for (const e of document.querySelectorAll("main, main *")) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
    const [a, b] = [luminance(parse(getComputedStyle(e).color)), luminance(behind(e))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faint.push(e.textContent.trim().slice(0, 40) + ": " + contrast.toFixed(2));
  }
  return {
    lang: document.documentElement.lang,
    mains: document.querySelectorAll("main").length,
    headings: [...document.querySelectorAll("h1, h2, h3")].map(h => h.tagName),
    wide: document.documentElement.scrollWidth - window.innerWidth,
    faint: faint,
    low: [...document.querySelectorAll("button")]
      .filter(b => b.getBoundingClientRect().height < 40).map(b => b.textContent),
    scripts: document.scripts.length,
  };
})()`

func (b *chromium) wantReadable(name string) {
	b.t.Helper()
	var got readable
	b.do(chromedp.Evaluate(measure, &got))
	if got.Lang != "en" || got.Mains != 1 || len(got.Headings) == 0 || got.Headings[0] != "H1" ||
		slices.Contains(got.Headings[1:], "H1") || got.Scripts != 0 {
		b.t.Errorf("%s: its structure is %+v", name, got)
	}
	if got.Wide > 0 || len(got.Faint) > 0 || len(got.Low) > 0 {
		b.t.Errorf("%s: %.0f px too wide, too faint: %q, buttons too low: %q", name, got.Wide,
			got.Faint, got.Low)
	}
}

// focused tells which button has the focus, and whether that can be seen.
func (b *chromium) focused() (decision string) {
	b.t.Helper()
	var nodes []*cdp.Node
	var outline string
	b.do(chromedp.Nodes(`button:focus-visible`, &nodes, chromedp.ByQuery, chromedp.AtLeast(1)),
		chromedp.Evaluate(`(style => style.outlineStyle + style.outlineWidth)
			(getComputedStyle(document.activeElement))`, &outline))
	if outline != "solid3px" {
		b.t.Errorf("the focus is shown by %s", outline)
	}
	return nodes[0].AttributeValue("value")
}
