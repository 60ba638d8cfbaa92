package render

import (
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	var b strings.Builder
	long := strings.Repeat("long ", 40) + "end"
	err := table(&b, []column{{title: "ROUTER"}, {title: "m_1", right: true}, {title: "NOTE"}}, [][]string{
		{"10.0.0.1", "1", ""},
		{"192.168.100.200", "31", "a  b"},
		{"x\x1b[2Jy\nz", "", long},
		{"", "7", "ü日|"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "" +
		"ROUTER           m_1  NOTE\n" +
		"10.0.0.1           1\n" +
		"192.168.100.200   31  a  b\n" +
		"x\ufffd[2Jy\ufffdz" + strings.Repeat(" ", 14) + long + "\n" +
		"                   7  ü日|\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestTableWithoutRows(t *testing.T) {
	var b strings.Builder
	if err := table(&b, []column{{title: "ROUTER"}, {title: "NOTE"}}, nil); err != nil {
		t.Fatal(err)
	}
	if b.String() != "ROUTER  NOTE\n" {
		t.Errorf("got %q", b.String())
	}
}
