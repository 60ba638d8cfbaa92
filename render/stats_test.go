package render

import (
	"encoding/csv"
	"slices"
	"strings"
	"testing"
	"time"

	"mbone/report"
)

// marked is a path of three hops with something to be said of each link.
func marked() *report.Path {
	p := threeHops()
	p.Time = time.Date(2026, 11, 1, 12, 0, 0, 500_000_000, time.UTC)
	ttls := [3]int{3, 2, 1}
	lossy := [3]sample{{85, -1, 45, -1}, {100, 110, 50, 45}, {100, 100, 60, 60}}
	p.Statistics = statistics(2, ttls, lossy)
	links := p.Statistics.Links
	links[1].Last.All.Marks = []report.Mark{report.MarkMoreReceived}
	links[1].Last.Group.Marks = []report.Mark{report.MarkReset, report.MarkFewPackets}
	links[1].Total.All.Marks = []report.Mark{report.MarkReset}
	links[1].Total.Group.Marks = []report.Mark{report.MarkReset}
	links[1].Total.Group.Period = ms(2000) // the other one is of four seconds
	links[1].Total.Group.LossHigh = new(report.Decimal(16.455696202531644))
	links[2].Last.Group.Lost, links[2].Last.Group.LossPercent = nil, nil
	links[2].Last.Group.Marks = []report.Mark{report.MarkOtherCount}
	return p
}

// TestPictureMarks: marks stand behind the columns, which are as without them, and
// are explained below the picture.
func TestPictureMarks(t *testing.T) {
	step := report.PathStep{Kind: report.StepStatistics, Path: marked()}
	plain := strings.Split(write(t, numeric, step), "\n")
	got := strings.Split(write(t, PathOptions{Numeric: true, Marks: true}, step), "\n")
	for i, line := range plain[:len(plain)-2] {
		if !strings.HasPrefix(got[i], line) {
			t.Errorf("line %d is %q, without marks %q", i, got[i], line)
		}
	}
	var tails []string
	for i, line := range plain[:len(plain)-2] {
		if tail := strings.TrimPrefix(got[i], line); tail != "" {
			tails = append(tails, tail)
		}
	}
	want := []string{"  group: other count", "  all: more received; group: few packets, reset", "  reset"}
	if !slices.Equal(tails, want) {
		t.Errorf("marks %q, want %q", tails, want)
	}
	below := got[len(plain)-2:]
	var words []string
	for _, line := range below {
		word, _, _ := strings.Cut(line, ":")
		words = append(words, word)
	}
	if want := []string{"few packets", "more received", "reset", "other count", "", ""}; !slices.Equal(words, want) {
		t.Errorf("explained are %q, want %q", words, want)
	}
	// A loss that is not known is no figure, a rate is of its own time.
	text := strings.Join(got, "\n")
	if !strings.Contains(text, "  50 pps     ?/60          30 pps  group: other count\n") {
		t.Errorf("no unknown loss in\n%s", text)
	}
	if !strings.Contains(text, "   -20/200  = -9%  50 pps    10/100  = 10%  50 pps  reset\n") {
		t.Errorf("no rate of its own time in\n%s", text)
	}
}

// TestPictureGroupOnly: FRR counts no packets of interfaces. What others count of
// the source and group beside it stands in its column all the same.
func TestPictureGroupOnly(t *testing.T) {
	p := threeHops()
	p.Statistics = statistics(1, [3]int{3, 2, 1}, [3]sample{{-1, -1, 45, -1}, {-1, -1, 50, 45}, {-1, -1, -1, -1}})
	got := write(t, PathOptions{Numeric: true, Marks: true}, report.PathStep{Kind: report.StepStatistics, Path: p})
	blank := strings.Repeat(" ", len("     0/100  =  0%  50 pps"))
	for _, want := range []string{
		"ttl    1   \n",
		"ttl    2   " + blank + "     5/50   = 10%  25 pps\n",
		"ttl    3   " + blank + "     ?/45          22 pps\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// TestStatsTable: a path without statistics has no rows.
func TestStatsTable(t *testing.T) {
	var b strings.Builder
	if err := StatsTable(&b, marked()); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	if len(lines) != 10 || !strings.Contains(lines[3], "all: more received; group: few packets, reset; total: reset") || !strings.HasPrefix(lines[5], "few packets: ") {
		t.Errorf("\n%s", b.String())
	}
	const title = "2026-11-01T12:00:00Z  10.4.0.9 > 10.1.0.9  group 224.2.2.2  interval 2.0 s, total 4.0 s"
	if lines[0] != title || strings.Count(lines[1], "LOST/SENT") != 4 {
		t.Errorf("heads\n%s\n%s\nwant first\n%s", lines[0], lines[1], title)
	}
	p := threeHops()
	b.Reset()
	if err := StatsTable(&b, p); err != nil || strings.Count(b.String(), "\n") != 2 || strings.Contains(b.String(), "interval") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// TestStatsCSV: every row has every column, with what is not known left empty.
func TestStatsCSV(t *testing.T) {
	var b strings.Builder
	lost := threeHops()
	lost.Hops = nil
	lost.Events = []report.PathEvent{{Kind: report.EventRouteChanged, Hop: 2}, {Kind: report.EventLost}}
	if err := StatsCSV(&b, marked(), true); err != nil {
		t.Fatal(err)
	}
	if err := StatsCSV(&b, lost, false); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll() // of the same length all
	if err != nil || len(rows) != 5 || !slices.Equal(rows[0], StatsColumns()) {
		t.Fatalf("%v\n%s", err, b.String())
	}
	cell := func(row int, title string) string { return rows[row][slices.Index(rows[0], title)] }
	for _, test := range []struct {
		row         int
		title, want string
	}{
		{1, "time", "2026-11-01T12:00:00.5Z"}, {1, "to_hop", "0"}, {1, "to", "10.1.0.9"}, {1, "all_received", ""}, {1, "all_sent", "85"},
		{2, "all_marks", "more_received"}, {2, "group_marks", "reset few_packets"}, {2, "all_lost", "-10"}, {2, "group_total_period_ms", "2000"},
		{2, "group_total_loss_high_percent", "16.456"},
		{3, "from", "10.3.0.2"}, {3, "group_lost", ""}, {3, "group_sent", "60"},
		{4, "events", "route_changed@2 lost@0"}, {4, "from_hop", ""},
	} {
		if got := cell(test.row, test.title); got != test.want {
			t.Errorf("%s of row %d is %q, want %q", test.title, test.row, got, test.want)
		}
	}
}
