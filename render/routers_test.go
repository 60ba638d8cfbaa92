package render

import (
	"flag"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"mbone/internal/lab"
	"mbone/proto/dvmrp"
	"mbone/report"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files; read the difference before a commit")

// golden compares output with a file of testdata. mrinfo-ios.txt and
// mrinfo-lab-14-1.txt are what mrouted's mrinfo printed of real answers.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile("testdata/"+file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := readFile(t, file); got != want {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

// readFile returns a file of testdata.
func readFile(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func router(address string, major, minor uint8, interfaces ...dvmrp.Interface) report.Router {
	return report.Router{
		Target: address, Asked: report.Address{Addr: addr(address)}, Answered: true, Address: report.Address{Addr: addr(address)},
		Version: report.VersionOf(dvmrp.Version{Major: major, Minor: minor}), Interfaces: report.InterfacesOf(interfaces, false),
	}
}

func iface(local string, metric, threshold uint8, flags dvmrp.InterfaceFlags, neighbors ...string) dvmrp.Interface {
	i := dvmrp.Interface{Local: addr(local), Metric: metric, Threshold: threshold, Flags: flags}
	for _, n := range neighbors {
		i.Neighbors = append(i.Neighbors, addr(n))
	}
	return i
}

// The router of the classic sample: IOS 12.2, asked by mrouted's mrinfo.
func ios() report.Router {
	return router("192.168.14.254", 12, 2,
		iface("192.168.7.254", 1, 0, dvmrp.FlagPIM|dvmrp.FlagQuerier, "0.0.0.0"),
		iface("192.168.14.254", 1, 0, dvmrp.FlagPIM|dvmrp.FlagQuerier, "0.0.0.0"),
		iface("192.168.14.254", 1, 0, dvmrp.FlagTunnel, "192.168.1.254"))
}

func mrouted() report.Router {
	return router("192.168.7.254", 3, 255,
		iface("192.168.14.254", 1, 1, 0, "192.168.14.1"),
		iface("192.168.7.254", 1, 1, 0, "192.168.7.7"))
}

func named() report.Router {
	r := router("10.1.1.1", 3, 8, iface("10.1.1.1", 1, 1, 0xff, "10.1.1.2", "10.1.1.3"))
	two, hostile := "two.example", "a\x1b[2Jb\"\\"
	r.Interfaces[0].Neighbors[0].Name = &two
	r.Interfaces[0].Neighbors[1].Name = &hostile
	return r
}

func old() report.Router {
	r := router("10.9.9.9", 0, 0)
	nine := "nine.example"
	r.OldForm, r.Version, r.Name = true, nil, &nine
	r.Interfaces = report.InterfacesOf([]dvmrp.Interface{iface("10.9.9.9", 2, 32, 0, "10.9.9.8")}, true)
	return r
}

// drawn returns what a program of Graphviz draws of a graph, as SVG; the program
// must not complain.
func drawn(t *testing.T, program, graph string) string {
	t.Helper()
	lab.Require(t, lab.Peers, program)
	path, err := lab.Find(program)
	if err != nil {
		t.Fatal(err)
	}
	var out, complaints strings.Builder
	cmd := exec.Command(path, "-Tsvg")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(graph), &out, &complaints
	if err := cmd.Run(); err != nil || complaints.Len() > 0 {
		t.Errorf("%s: %v\n%s", program, err, complaints.String())
	}
	return out.String()
}

func document() *report.Routers {
	odd := mrouted()
	odd.Asked.Addr = addr("192.168.14.99")
	odd.Alias, odd.BadChecksum, odd.Uncertain = true, true, true
	odd.Conflicts = []report.Router{named()}
	return &report.Routers{Routers: []report.Router{ios(), odd, old(), router("10.5.5.5", 3, 255), {Target: "silent.example"}}}
}

func TestRouterText(t *testing.T) {
	tests := []struct {
		file    string
		router  report.Router
		numeric bool
	}{
		{"mrinfo-ios.txt", ios(), true},
		{"mrinfo-lab-14-1.txt", mrouted(), true},
		{"mrinfo-names.txt", named(), false},
		{"mrinfo-old.txt", old(), false},
	}
	for _, tt := range tests {
		var b strings.Builder
		if err := RouterText(&b, &tt.router, tt.numeric); err != nil {
			t.Fatal(err)
		}
		golden(t, tt.file, b.String())
	}
	var b strings.Builder
	if err := RouterText(&b, &report.Router{Target: "x"}, true); err != nil || b.Len() > 0 {
		t.Errorf("a silent router printed %q, %v", b.String(), err)
	}
}

func TestRoutersTable(t *testing.T) {
	var b strings.Builder
	if err := RoutersTable(&b, document()); err != nil {
		t.Fatal(err)
	}
	golden(t, "mrinfo-table.txt", b.String())
}

func TestRoutersDOT(t *testing.T) {
	two := router("10.1.1.2", 3, 255, iface("10.2.2.2", 1, 1, 0, "10.1.1.1"))
	name := "two.example"
	two.Name = &name
	for file, d := range map[string]*report.Routers{
		"mrinfo.dot":       document(),
		"mrinfo-names.dot": {Routers: []report.Router{named(), two}},
	} {
		var b strings.Builder
		if err := RoutersDOT(&b, d); err != nil {
			t.Fatal(err)
		}
		golden(t, file, b.String())
		t.Run("dot/"+file, func(t *testing.T) { drawn(t, "dot", b.String()) })
	}
}
