package render

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"mbone/report"
)

// PathOptions say how a path is written as classic text.
type PathOptions struct {
	Numeric bool // -n: addresses, no names
	Verbose bool // -v: the time of each hop
	// PathOnly is for a watch of the path alone (-P).
	PathOnly bool
	// Marks puts what is to be known about the numbers of a picture behind them,
	// and explains it below.
	Marks bool
}

// allRouters is where the query of a receiver's own link goes.
var allRouters = netip.AddrFrom4([4]byte{224, 0, 0, 2})

// PathText writes one step of a trace as mrouted 4.6's mtrace does: all steps
// one after the other are its output. Text that only mtrace 5.2 has is its.
func PathText(w io.Writer, s report.PathStep, o PathOptions) error {
	b := &pathWriter{o: o, p: s.Path}
	b.step(s)
	_, err := io.WriteString(w, b.String())
	return err
}

// pathWriter writes parts of the classic text.
type pathWriter struct {
	strings.Builder
	o PathOptions
	p *report.Path
}

func (b *pathWriter) printf(format string, args ...any) { fmt.Fprintf(&b.Builder, format, args...) }

func (b *pathWriter) step(s report.PathStep) {
	p := s.Path
	switch s.Kind {
	case report.StepBegin:
		b.printf("Mtrace from %s to %s via group %s\n", p.Source, p.Receiver, p.Group)
	case report.StepOnLink:
		b.WriteString("Source & receiver are directly connected, no path to trace\n")
	case report.StepQuery:
		if s.Limit == 0 {
			b.WriteString("Querying full reverse path... ")
		} else {
			b.printf("Querying reverse path, maximum %d hops... ", s.Limit)
		}
	case report.StepTimeout:
		b.WriteString("* ")
	case report.StepReply:
		b.WriteString("\n")
		b.receiver()
		b.hops(1)
	case report.StepHopByHop:
		b.WriteString("switching to hop-by-hop:\n")
		b.receiver()
	case report.StepAsking:
		b.number(s.Hop)
	case report.StepHop:
		b.hop(&p.Hops[s.Hop-1])
	case report.StepSilent, report.StepNext:
		b.next()
	case report.StepUnanswered:
		b.WriteString("\n")
	case report.StepGiveUp:
		b.WriteString("...giving up\n")
	case report.StepResume:
		b.WriteString("\nResuming...\n")
		b.hops(s.Hop)
	case report.StepReroute:
		b.WriteString("\nRoute must have changed...\n\n")
		b.receiver()
		b.hops(1)
	case report.StepSource:
		b.number(s.Hop)
		b.host(p.Source, p.SourceName)
		b.WriteString("\n")
	case report.StepNoAnswer:
		b.noAnswer()
	case report.StepEnd:
		b.printf("Round trip time %s\n\n", b.milliseconds(roundTrip(p)))
	case report.StepOverheard:
		b.printf("Mtrace from %s to %s via group %s (mxhop=%d)\n", p.Receiver, p.Source, p.Group, orZero(p.Query.Hops))
		b.receiver()
		b.hops(1)
		if p.Reached {
			b.number(len(p.Hops) + 1)
			b.host(p.Source, p.SourceName)
			b.WriteString("\n")
		}
		b.WriteString("\n")
	case report.StepWait:
		b.WriteString("Waiting to accumulate statistics... ")
	case report.StepNoWait:
		b.WriteString("\n")
	case report.StepLost:
		b.WriteString("Timed out.\n")
	case report.StepStatistics:
		b.printf("Results after %d seconds:\n\n", int(p.Statistics.Total.Duration().Round(time.Millisecond).Seconds()))
		b.picture()
	case report.StepChanged:
		b.changed()
	case report.StepWatch:
		b.WriteString("Monitoring path..")
	case report.StepSame:
		b.WriteString(".")
	}
}

// number begins the line of a hop; the receiver is 0, those behind it negative.
func (b *pathWriter) number(hop int) { b.printf("%3d  ", -hop) }

// host is an address with its name: "name (address)", "? (address)" without one.
func (b *pathWriter) host(a report.Address, name *string) {
	switch {
	case b.o.Numeric:
		b.WriteString(address(a))
	case name == nil:
		b.printf("? (%s)", address(a))
	default:
		b.printf("%s (%s)", report.Printable(*name), address(a))
	}
}

