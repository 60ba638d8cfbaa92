package report

import (
	"net/netip"
	"time"
)

// PathSchema and PathVersion name the document of mtrace.
const (
	PathSchema  = "mbone/mtrace"
	PathVersion = 1
)

// StatsSchema and StatsVersion name the document of mstat, which is a [Path] too:
// one for each interval.
const (
	StatsSchema  = "mbone/mstat"
	StatsVersion = 1
)

// Path is the document of mtrace: the way that multicast from a source takes to
// a receiver, walked backwards.
type Path struct {
	Document
	// Source, Receiver and Group are null if the run failed before they were
	// known. The group is 0.0.0.0 for a weak trace, which follows the reverse
	// path only.
	Source   Address `json:"source"`
	Receiver Address `json:"receiver"`
	Group    Address `json:"group"`
	// SourceName and ReceiverName are host names; null if there is none or none was asked for.
	SourceName   *string `json:"source_name"`
	ReceiverName *string `json:"receiver_name"`
	Method       Method  `json:"method"`
	Query        Query   `json:"query"`
	// Reached is whether the path ends at the source.
	Reached bool `json:"reached"`
	// Hops are the routers, the one next to the receiver first.
	Hops []Hop `json:"hops"`
	// Next is the router behind the last hop, where the trace ended before the
	// source; null if none is known.
	Next *NextHop `json:"next_hop"`
	// RTT is the time from the query to its answer, Return that from the last
	// hop's arrival to the answer.
	RTT    *Milliseconds `json:"rtt_ms"`
	Return *Milliseconds `json:"return_ms"`
	// TTLRequired is the TTL that a packet of the source needs to come to the receiver.
	TTLRequired *int `json:"ttl_required"`
	// Change says how this path differs from the one before it, in a watch.
	Change *PathChange `json:"change"`
	// Events are what has happened to the path since the document before, in a
	// watch, in the order in which it was noticed.
	Events []PathEvent `json:"events"`
	// Statistics are what two or more traces of the same path say together.
	Statistics *Statistics `json:"statistics"`
	// Causes are what is likely wrong, the likeliest first.
	Causes []Cause `json:"causes"`
}

// Method says how a path was found.
type Method string

// The methods. A path that began as full and then asked hop by hop is HopByHop.
const (
	MethodNone      Method = "none"       // nothing was asked
	MethodFull      Method = "full"       // one query for the whole path
	MethodLimited   Method = "limited"    // one query with a limit of hops
	MethodHopByHop  Method = "hop_by_hop" // one query per hop
	MethodOverheard Method = "overheard"  // somebody else's, heard or read from a recording
)

// Query is the question that was answered, or the last one if none was.
type Query struct {
	To       Address `json:"to"`       // whom it was sent to
	From     Address `json:"from"`     // its source address
	Response Address `json:"response"` // where the answer was sent to
	// ResponseTTL counts only if Response is multicast; null if nothing was asked.
	ResponseTTL *int    `json:"response_ttl"`
	TTL         *int    `json:"ttl"`          // of the query; null if it was not seen
	Hops        *int    `json:"hops"`         // the most hops asked for; null if nothing was asked
	Gateway     Address `json:"gateway"`      // of -g
	ID          *uint32 `json:"query_id"`     // of the answered one, 24 bits
	Sent        int     `json:"queries_sent"` // in the whole run up to now
	// SentAt and AnsweredAt are when the answered query left and its answer
	// came; null if unknown.
	SentAt     *time.Time `json:"sent_at"`
	AnsweredAt *time.Time `json:"answered_at"`
	// AnsweredFrom is the address that the answer came from.
	AnsweredFrom Address `json:"answered_from"`
	BadChecksum  bool    `json:"bad_checksum"`
}

