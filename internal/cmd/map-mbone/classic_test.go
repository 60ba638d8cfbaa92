package mapmbone_test

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mbone/internal/fake"
	"mbone/internal/lab"
)

// classicVariable is the environment variable that has the path of the map-mbone
// of an mrouted 4.x.
const classicVariable = "MBONE_MAPMBONE"

// classicNode is what the classic text says of a router. Which of its addresses
// comes first is left out: ours is the lowest, the classic one is that which was
// named first.
type classicNode struct {
	Version string
	Lines   []string // "INTERFACE NEIGHBOUR [METRIC/THRESHOLD/FLAGS]", sorted
	Aliases []string // all addresses, sorted
}

// classicNodes reads the classic text, numeric. Nodes are found by their lowest
// addresses.
func classicNodes(t *testing.T, text string) map[string]classicNode {
	t.Helper()
	text, ok := strings.CutPrefix(text, "\nMulticast Router Connectivity:\n\n")
	if !ok {
		t.Fatalf("no title in %q", text)
	}
	nodes := make(map[string]*classicNode)
	node := func(primary string) *classicNode {
		if nodes[primary] == nil {
			nodes[primary] = &classicNode{Aliases: []string{primary}}
		}
		return nodes[primary]
	}
	for block := range strings.SplitSeq(strings.TrimSuffix(text, "\n\n"), "\n\n") {
		head, body, _ := strings.Cut(block, "\n")
		addr, rest, ok := strings.Cut(head, ":")
		if !ok {
			t.Fatalf("no address begins %q", block)
		}
		if primary, ok := strings.CutPrefix(rest, " alias for "); ok {
			n := node(primary)
			n.Aliases = append(n.Aliases, addr)
			continue
		}
		n := node(addr)
		n.Version = rest
		local := ""
		for line := range strings.Lines(body) {
			fields := strings.Fields(line)
			if len(fields) == 3 {
				local, fields = strings.TrimSuffix(fields[0], ":"), fields[1:]
			}
			n.Lines = append(n.Lines, strings.Join(append([]string{local}, fields...), " "))
		}
	}
	all := make(map[string]classicNode)
	for _, n := range nodes {
		byAddress := func(a, b string) int { return netip.MustParseAddr(a).Compare(netip.MustParseAddr(b)) }
		slices.SortFunc(n.Aliases, byAddress)
		slices.Sort(n.Lines)
		all[n.Aliases[0]] = *n
	}
	return all
}

// TestClassic maps the same network with the classic tool.
func TestClassic(t *testing.T) {
	t.Parallel()
	classic := lab.PeerBinary(t, classicVariable)
	l := fake.Start(t, 1)[0]
	p := fake.Typical(3, 20)
	p.Silent, p.Long = 0.1, 0
	n := fake.Make(p)
	l.Serve(t, n, fake.Conditions{})
	var texts []string
	for _, program := range []string{classic, "map-mbone"} {
		var stdout, stderr bytes.Buffer
		c := l.Asker.Command(t.Context(), program, "-f", "-n", n.Start().String())
		c.Stdout, c.Stderr = &stdout, &stderr
		if err := c.Run(); err != nil {
			t.Fatalf("%s: %v: %s", program, err, stderr.Bytes())
		}
		texts = append(texts, stdout.String())
	}
	want, got := classicNodes(t, texts[0]), classicNodes(t, texts[1])
	if len(want) != len(n.Reachable())+len(n.Silent()) {
		t.Errorf("the classic tool finds %d routers, want %d and %d silent ones", len(want), len(n.Reachable()), len(n.Silent()))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("classic tool - ours +\n%s", diff)
	}
	if t.Failed() {
		t.Logf("classic tool:\n%s\nours:\n%s", texts[0], texts[1])
	}
}
