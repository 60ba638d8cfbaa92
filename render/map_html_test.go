package render

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mbone/report"
)

func drawPage(t *testing.T, m *report.Map) string {
	t.Helper()
	var b strings.Builder
	if err := MapHTML(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var elementsOfPage = regexp.MustCompile(`(?s)<(script|style)([^>]*)>(.*?)</(?:script|style)>`)

// The policy allows the style and the two scripts of the page by their sums, and
// nothing else; nothing in the page is to be fetched.
func TestMapHTMLPolicy(t *testing.T) {
	page := drawPage(t, hostileMap())
	policy := regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)
	if policy == nil || !strings.HasPrefix(policy[1], "default-src 'none'; ") || strings.Contains(policy[1], "unsafe") {
		t.Fatalf("the policy is %q", policy)
	}
	parts := elementsOfPage.FindAllStringSubmatch(page, -1)
	if len(parts) != 4 {
		t.Fatalf("the page has %d styles and scripts", len(parts))
	}
	for _, p := range parts {
		sum := sha256.Sum256([]byte(p[3]))
		allowed := strings.Contains(policy[1], "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
		if data := strings.Contains(p[2], "application/json"); allowed == data {
			t.Errorf("the policy allows <%s%s>: %v", p[1], p[2], allowed)
		}
	}
	rest := elementsOfPage.ReplaceAllString(page, "")
	if found := regexp.MustCompile(`(?i)\s(src|href|srcset|action|on[a-z]+|style)=|url\(|@import|<(link|iframe|object|embed|base)\b|\{\{`).FindString(rest); found != "" {
		t.Errorf("the page has %q", found)
	}
}

// The page holds the document as --json prints it, and a place for every node.
func TestMapHTMLData(t *testing.T) {
	for _, tt := range testMaps {
		m := tt.make()
		var data pageData
		_, text, _ := strings.Cut(drawPage(t, m), `<script type="application/json" id="data">`)
		text, _, _ = strings.Cut(text, "</script>")
		if strings.ContainsAny(text, "<>&\u2028\u2029") {
			t.Errorf("%s: the data could end its element", tt.name)
		}
		if err := json.Unmarshal([]byte(text), &data); err != nil {
			t.Fatal(err)
		}
		var want report.Map // as a reader has it: bytes that are not UTF-8 do not come through
		document, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(document, &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, data.Map, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
		if len(data.Routers) != len(m.Routers) || len(data.Hubs) != len(m.Links) {
			t.Errorf("%s: %d places for %d routers", tt.name, len(data.Routers), len(m.Routers))
		}
		for i := range m.Links {
			if hub := data.Hubs[i] != nil; hub != (m.Links[i].Kind == report.LinkLAN) {
				t.Errorf("%s: link %d has a hub: %v", tt.name, i, hub)
			}
		}
	}
}

func TestMapVersions(t *testing.T) {
	m := chainMap() // two of 3.255, one of 12.2
	m.Routers[1].Version = nil
	if diff := cmp.Diff([]string{"3.255", noVersion, "12.2"}, mapVersions(m)); diff != "" {
		t.Error(diff)
	}
}

// Without a script the page says what the map holds, and where else to find it.
func TestMapHTMLWithoutScript(t *testing.T) {
	page := drawPage(t, lanMap())
	text := regexp.MustCompile(`(?s)<noscript>(.*)</noscript>`).FindString(page)
	for _, want := range []string{"5 routers: 3 answered, 1 silent, 1 not asked; 2 links.", "map-mbone -o text"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page says %q without a script, not %q", text, want)
		}
	}
}

// The library in the page is the one that docs/dependencies.md names.
func TestCytoscapeVersion(t *testing.T) {
	version := regexp.MustCompile(`\.version="([0-9.]+)"`).FindStringSubmatch(pageCytoscape)
	docs, err := os.ReadFile("../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	if version == nil || !regexp.MustCompile(`(?m)^\| cytoscape\.min\.js .*\b`+regexp.QuoteMeta(version[1])+`\b`).Match(docs) {
		t.Errorf("docs/dependencies.md does not name cytoscape %q", version)
	}
	if !strings.Contains(pageCytoscape, "Permission is hereby granted") {
		t.Error("the library in the page lacks its licence")
	}
}