// Hop is one router of a path: what its block says, as it came and interpreted.
type Hop struct {
	Number  int     `json:"hop"`     // 1 next to the receiver
	Address Address `json:"address"` // the outgoing address, else the incoming
	Name    *string `json:"name"`
	// Incoming is the address towards the source, Outgoing towards the
	// receiver; null if the router did not say.
	Incoming Address `json:"incoming"`
	Outgoing Address `json:"outgoing"`
	// Previous is the router towards the source: null where the source is on
	// the link, and 224.0.0.2 where the router does not know.
	Previous Address `json:"previous"`
	Protocol string  `json:"protocol"` // "DVMRP", "PIM", ...
	FwdTTL   int     `json:"fwd_ttl"`  // threshold of the outgoing interface
	// Code is the forwarding code as a word, "no_error" and so on; Error is the
	// text that people know, empty for no error. Fatal codes end a trace.
	Code  string `json:"code"`
	Error string `json:"error"`
	Fatal bool   `json:"fatal"`
	// SourceNet is the source's network as the router sees it: null if it named none.
	SourceNet *netip.Prefix `json:"source_net"`
	// WholeNet is set if PacketsGroup counts all sources of SourceNet.
	WholeNet bool `json:"whole_net"`
	// GroupOnly is set if the router forwards on the state of the group, (*,G).
	GroupOnly bool `json:"group_only"`
	// Arrival is when the query came to the router, by its own clock, and
	// Elapsed the time from the query to it.
	Arrival *time.Time    `json:"arrival"`
	Elapsed *Milliseconds `json:"elapsed_ms"`
	// Delay is the time from the hop before (towards the receiver; from the
	// query at the first), by both routers' clocks: negative if they differ.
	Delay *Milliseconds `json:"delay_ms"`
	// PacketsIn and PacketsOut count all multicast in on Incoming and out on
	// Outgoing, PacketsGroup that of the source and group; null if unknown.
	PacketsIn    *uint64 `json:"packets_in"`
	PacketsOut   *uint64 `json:"packets_out"`
	PacketsGroup *uint64 `json:"packets_group"`
	// Asked is the address of the router that this block was asked of directly,
	// because the hop before it did not pass the request on; null if none was.
	Asked Address `json:"asked_directly"`
	Tries int     `json:"tries"` // queries sent for this hop alone; 0 if it came with a longer answer
	// Unreliable are the fields that are known to be wrong, and why.
	Unreliable []Unreliable `json:"unreliable"`
	Raw        RawBlock     `json:"raw"`
}

// RawBlock is a block as it was on the wire.
type RawBlock struct {
	Arrival      uint32     `json:"arrival"` // the middle 32 bits of an NTP time
	Incoming     netip.Addr `json:"incoming"`
	Outgoing     netip.Addr `json:"outgoing"`
	Previous     netip.Addr `json:"previous"`
	PacketsIn    uint32     `json:"packets_in"`
	PacketsOut   uint32     `json:"packets_out"`
	PacketsGroup uint32     `json:"packets_group"`
	Protocol     uint8      `json:"protocol"`
	FwdTTL       uint8      `json:"fwd_ttl"`
	Mask         uint8      `json:"mask"` // byte 30, the S bit in it
	Code         uint8      `json:"code"`
}

// NextHop is a router of which no block came.
type NextHop struct {
	Address Address `json:"address"`
	Name    *string `json:"name"`
	Verdict Verdict `json:"verdict"`
	// Version is what it said to Ask-Neighbors2; null if it did not answer.
	Version *Version `json:"version"`
}

// Verdict is what is known of a router of which no block came.
type Verdict string

// The verdicts.
const (
	IsNext       Verdict = "next"      // beyond the limit of hops
	WouldBeNext  Verdict = "would_be"  // the hop before reports an error
	NoMtrace     Verdict = "no_mtrace" // does not support mtrace
	DidNotAnswer Verdict = "no_answer" // did not respond
)

// Unreliable is a field that is known to be wrong.
type Unreliable struct {
	Field  string `json:"field"` // the key in the hop
	Reason string `json:"reason"`
}

// PathChange says what differs from the path before.
type PathChange struct {
	After Milliseconds `json:"after_ms"` // since the watch began
	// Hop is the first hop that differs; 0 if only the number of hops does.
	Hop    int    `json:"hop"`
	Reason string `json:"reason"`
}

// PathEvent is something that has happened to a path that is being watched.
type PathEvent struct {
	Kind PathEventKind `json:"kind"`
	Time time.Time     `json:"time"` // when it was noticed
	// Hop is where; 0 if at no hop. Address is that of the router there.
	Hop     int     `json:"hop"`
	Address Address `json:"address"`
	Text    string  `json:"text"` // the same in words
}

