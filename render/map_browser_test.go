package render

import (
	"context"
	"errors"
	"fmt"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"mbone/internal/lab"
	"mbone/report"
)

// browserTime is how long a test may have Chromium; it needs a few seconds.
const browserTime = 3 * time.Minute

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
	case *page.EventJavascriptDialogOpening:
		b.errors = append(b.errors, "a dialog: "+e.Message)
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

// open shows what a function writes to a file, and watches it from the first byte on.
func (b *browser) open(name string, write func(io.Writer) error) {
	b.t.Helper()
	file := filepath.Join(b.t.TempDir(), name)
	f, err := os.Create(file)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		b.t.Fatal(err)
	}
	b.mu.Lock()
	b.page = "file://" + file
	b.requests, b.errors = nil, nil
	b.mu.Unlock()
	b.do(chromedp.Navigate("file://" + file))
}

// openMap shows the page of a map in a window, light or dark.
func (b *browser) openMap(m *report.Map, scheme string) {
	b.t.Helper()
	if _, err := chromedp.Call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}}); err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.EmulateViewport(1440, 900))
	b.open("map.html", func(w io.Writer) error { return MapHTML(w, m) })
	b.do(chromedp.WaitVisible(chromedp.CSS("#counts li")))
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

// text is what an element shows.
func (b *browser) text(selector chromedp.CSS) string {
	b.t.Helper()
	return get(b, chromedp.Text(selector))
}

// nextFrame waits until what changed is drawn.
func nextFrame() chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](`new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))`, chromedp.EvalAwaitPromise)
}

// mapPicture is the picture of the documentation.
const mapPicture = "../docs/map.png"

// maxPicture is how large the picture may be, in bytes.
const maxPicture = 300_000

func TestMapInChromium(t *testing.T) {
	b := newBrowser(t)
	run := func(name string, test func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			b.t = t
			test(t)
			b.quiet()
		})
	}
	run("thousand", func(t *testing.T) { thousandRouters(t, b) })
	run("hostile", func(t *testing.T) { hostilePage(t, b) })
	run("header", func(t *testing.T) { header(t, b) })
	run("picture", func(t *testing.T) { picture(t, b) })
	run("svg", func(t *testing.T) {
		for _, m := range []*report.Map{hostileMap(), randomMap(1, 60)} {
			b.open("map.svg", func(w io.Writer) error { return MapSVG(w, m) })
			for script, want := range map[string]int{
				`document.querySelectorAll("parsererror").length`:  0,
				`document.querySelectorAll("script").length`:       0,
				`document.querySelectorAll(".routers > g").length`: len(m.Routers),
			} {
				if got := get(b, chromedp.Evaluate[int](script)); got != want {
					t.Errorf("%s is %d, want %d", script, got, want)
				}
			}
			b.quiet()
		}
	})
	run("svg in a window", func(t *testing.T) { pictureInWindow(t, b) })
}

// A picture is as large as the window at most, and not larger than it is drawn.
func pictureInWindow(t *testing.T, b *browser) {
	b.do(chromedp.EmulateViewport(1440, 900))
	for n, small := range map[int]bool{3: true, 1000: false} {
		b.open("map.svg", func(w io.Writer) error { return MapSVG(w, randomMap(1, n)) })
		scale := get(b, chromedp.Evaluate[float64](`document.documentElement.getScreenCTM().a`))
		if small != (scale == 1) || scale > 1 {
			t.Errorf("%d routers are drawn at a scale of %g", n, scale)
		}
		if got := get(b, chromedp.Evaluate[bool](`(() => {
			const all = document.querySelector(".paper").getBoundingClientRect(), root = document.documentElement;
			return all.left >= 0 && all.top >= 0 && all.right <= innerWidth + 1 && all.bottom <= innerHeight + 1 &&
				root.scrollWidth <= innerWidth && root.scrollHeight <= innerHeight;
		})()`)); !got {
			t.Errorf("of %d routers the window shows a part", n)
		}
	}
}

// In windows of all widths the header shows all of its words.
func header(t *testing.T, b *browser) {
	m := randomMap(1, 1000)
	m.Start = append(m.Start, addr("192.0.2.77"), addr("198.51.100.123"))
	b.openMap(m, "light")
	for _, width := range []int64{420, 900, 1440} {
		b.do(chromedp.EmulateViewport(width, 900), nextFrame())
		cut := get(b, chromedp.Evaluate[[]string](`[...document.querySelectorAll("header, h1, #made, #counts, #counts li, #find")].filter(e => {
			const box = e.getBoundingClientRect(), outer = e.parentElement.getBoundingClientRect();
			return !e.checkVisibility() || box.width < 1 || box.left < 0 || box.right > innerWidth || box.bottom > outer.bottom + 1 ||
				e.scrollWidth > e.clientWidth + 1;
		}).map(e => e.id || e.textContent)`))
		if len(cut) > 0 {
			t.Errorf("at a width of %d, of %q not all is seen", width, cut)
		}
		for element, words := range map[chromedp.CSS][]string{
			"h1": {"10.0.1.1", "198.51.100.123"}, "#made": {"complete"}, "#counts": {"1,000", "not asked", "links"},
		} {
			for _, w := range words {
				if got := b.text(element); !strings.Contains(got, w) {
					t.Errorf("at a width of %d, %s is %q", width, element, got)
				}
			}
		}
	}
}