// address is how an address stands in classic text: an unknown one as on the wire.
func address(a report.Address) string {
	if !a.IsValid() {
		return "0.0.0.0"
	}
	return a.String()
}

func (b *pathWriter) receiver() {
	b.number(0)
	b.host(b.p.Receiver, b.p.ReceiverName)
	b.WriteString("\n")
}

// hops writes the lines of the hops from number first on.
func (b *pathWriter) hops(first int) {
	for i := first; i <= len(b.p.Hops); i++ {
		b.number(i)
		b.hop(&b.p.Hops[i-1])
	}
}

// hop writes the line of a hop after its number.
func (b *pathWriter) hop(h *report.Hop) {
	b.host(h.Address, h.Name)
	b.printf("  %s  thresh^ %d  ", h.Protocol, h.FwdTTL)
	if b.o.Verbose {
		b.printf("%s  ", b.milliseconds(b.since(h)))
	}
	b.printf("%s\n", h.Error)
}

// roundTrip is the time from the query to its answer; if the query was not heard
// the time from the first router on, which stands next to the one who asked.
func roundTrip(p *report.Path) *report.Milliseconds {
	if p.RTT != nil || len(p.Hops) == 0 || p.Hops[0].Arrival == nil || p.Query.AnsweredAt == nil {
		return p.RTT
	}
	d := report.Milliseconds(p.Query.AnsweredAt.Sub(*p.Hops[0].Arrival))
	return &d
}

// since is the time of a hop's line: from the query or, if that was not heard,
// from the answer back.
func (b *pathWriter) since(h *report.Hop) *report.Milliseconds {
	if h.Elapsed != nil || h.Arrival == nil || b.p.Query.AnsweredAt == nil {
		return h.Elapsed
	}
	d := report.Milliseconds(h.Arrival.Sub(*b.p.Query.AnsweredAt))
	return &d
}

// next writes what is known of the router behind the last hop.
func (b *pathWriter) next() {
	n := b.p.Next
	if !n.Address.IsValid() {
		b.WriteString("\n")
		return
	}
	b.host(n.Address, n.Name)
	if v := n.Version; v != nil {
		b.printf(" [%s%d.%d]", routerKind(v.Major), v.Major, v.Minor)
	}
	switch n.Verdict {
	case report.IsNext:
		b.WriteString(" is the next hop\n")
	case report.WouldBeNext:
		b.WriteString(" would be the next hop\n")
	case report.NoMtrace:
		b.WriteString(" doesn't support mtrace\n")
	case report.DidNotAnswer:
		b.WriteString(" didn't respond\n")
	}
}

// routerKind is the program behind the major number of a version.
func routerKind(major int) string {
	switch major {
	case 1:
		return "proteon/mrouted "
	case 2, 3, 4:
		return "mrouted "
	case 10:
		return "cisco "
	}
	return ""
}

// noAnswer says why nobody may have answered.
func (b *pathWriter) noAnswer() {
	b.WriteString("Timed out receiving responses\n")
	p := b.p
	switch to := p.Query.To.Addr; {
	case to == allRouters:
		b.printf("Perhaps no local router has a route for source %s\n", p.Source)
	case to.IsMulticast():
		b.printf("Perhaps receiver %s is not a member of group %s,\n", p.Receiver, p.Group)
		b.printf("or no router local to it has a route for source %s,\n", p.Source)
		b.printf("or multicast at ttl %d doesn't reach its last-hop router for that source\n", orZero(p.Query.TTL))
	}
}

