package render

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"mbone/report"
)

// marks are the marks of counts as a person reads them, with what they mean, in
// the order in which they stand.
var marks = []struct {
	mark         report.Mark
	word, legend string
}{
	{report.MarkFewPackets, "few packets", "too few to tell the loss of the link within 10 percent"},
	{report.MarkMoreReceived, "more received", "than sent: others send on the link, too, or the counters were read a moment apart"},
	{report.MarkReset, "reset", "the counters of a router on the link began anew; totals are since then"},
	{report.MarkWrongCounter, "wrong counter", "known to count wrongly, and left out"},
	{report.MarkOtherCount, "other count", "one router counts the source, the other its network or the whole group"},
}

// markWords returns the words for marks.
func markWords(list []report.Mark) string {
	var all []string
	for _, m := range marks {
		if slices.Contains(list, m.mark) {
			all = append(all, m.word)
		}
	}
	return strings.Join(all, ", ")
}

// marksOf returns the words for the marks of both columns, once where they are
// the same.
func marksOf(t *report.Traffic) string {
	all, group := markWords(t.All.Marks), markWords(t.Group.Marks)
	if all == group {
		return all
	}
	both := []string{orEmpty("all: ", all), orEmpty("group: ", group)}
	return strings.Join(slices.DeleteFunc(both, func(s string) bool { return s == "" }), "; ")
}

