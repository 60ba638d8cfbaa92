package render

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"mbone/internal/lab"
	"mbone/report"
)

// browserTime is how long a test may have Chromium; it needs a few seconds.
const browserTime = 2 * time.Minute

// browser is a page in headless Chromium, and what it should not have done.
type browser struct {
	context.Context
	t *testing.T

	mu       sync.Mutex
	page     string
	requests []string
	errors   []string // lines of the console, and exceptions
}

// newBrowser starts Chromium in the lab, where there is no way out.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	lab.Require(t, lab.Peers, "chromium")
	chromium, err := lab.Find("chromium")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), browserTime)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, // Chromium has none as root
		chromedp.DisableGPU)...)
	t.Cleanup(cancel)
	b := &browser{t: t}
	b.Context, cancel = chromedp.NewContext(ctx, chromedp.WithListener(b.hear))
	t.Cleanup(cancel)
	if _, err := chromedp.Call(b, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	return b
}

// hear takes down what the page asks for, and what it says to its console.
func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *log.EventEntryAdded:
		b.errors = append(b.errors, e.Entry.Text)
	case *runtime.EventConsoleAPICalled:
		for _, a := range e.Args {
			b.errors = append(b.errors, string(a.Value)+a.Description)
		}
	case *runtime.EventExceptionThrown:
		b.errors = append(b.errors, e.ExceptionDetails.Text)
	}
}

// do takes steps one after the other.
func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// get returns what an action reads from the page.
func get[T any](b *browser, a chromedp.Action[T]) T {
	b.t.Helper()
	v, err := chromedp.Run(b, a)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// open shows the page of a map, and watches it from the first byte on.
func (b *browser) open(m *report.Map, width, height int64, scheme string) {
	b.t.Helper()
	file := filepath.Join(b.t.TempDir(), "map.html")
	f, err := os.Create(file)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := MapHTML(f, m); err != nil {
		b.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.t.Fatal(err)
	}
	b.mu.Lock()
	b.page = "file://" + file
	b.requests, b.errors = nil, nil
	b.mu.Unlock()
	if _, err := chromedp.Call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}}); err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.EmulateViewport(width, height), chromedp.Navigate("file://"+file), chromedp.WaitVisible(chromedp.CSS("#counts li")))
}

// quiet fails the test if the page asked for anything or complained.
func (b *browser) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.requests) != 1 || b.requests[0] != b.page {
		b.t.Errorf("the page asked for %q, not only for itself", b.requests)
	}
	if len(b.errors) > 0 {
		b.t.Errorf("the console of the page says %q", b.errors)
	}
}

// shot writes a picture of the page.
func (b *browser) shot(file string) {
	b.t.Helper()
	if err := os.WriteFile(file, get(b, chromedp.CaptureScreenshot()), 0o644); err != nil {
		b.t.Fatal(err)
	}
}