// PathEventKind is the kind of an event.
type PathEventKind string

// The kinds of events.
const (
	// EventReset: the counters of the router began anew, as when it restarts.
	EventReset PathEventKind = "reset"
	// EventGroupReset: only its counter of the source and group did, as when its
	// entry was made anew.
	EventGroupReset PathEventKind = "group_reset"
	// EventRouteChanged: from this hop on (0: only the number of hops differs) the
	// path is another. Statistics begin anew.
	EventRouteChanged PathEventKind = "route_changed"
	// EventLost: the path does not answer any more from this hop on; 0: not at all.
	EventLost PathEventKind = "lost"
	// EventBack: it answers again, and is the same. Statistics go on.
	EventBack PathEventKind = "back"
)

// Statistics compare traces of one path. The counters of routers have 32 bits;
// here they are followed over their ends.
type Statistics struct {
	Samples  int          `json:"samples"`   // traces compared, 2 or more
	Interval Milliseconds `json:"period_ms"` // between the last two
	Total    Milliseconds `json:"total_ms"`  // between the first and the last
	// Links are those between two routers of the path and from the last router
	// to the receiver; that one comes first.
	Links []Link `json:"links"`
	// Resets counts how often the counters of a router began anew.
	Resets int `json:"resets"`
}

// Link is what was lost between a hop and the one after it, towards the receiver.
type Link struct {
	From int `json:"from"` // number of the hop that sends
	To   int `json:"to"`   // number of the hop that receives; 0: the receiver
	// Last covers the time since the previous trace, Total since the first one, or
	// since both ends could be compared.
	Last  Traffic `json:"last"`
	Total Traffic `json:"total"`
	// TTL is what a packet needs at From to come to the receiver.
	TTL int `json:"ttl"`
}

// Traffic is what went over a link in a time.
type Traffic struct {
	// Seconds is the time by the sender's clock, rounded, at least 1; that of each
	// count is its period.
	Seconds int `json:"seconds"`
	// All is all multicast, Group that of the source and group.
	All   Count `json:"all"`
	Group Count `json:"group"`
}

// Count compares what one router sent with what the next one received in the
// same time; null where a router does not say. Loss may be negative: on a LAN
// with several senders more comes in than one of them sent.
type Count struct {
	Sent        *int64   `json:"sent"`
	Received    *int64   `json:"received"`
	Lost        *int64   `json:"lost"`         // null also where the two do not count the same
	LossPercent *Decimal `json:"loss_percent"` // null if nothing was sent
	// LossLow and LossHigh are the ends of the interval in which the link's chance
	// to lose a packet is, with 95 % confidence (Wilson's score interval). They are
	// null if LossPercent is, or is negative.
	LossLow  *Decimal `json:"loss_low_percent"`
	LossHigh *Decimal `json:"loss_high_percent"`
	Rate     *Decimal `json:"rate_pps"`
	// Period is the time counted, by the sender's clock; null if nothing was.
	Period *Milliseconds `json:"period_ms"`
	// Reliable is false if a router on either side counts wrongly, or something else.
	Reliable bool `json:"reliable"`
	// Marks are what is to be known about these numbers.
	Marks []Mark `json:"marks"`
}

// Mark is something to be known about a count.
type Mark string

// The marks, in the order in which they stand.
const (
	// MarkFewPackets: too few packets to tell the loss of the link: the interval
	// from LossLow to LossHigh is wider than 10 percent.
	MarkFewPackets Mark = "few_packets"
	// MarkMoreReceived: more came in than went out.
	MarkMoreReceived Mark = "more_received"
	// MarkReset: the counters of a router on either side began anew. A total is
	// since then, an interval has no count of that router.
	MarkReset Mark = "reset"
	// MarkWrongCounter: a router's counter is known to be wrong and left out.
	MarkWrongCounter Mark = "wrong_counter"
	// MarkOtherCount: one router counts the source, the other its network or all
	// sources of the group. There is no loss then.
	MarkOtherCount Mark = "other_count"
)

// Cause is something that is likely wrong.
type Cause struct {
	Hop  int    `json:"hop"`  // where; 0 if at no hop
	Code string `json:"code"` // a stable word
	Text string `json:"text"`
	Fix  string `json:"fix"` // what to do about it; empty if nobody here can
}
