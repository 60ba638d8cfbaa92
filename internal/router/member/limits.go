package member

import "time"

// Bounds of what one link, group or message may cost, besides [host.Limits].
const (
	// restOf says what one link cannot have where there are several: one part in
	// restOf of the groups and sources that the router keeps is left to the others.
	restOf = 4
	// maxGroupSources is how many sources of one group are kept on a link, since
	// each report costs time in proportion to them. Hosts name ten at most unless
	// somebody raised a limit of theirs.
	maxGroupSources = 1024
	// maxReportWork is what one report may cost: a unit for each source that is in
	// a record, or that its group has, and recordWork for each record. What comes
	// after that is left out; it is less than a millisecond. A report of hosts fits
	// on Ethernet: 183 records at most, of groups with some 70 sources each then.
	maxReportWork = 16 * maxGroupSources
	recordWork    = 16
	// maxQuerySources is how many sources fit into a query on Ethernet: 1500 bytes
	// less an IP header with Router Alert (24) and what stands before them (12).
	maxQuerySources = (1500 - 24 - 12) / 4
	// maxChecks is how many times a second a link begins to be asked who is left of
	// a group: one report can demand more than a hundred queries. What is left
	// beyond that waits for its timer.
	maxChecks = 1000
	// walkSlice is how many groups are worked on at once when a link goes up, goes
	// down or is removed, walkPause how long the others wait.
	walkSlice = 512
	walkPause = time.Millisecond
	// reuseLen is the length of reports up to which their decoded form is kept to
	// be used again. Large ones could make it grow without bound.
	reuseLen = 1500
	// logPause is the least time between two lines in the log that say the same.
	logPause = time.Minute
)

// What is believed of another querier's variables. QRV has three bits, and 1 must
// not be (RFC 3376 section 8.1); the interval is that which can be configured,
// though QQIC could say nine hours: so long would groups be kept.
const (
	minRobustness  = 2
	minInterval    = time.Second
	maxInterval    = 1024 * time.Second
	minMaxResponse = time.Second / 10
	// maxResponseV2 is what the byte of versions 1 and 2 can say.
	maxResponseV2 = 25500 * time.Millisecond
)

// seldom holds back lines of the log that come too often.
type seldom struct {
	next time.Duration
	held uint64
}

// allow reports whether a line may be written, and how many were held back since
// the last one.
func (s *seldom) allow(now time.Duration) (held uint64, ok bool) {
	if now < s.next {
		s.held++
		return 0, false
	}
	held, s.held = s.held, 0
	s.next = now + logPause
	return held, true
}
