package man_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"mbone/internal/config"
)

// item is an entry of a list of mroutd.conf.5: its keywords, and the words below.
type item struct {
	keywords []string
	text     string
}

// readItems reads the lists of keywords of a page.
func readItems(t *testing.T, page string) (items []item, all string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch heading, ok := strings.CutPrefix(line, ".It Cm "); {
		case ok:
			i := item{text: line + "\n"}
			heading, _, _ = strings.Cut(heading, " Ar ")
			heading, _, _ = strings.Cut(heading, " Op ")
			heading, _, _ = strings.Cut(heading, " Cm ")
			i.keywords = strings.Split(heading, " , ")
			items = append(items, i)
		case strings.HasPrefix(line, ".El"):
			items = append(items, item{})
		case len(items) > 0:
			items[len(items)-1].text += line + "\n"
		}
	}
	return items, string(text)
}

var word = regexp.MustCompile(`[^\s,]+`)

// The page of the configuration has each keyword, with its range and default as
// the program has them, and no other keyword.
func TestConfigurationKeywords(t *testing.T) {
	items, all := readItems(t, "mroutd.conf.5")
	found := make(map[string][]item)
	for _, i := range items {
		for _, k := range i.keywords {
			found[k] = append(found[k], i)
		}
	}
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	for _, k := range config.Keywords() {
		entries := found[k.Name]
		delete(found, k.Name)
		if k.Ignored != "" || k.Refused != "" {
			if len(entries) > 0 || !strings.Contains(all, k.Name) {
				t.Errorf("%s has no meaning: the page has %d entries, and mentions it: %v", k.Name, len(entries), strings.Contains(all, k.Name))
			}
			continue
		}
		if len(entries) == 0 {
			t.Errorf("no entry for %s", k.Name)
			continue
		}
		text := entries[0].text
		if k.Argument != config.ArgNone && !strings.Contains(text, " Ar ") && !strings.Contains(text, " Op ") {
			t.Errorf("%s: the page has no argument, want %s", k.Name, k.Argument)
		}
		if k.Max > 0 && k.Argument != config.ArgKilobits && !strings.HasPrefix(k.Name, "max-") {
			if want := fmt.Sprintf("from %s to %s", number(k.Min), number(k.Max)); !strings.Contains(strings.ReplaceAll(text, "\n", " "), want) {
				t.Errorf("%s: the page does not say %q", k.Name, want)
			}
		}
		if k.Default != "" && k.Argument != config.ArgNone {
			_, after, ok := strings.Cut(text, "Default:")
			after, _, _ = strings.Cut(strings.ReplaceAll(strings.ReplaceAll(after, "\n.Cm", ""), "\n", " "), ".")
			if got := strings.Join(word.FindAllString(after, -1), " "); !ok || got != k.Default {
				t.Errorf("%s: default is %q on the page, want %q", k.Name, got, k.Default)
			}
		}
		if k.Repeats != strings.Contains(text, "may be repeated") && k.Scope != config.Global && k.Argument != config.ArgRoutes {
			t.Errorf("%s: may be repeated: %v, the page says otherwise", k.Name, k.Repeats)
		}
	}
	for k := range found {
		t.Errorf("the page has %s, the program has not", k)
	}
}

// The examples of the page are files that the program takes without a warning.
func TestConfigurationExamples(t *testing.T) {
	_, all := readItems(t, "mroutd.conf.5")
	_, all, _ = strings.Cut(all, ".Sh EXAMPLES")
	blocks := regexp.MustCompile(`(?s)\.Bd -literal[^\n]*\n(.*?)\.Ed`).FindAllStringSubmatch(all, -1)
	if len(blocks) == 0 {
		t.Fatal("no examples")
	}
	for _, b := range blocks {
		if _, warnings, err := config.Parse("example", []byte(b[1])); err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v %v", b[1], err, warnings)
		}
	}
}