// orZero is 0 for what is not known: the classic texts have no word for it.
func orZero(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// changed writes the path as it is now.
func (b *pathWriter) changed() {
	what := "Route changed"
	if b.p.Change.Hop == 0 {
		what = "Trace length doesn't match"
	}
	if b.o.PathOnly {
		what = fmt.Sprintf("\n%s after %d seconds", what, int(b.p.Change.After.Duration().Seconds()))
	}
	b.printf("%s:\n", what)
	b.hops(1)
	b.WriteString("Restarting.\n\n")
}

// milliseconds writes a time as mtrace does: "3 ms", "76 s ", "9s ", or "? ms".
func (b *pathWriter) milliseconds(d *report.Milliseconds) string {
	n, unit, ok := scaled(d)
	if !ok {
		return "? ms"
	}
	return strconv.Itoa(n) + unit
}

// scaled returns a time as a number of up to four digits with its unit.
func scaled(d *report.Milliseconds) (n int, unit string, ok bool) {
	if d == nil {
		return 0, "", false
	}
	fits := func(n int) bool { return n > -1000 && n < 10000 }
	// Rounded down, as with the arithmetic shift of a time in 1/65536 s.
	n = int(d.Duration() / time.Millisecond)
	if d.Duration() < 0 && d.Duration()%time.Millisecond != 0 {
		n--
	}
	if fits(n) {
		return n, " ms", true
	}
	if n /= 1000; fits(n) {
		return n, " s ", true
	}
	return n, "s ", true
}

// time is a time in the picture.
func (b *pathWriter) time(d *report.Milliseconds) string {
	n, unit, ok := scaled(d)
	if !ok {
		return "    ? ms"
	}
	return fmt.Sprintf("%5d%s", n, unit)
}

// picture writes the statistics as a drawing with the source on top.
func (b *pathWriter) picture() {
	p, s := b.p, b.p.Statistics
	first := s.Samples <= 2
	bar := "|"
	if first {
		bar = "v"
	}
	source := "   * * *       "
	if p.Reached {
		source = p.Source.String()
	}
	b.WriteString("  Source        Response Dest    Packet Statistics For     Only For Traffic\n")
	b.printf("%-15s %-15s  All Multicast Traffic     From %s\n", source, address(p.Query.Response), p.Source)
	b.printf("     %s       __/  rtt%s    Lost/Sent = Pct  Rate       To %s\n", bar, b.time(roundTrip(p)), p.Group)
	if !first {
		b.printf("     v      /     hop%s    ---------------------     --------------------\n", b.time(p.Return))
	}
	for i := len(p.Hops) - 1; i >= 0; i-- {
		h, link := &p.Hops[i], &s.Links[i]
		if h.Incoming != h.Outgoing {
			b.printf("%-15s\n", address(h.Incoming))
		}
		b.printf("%-15s %-14s %s\n", address(h.Outgoing), b.name(h), h.Error)
		above, below := "     %s     ^      ", "     %s     |      "
		if i == 0 {
			above, below = "     %s      \\__   ", "     %s         \\  "
		}
		b.printf(above, bar)
		b.printf("ttl%5d   ", link.TTL)
		b.traffic(&link.Last)
		if !first {
			b.printf(below, "v")
			b.printf("hop%s", b.time(h.Delay))
			b.traffic(&link.Total)
		}
	}
	from := "?"
	if p.Query.From.IsValid() {
		from = p.Query.From.String()
	}
	b.printf("%-15s %s\n", p.Receiver, from)
	b.WriteString("  Receiver      Query Source\n")
	b.legend()
	b.WriteString("\n")
}

// name is the name of a hop in the picture.
func (b *pathWriter) name(h *report.Hop) string {
	switch {
	case b.o.Numeric:
		return ""
	case h.Name == nil:
		return "?"
	}
	return report.Printable(*h.Name)
}

// trafficColumn is the width of a column of the picture.
const trafficColumn = 25

// traffic writes what went over a link in a time: both columns if both ends
// count, what one end has counted, or nothing.
func (b *pathWriter) traffic(t *report.Traffic) {
	sent, received := value(t.All.Sent), value(t.All.Received)
	switch {
	case sent != 0 && received != 0:
		b.lost(&t.All, t.Seconds)
		b.lost(&t.Group, t.Seconds)
	case sent != 0 || received != 0:
		b.counted(&t.All, max(sent, received), t.Seconds)
		b.counted(&t.Group, value(t.Group.Sent), t.Seconds)
	case b.o.Marks && t.Group.Sent != nil: // where the classic tools show nothing
		b.printf("%*s", trafficColumn, "")
		b.lost(&t.Group, t.Seconds)
	}
	if b.o.Marks {
		b.WriteString(orEmpty("  ", marksOf(t)))
	}
	b.WriteString("\n")
}

func value(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

// lost writes a column of which both ends may count: as mtrace 5.2 does, if the
// loss is not known all the same.
func (b *pathWriter) lost(c *report.Count, seconds int) {
	sent, lost := value(c.Sent), value(c.Lost)
	if c.Lost == nil && c.Sent != nil {
		b.printf("     ?/%-5d     %4d pps", sent, rate(c, sent, seconds))
		return
	}
	percent := " --"
	if sent > 10 {
		// Rounded as in C: to zero.
		if p := (lost*100 + sent/2) / sent; p > -100 && p < 101 {
			percent = fmt.Sprintf("%3d", p)
		}
	}
	b.printf("%6d/%-5d=%s%%%4d pps", lost, sent, percent, rate(c, sent, seconds))
}

func (b *pathWriter) counted(c *report.Count, n int64, seconds int) {
	b.printf("       %-5d     %4d pps", n, rate(c, n, seconds))
}

// rate is a whole number of packets per whole second, of the column's own period
// if it is not that of the other one.
func rate(c *report.Count, n int64, seconds int) int64 {
	if c.Period != nil {
		seconds = max(1, int(c.Period.Duration().Round(time.Second).Seconds()))
	}
	return n / int64(seconds)
}

// PathTable writes a row for each hop, the one next to the receiver first, and
// one for the router behind the last if it is known.
func PathTable(w io.Writer, p *report.Path) error {
	columns := []column{
		{title: "HOP", right: true}, {title: "ROUTER"}, {title: "NAME"}, {title: "INCOMING"}, {title: "PREVIOUS"},
		{title: "PROTOCOL"}, {title: "TTL", right: true}, {title: "DELAY", right: true},
		{title: "IN", right: true}, {title: "OUT", right: true}, {title: "GROUP", right: true},
		{title: "LOST", right: true}, {title: "GROUP LOST", right: true}, {title: "NOTES"},
	}
	var rows [][]string
	for i := range p.Hops {
		h := &p.Hops[i]
		row := []string{
			strconv.Itoa(h.Number), dash(h.Address), orDash(h.Name), dash(h.Incoming), dash(h.Previous),
			h.Protocol, strconv.Itoa(h.FwdTTL), delay(h.Delay),
			number(h.PacketsIn), number(h.PacketsOut), number(h.PacketsGroup), "", "",
		}
		var notes []string
		if h.Error != "" {
			notes = append(notes, h.Error)
		}
		for _, u := range h.Unreliable {
			notes = append(notes, u.Field+" unreliable")
		}
		if p.Statistics != nil && i < len(p.Statistics.Links) {
			t := &p.Statistics.Links[i].Total
			row[11], row[12] = loss(&t.All), loss(&t.Group)
		}
		rows = append(rows, append(row, strings.Join(notes, ", ")))
	}
	if n := p.Next; n != nil {
		row := make([]string, len(columns))
		row[0], row[1], row[2] = strconv.Itoa(len(p.Hops)+1), dash(n.Address), orDash(n.Name)
		row[len(row)-1] = verdictText(n.Verdict)
		rows = append(rows, row)
	}
	return table(w, columns, rows)
}

func verdictText(v report.Verdict) string {
	switch v {
	case report.IsNext:
		return "next hop"
	case report.WouldBeNext:
		return "would be the next hop"
	case report.NoMtrace:
		return "does not support mtrace"
	case report.DidNotAnswer:
		return "did not respond"
	}
	return string(v)
}

func dash(a report.Address) string {
	if !a.IsValid() {
		return "-"
	}
	return a.String()
}

func orDash(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

func number(n *uint64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatUint(*n, 10)
}

func delay(d *report.Milliseconds) string {
	if d == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f ms", d.Duration().Seconds()*1000)
}

// loss is "lost/sent percent".
func loss(c *report.Count) string {
	switch {
	case c.Lost == nil:
		return "-"
	case c.LossPercent == nil:
		return fmt.Sprintf("%d/%d", *c.Lost, value(c.Sent))
	}
	return fmt.Sprintf("%d/%d %.1f%%", *c.Lost, value(c.Sent), *c.LossPercent)
}