// orEmpty puts a prefix before s, unless that is empty.
func orEmpty(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

// legend explains the marks of a picture below it.
func (b *pathWriter) legend() {
	if !b.o.Marks {
		return
	}
	for _, line := range legend(b.p.Statistics, b.p.Statistics.Samples > 2) {
		b.printf("%s\n", line)
	}
}

// legend returns a line for each mark in statistics, of which the totals may not
// be shown.
func legend(s *report.Statistics, totals bool) []string {
	used := make(map[report.Mark]bool)
	for i := range s.Links {
		l := &s.Links[i]
		shown := []report.Count{l.Last.All, l.Last.Group}
		if totals {
			shown = append(shown, l.Total.All, l.Total.Group)
		}
		for _, c := range shown {
			for _, m := range c.Marks {
				used[m] = true
			}
		}
	}
	var lines []string
	for _, m := range marks {
		if used[m.mark] {
			lines = append(lines, m.word+": "+m.legend)
		}
	}
	return lines
}

// StatsTable writes a line that says when and what was measured, a row for each
// link of a path with statistics, the one to the receiver first, and below them
// what their marks mean. A path without statistics is an empty table.
func StatsTable(w io.Writer, p *report.Path) error {
	columns := []column{
		{title: "HOP", right: true}, {title: "FROM"}, {title: "NAME"}, {title: "TO"},
		{title: "ALL LOST/SENT", right: true}, {title: "PPS", right: true}, {title: "TOTAL LOST/SENT", right: true},
		{title: "GROUP LOST/SENT", right: true}, {title: "PPS", right: true}, {title: "TOTAL LOST/SENT", right: true}, {title: "NOTES"},
	}
	var rows [][]string
	var below []string
	if p.Statistics != nil {
		for i := range p.Statistics.Links {
			l := &p.Statistics.Links[i]
			from, to := ends(p, l)
			rows = append(rows, []string{
				strconv.Itoa(l.From), dash(from.Address), orDash(from.Name), dash(to.Address),
				lossRange(&l.Last.All), pps(&l.Last.All), lossRange(&l.Total.All),
				lossRange(&l.Last.Group), pps(&l.Last.Group), lossRange(&l.Total.Group), notes(l),
			})
		}
		below = legend(p.Statistics, true)
	}
	if _, err := fmt.Fprintln(w, statsTitle(p)); err != nil {
		return err
	}
	if err := table(w, columns, rows); err != nil {
		return err
	}
	for _, line := range below {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// statsTitle is "time  source > receiver  group  interval, total".
func statsTitle(p *report.Path) string {
	title := fmt.Sprintf("%s  %s > %s  group %s", p.Time.UTC().Format(time.RFC3339), dash(p.Source), dash(p.Receiver), dash(p.Group))
	if s := p.Statistics; s != nil {
		title += fmt.Sprintf("  interval %.1f s, total %.1f s", s.Interval.Duration().Seconds(), s.Total.Duration().Seconds())
	}
	return title
}

// end is a router or the receiver.
type end struct {
	report.Address
	Name *string
}

// ends returns who sends and who receives on a link.
func ends(p *report.Path, l *report.Link) (from, to end) {
	hop := func(n int) end {
		if n < 1 || n > len(p.Hops) {
			return end{p.Receiver, p.ReceiverName}
		}
		return end{p.Hops[n-1].Address, p.Hops[n-1].Name}
	}
	return hop(l.From), hop(l.To)
}

// notes are the marks of the interval and, where they differ, of the total.
func notes(l *report.Link) string {
	last, total := marksOf(&l.Last), marksOf(&l.Total)
	if last == total {
		return last
	}
	both := []string{last, orEmpty("total: ", total)}
	return strings.Join(slices.DeleteFunc(both, func(s string) bool { return s == "" }), "; ")
}

// lossRange is "lost/sent percent", with the interval of the link's loss where
// there are too few packets to tell it, and "?" for what is not known.
func lossRange(c *report.Count) string {
	switch {
	case c.Lost == nil && c.Sent != nil:
		return fmt.Sprintf("?/%d", *c.Sent)
	case c.Lost == nil && c.Received != nil:
		return fmt.Sprintf("?/? (%d received)", *c.Received)
	case c.LossLow != nil && c.LossHigh != nil && slices.Contains(c.Marks, report.MarkFewPackets):
		return fmt.Sprintf("%s (%.0f-%.0f%%)", loss(c), *c.LossLow, *c.LossHigh)
	}
	return loss(c)
}

func pps(c *report.Count) string {
	if c.Rate == nil {
		return "-"
	}
	return strconv.FormatFloat(float64(*c.Rate), 'f', 1, 64)
}

// StatsColumns are the titles of [StatsCSV].
func StatsColumns() []string {
	columns := []string{
		"time", "source", "receiver", "group", "reached", "events",
		"from_hop", "from", "from_name", "to_hop", "to", "to_name",
	}
	for _, count := range []string{"all", "all_total", "group", "group_total"} {
		for _, key := range []string{
			"sent", "received", "lost", "loss_percent", "loss_low_percent", "loss_high_percent", "rate_pps", "period_ms", "marks",
		} {
			columns = append(columns, count+"_"+key)
		}
	}
	return columns
}

// StatsCSV writes a row for each link of a path with statistics, the one to the
// receiver first; without statistics one row, whose link is empty. Events are
// words "kind@hop", as many as there are. Before them goes the title row, if it
// is wanted.
func StatsCSV(w io.Writer, p *report.Path, title bool) error {
	c := csv.NewWriter(w)
	columns := StatsColumns()
	if title {
		if err := c.Write(columns); err != nil {
			return err
		}
	}
	var events []string
	for _, e := range p.Events {
		events = append(events, fmt.Sprintf("%s@%d", e.Kind, e.Hop))
	}
	head := []string{
		p.Time.UTC().Format(time.RFC3339Nano), addressCell(p.Source), addressCell(p.Receiver), addressCell(p.Group),
		strconv.FormatBool(p.Reached), strings.Join(events, " "),
	}
	if p.Statistics == nil {
		if err := c.Write(append(head, make([]string, len(columns)-len(head))...)); err != nil {
			return err
		}
		c.Flush()
		return c.Error()
	}
	for i := range p.Statistics.Links {
		l := &p.Statistics.Links[i]
		from, to := ends(p, l)
		row := append(slices.Clone(head),
			strconv.Itoa(l.From), addressCell(from.Address), nameCell(from.Name), strconv.Itoa(l.To), addressCell(to.Address), nameCell(to.Name))
		for _, n := range []*report.Count{&l.Last.All, &l.Total.All, &l.Last.Group, &l.Total.Group} {
			row = append(row, countCells(n)...)
		}
		if err := c.Write(row); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// addressCell is an address in CSV: empty if it is not known.
func addressCell(a report.Address) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// nameCell is a name in CSV. What a spreadsheet would take for a formula gets an
// apostrophe before it.
func nameCell(s *string) string {
	switch {
	case s == nil:
		return ""
	case *s != "" && strings.ContainsRune("=+-@", rune((*s)[0])):
		return "'" + report.Printable(*s)
	}
	return report.Printable(*s)
}

// countCells are the nine cells of a count: empty where a value is not known.
func countCells(c *report.Count) []string {
	whole := func(n *int64) string {
		if n == nil {
			return ""
		}
		return strconv.FormatInt(*n, 10)
	}
	fraction := func(d *report.Decimal) string {
		if d == nil {
			return ""
		}
		return d.String()
	}
	period := ""
	if c.Period != nil {
		period = c.Period.String()
	}
	var marks []string
	for _, m := range c.Marks {
		marks = append(marks, string(m))
	}
	return []string{
		whole(c.Sent), whole(c.Received), whole(c.Lost), fraction(c.LossPercent), fraction(c.LossLow), fraction(c.LossHigh),
		fraction(c.Rate), period, strings.Join(marks, " "),
	}
}