// A router is found by its name, stands in the middle then, and says what it is
// when it is clicked; so do its neighbours.
func thousandRouters(t *testing.T, b *browser) {
	m := randomMap(1, 1000)
	b.openMap(m, "light")
	if got := b.text("#counts"); !strings.Contains(got, "1,000") {
		t.Errorf("the counts are %q", got)
	}
	if got := b.text("[id='state/start']"); strings.Join(strings.Fields(got), " ") != "start 1" {
		t.Errorf("the legend has %q for the start", got)
	}
	// Any router in the midst of the network with a name and a neighbour will do.
	n := slices.IndexFunc(m.Routers, func(r report.MapRouter) bool {
		return r.State == report.RouterAnswered && r.Name != nil && r.Depth > 5 && len(r.Aliases) > 0
	})
	r := &m.Routers[n]
	hits := 0
	for _, o := range m.Routers {
		if o.Name != nil && strings.Contains(*o.Name, *r.Name) {
			hits++
		}
	}
	b.do(chromedp.KeyEvent("/"))
	if got := get(b, chromedp.Evaluate[string](`document.activeElement.id`)); got != "query" {
		t.Errorf("after / the keys go to %q", got)
	}
	// The test sends a letter even where the page takes the key for itself.
	b.do(chromedp.SendKeys(chromedp.ID("query"), kb.Backspace+*r.Name+kb.Enter))
	if got, want := b.text("#hitcount"), fmt.Sprintf("1 of %d", hits); got != want {
		t.Errorf("the search for %s says %q, want %q", *r.Name, got, want)
	}
	box := get(b, chromedp.Dimensions(chromedp.ID("map"))).Content
	middleX, middleY := (box[0]+box[4])/2, (box[1]+box[5])/2
	b.do(chromedp.KeyEvent(kb.Escape), chromedp.KeyEvent(kb.Escape), chromedp.WaitNotVisible(chromedp.ID("details")))
	if got := get(b, chromedp.Value(chromedp.ID("query"))); got != "" {
		t.Errorf("after Escape the search is still for %q", got)
	}

	b.do(chromedp.MouseClickXY(middleX, middleY), chromedp.WaitVisible(chromedp.ID("details")))
	if got := b.text("#details h2"); got != *r.Name {
		t.Errorf("a click in the middle opened %q, want %q", got, *r.Name)
	}
	details := b.text("#details")
	for _, want := range []string{r.Address.String(), r.Aliases[0].Address.String(), r.Version.Text, "metric 1", fmt.Sprintf("%d steps from the start", r.Depth)} {
		if !strings.Contains(details, want) {
			t.Errorf("the details lack %q: %q", want, details)
		}
	}
	neighbour := b.text("#details section .link")
	b.do(chromedp.Click(chromedp.CSS("#details section .link")))
	if got := b.text("#details h2"); got != neighbour {
		t.Errorf("the link to %q opened %q", neighbour, got)
	}

	// A router that said nothing is known from its links, which open as well.
	lan := slices.IndexFunc(m.Links, func(l report.MapLink) bool {
		return l.Kind == report.LinkLAN && slices.ContainsFunc(l.Ends, func(e report.LinkEnd) bool { return e.Metric == nil })
	})
	ends := m.Links[lan].Ends
	silent := ends[slices.IndexFunc(ends, func(e report.LinkEnd) bool { return e.Metric == nil })].Router
	b.do(chromedp.SendKeys(chromedp.ID("query"), silent.String()+kb.Enter), chromedp.Click(chromedp.CSS("#details section .link")))
	if got, want := b.text("#details h2"), fmt.Sprintf("LAN of %d routers", len(ends)); got != want {
		t.Errorf("the link of %s opened %q, want %q", silent, got, want)
	}

	b.do(chromedp.Click(chromedp.CSS("[id='state/silent']")))
	if got := b.text("#legend [aria-pressed=true] small"); got != "55" || get(b, chromedp.Evaluate[int](`document.querySelectorAll("#legend .reset").length`)) != 1 {
		t.Errorf("the legend is pressed at %q", got)
	}
}

func hostilePage(t *testing.T, b *browser) {
	m := hostileMap()
	m.Links = append(m.Links, report.MapLink{Kind: "new"}, report.MapLink{Ends: []report.LinkEnd{unknownEnd("192.0.2.1"), unknownEnd("10.6.0.1")}})
	b.openMap(m, "dark")
	for _, r := range m.Routers {
		b.do(chromedp.SendKeys(chromedp.ID("query"), r.Address.String()+kb.Enter))
		if got, want := b.text("#details h2"), report.Printable(*r.Name); strings.TrimSpace(got) != strings.Join(strings.Fields(want), " ") {
			t.Errorf("%s is called %q, want %q", r.Address, got, want)
		}
		b.do(chromedp.KeyEvent(kb.Escape))
	}
	if got := b.text("#incomplete"); !strings.Contains(got, "<script>alert(1)</script>") {
		t.Errorf("the page says %q", got)
	}
	if got := get(b, chromedp.Evaluate[int](`document.scripts.length`)); got != 3 {
		t.Errorf("the page has %d scripts", got)
	}
}

// picture takes the picture of the documentation; with -rewrite it is kept.
func picture(t *testing.T, b *browser) {
	m := randomMap(43, 63)
	b.openMap(m, "light")
	b.do(chromedp.SendKeys(chromedp.ID("query"), "core.wien"+kb.Enter), chromedp.KeyEvent(kb.Escape), chromedp.Click(chromedp.ID("fit")))
	file := filepath.Join(t.TempDir(), "map.png")
	if *rewrite {
		file = mapPicture
	}
	// The next frame shows it.
	b.do(nextFrame())
	b.shot(file)
	for _, name := range []string{file, mapPicture} {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		img, err := png.DecodeConfig(f)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := f.Stat(); err != nil || info.Size() > maxPicture || img.Width != 1440 || img.Height != 900 {
			t.Errorf("%s has %d bytes and is %d by %d", name, info.Size(), img.Width, img.Height)
		}
	}
}
