package ask

import (
	"cmp"
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"mbone/proto/dvmrp"
)

// answers collects what comes to one question, packet by packet, and says what
// the routers said. It keeps each different packet once and no more of them than
// its limits allow.
//
// An answer may come in several packets, without number or mark of the end: a
// packet with room for another record is its last. So packets belong together
// if a full one came right before the other; two that do not are two versions
// of the answer, and one of them is forged or damaged.
type answers struct {
	link    bool // of a multicast question: any sender counts
	senders map[sender]*set
	order   []*set // by first arrival
	aliases int    // of these
	held    int    // bytes
}

// sender is who sent a packet, and what sort of packet. Packets of different
// senders are never united.
type sender struct {
	from netip.Addr
	code dvmrp.Code
	bad  bool // wrong checksum
}

// set is what came from one sender.
type set struct {
	sender
	alias bool // from is not the address asked
	tries int  // until the first packet
	// Of the first packet.
	time time.Time
	rtt  time.Duration
	// changed is when a new packet came last, by this host's clock, and began
	// when the first did.
	began, changed time.Time
	// completed is since when every answer in the set is complete; zero if not.
	completed time.Time
	parts     []part
	held      int            // bytes
	index     map[string]int // of parts, by message
	// previous is the part before, if it was full and goes on; else -1.
	previous int
	arrivals int
	headless bool // a packet came before the first one that was taken
}

// part is one packet of an answer.
type part struct {
	message string
	version dvmrp.Version
	ttl     uint8
	full    bool
	lists   bool   // the address asked, or its sender's, is one of its local addresses
	rounds  uint64 // bit n: came after question n+1
	// arrivals number its arrivals among all of the set, one for each bit of rounds.
	arrivals []int
	group    int // index of a part of the same answer, the least in the end
}

// arrival is a packet as it comes to add.
type arrival struct {
	packet *Packet
	parsed *dvmrp.Neighbors
	bad    bool
	alias  bool
	lists  bool
	now    time.Time
	rtt    time.Duration
	round  int // questions sent so far, from 1
	tries  int // as the answer will count them
}

// verdict is what became of a packet; the better the less.
type verdict int

const (
	taken verdict = iota
	duplicate
	overflow
	spoofed
	unasked
)

// add takes a packet.
func (a *answers) add(v arrival) verdict {
	who := sender{v.packet.From, v.parsed.Code, v.bad}
	s := a.senders[who]
	round := uint64(1) << (min(v.round, 64) - 1)
	if s != nil {
		if i, known := s.index[string(v.packet.Message)]; known {
			again := s.parts[i].rounds&round != 0
			s.follow(i)
			if again {
				return duplicate
			}
			s.parts[i].arrive(round, s.arrivals)
			s.check(v.now)
			return taken
		}
	}
	size := len(v.packet.Message) + partOverhead
	if a.full(s, v.alias, size) {
		return overflow
	}
	if s == nil {
		s = &set{
			sender: who, alias: v.alias, tries: v.tries, time: v.packet.Time, rtt: v.rtt, began: v.now,
			index: make(map[string]int), previous: -1,
		}
		if a.senders == nil {
			a.senders = make(map[sender]*set)
		}
		a.senders[who] = s
		a.order = append(a.order, s)
		if v.alias {
			a.aliases++
		}
	}
	a.held += size
	s.held += size
	i := len(s.parts)
	s.parts = append(s.parts, part{
		message: string(v.packet.Message), version: v.parsed.Version, ttl: v.packet.TTL,
		full: v.parsed.Full(), lists: v.lists, group: i,
	})
	s.index[s.parts[i].message] = i
	s.changed = v.now
	s.follow(i)
	s.parts[i].arrive(round, s.arrivals)
	s.check(v.now)
	return taken
}

// full reports whether a new packet of a sender (nil: a new one) is beyond what
// is kept. The router asked has its place, however many claim to be it.
func (a *answers) full(s *set, alias bool, size int) bool {
	switch {
	case a.link && a.held+size > maxLinkHeld:
		return true
	case s != nil:
		return len(s.parts) >= maxParts || s.held+size > maxHeld
	case a.link:
		return len(a.order) >= maxLinkSenders
	}
	return alias && a.aliases >= maxAliases
}

// arrive notes that the part came in a round.
func (p *part) arrive(round uint64, number int) {
	p.rounds |= round
	p.arrivals = append(p.arrivals, number)
}

// arrived returns the number of the part's arrival in a round, or of its first.
func (p *part) arrived(round uint64) int {
	if p.rounds&round == 0 {
		return p.arrivals[0]
	}
	return p.arrivals[bits.OnesCount64(p.rounds&(round-1))]
}

// follow notes that part i came: right after a full one it belongs to the same
// answer, if it has the same version and came as far.
func (s *set) follow(i int) {
	s.arrivals++
	if p := s.previous; p >= 0 && s.parts[p].version == s.parts[i].version && s.parts[p].ttl == s.parts[i].ttl {
		s.join(p, i)
	}
	s.previous = -1
	if s.parts[i].full {
		s.previous = i
	}
}

// join makes the groups of parts i and j one.
func (s *set) join(i, j int) {
	from, to := max(s.parts[i].group, s.parts[j].group), min(s.parts[i].group, s.parts[j].group)
	if from == to {
		return
	}
	for k := range s.parts {
		if s.parts[k].group == from {
			s.parts[k].group = to
		}
	}
}

// asked forgets the part before: what comes next answers another question.
func (a *answers) asked() {
	for _, s := range a.order {
		s.previous = -1
	}
}

// check notes whether all that came is complete. A full packet alone beside a
// complete answer may be the first half of it that came late.
func (s *set) check(now time.Time) {
	for _, g := range s.groups() {
		if !s.complete(g) {
			s.completed = time.Time{}
			return
		}
	}
	if s.completed.IsZero() {
		s.completed = now
	}
}

// complete reports whether a group has all of its packets, as far as can be
// known: it has a packet with room, came as a whole once, and was asked for often
// enough. Once is enough for a single packet and twice for several, of which one
// in the middle may have got lost; once more if none lists the router's address,
// and twice if something came before a single one.
func (s *set) complete(group int) bool {
	common, seen, end, lists, n := ^uint64(0), uint64(0), false, false, 0
	for i := range s.parts {
		if p := &s.parts[i]; p.group == group {
			common &= p.rounds
			seen |= p.rounds
			end = end || !p.full
			lists = lists || p.lists
			n++
		}
	}
	enough := min(n, 2)
	if !lists {
		enough++
	}
	if s.headless && n == 1 {
		enough += 2
	}
	return end && common != 0 && bits.OnesCount64(seen) >= enough
}

// repeated reports whether a packet came after two questions: damage done by the
// sender, not on the way.
func (s *set) repeated() bool {
	return slices.ContainsFunc(s.parts, func(p part) bool { return bits.OnesCount64(p.rounds) > 1 })
}

// groups returns the first parts of the answers in s, in the order in which they came.
func (s *set) groups() []int {
	var g []int
	for i := range s.parts {
		if s.parts[i].group == i {
			g = append(g, i)
		}
	}
	return g
}

// rank orders what one router said: good before bad, the address asked before
// aliases, the new form before the old one, the first before the later ones.
func rank(a, b *set) int {
	return cmp.Or(order(a.bad, b.bad), order(a.alias, b.alias), cmp.Compare(b.code, a.code))
}

func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// best returns the best set, nil if nothing came.
func (a *answers) best() *set {
	if len(a.order) == 0 {
		return nil
	}
	return slices.MinFunc(a.order, rank)
}

// answer returns what s says about the router asked, with its conflicts: the
// first version that is complete, if one is.
func (s *set) answer(asked netip.Addr) NeighborsAnswer {
	groups := s.groups()
	slices.SortStableFunc(groups, func(a, b int) int { return order(!s.complete(a), !s.complete(b)) })
	answer := s.unite(asked, groups[0])
	for _, g := range groups[1:min(len(groups), 1+maxConflicts)] {
		answer.Conflicts = append(answer.Conflicts, s.unite(asked, g))
	}
	return answer
}

// unite makes one answer of the packets of a group.
func (s *set) unite(asked netip.Addr, group int) NeighborsAnswer {
	var parts []*part
	common := ^uint64(0)
	for i := range s.parts {
		if p := &s.parts[i]; p.group == group {
			parts = append(parts, p)
			common &= p.rounds
		}
	}
	whole := common & -common // the first round that brought all of them
	slices.SortStableFunc(parts, func(a, b *part) int { return cmp.Compare(a.arrived(whole), b.arrived(whole)) })
	answer := NeighborsAnswer{
		Asked: asked, From: s.from, Old: s.code == dvmrp.CodeNeighbors, Version: parts[0].version,
		RTT: s.rtt, Tries: s.tries, Packets: len(parts), BadChecksum: s.bad,
		Uncertain: !s.complete(group), Time: s.time,
	}
	first := make(map[record]int)
	for _, p := range parts {
		var n dvmrp.Neighbors // its slices become the answer's
		if n.Parse([]byte(p.message)) != nil {
			continue // cannot be: add was given the same bytes parsed
		}
		before := len(answer.Interfaces)
		for _, i := range n.Interfaces {
			key := record{i.Local, i.Metric, i.Threshold, i.Flags}
			at, seen := first[key]
			switch {
			case seen && at < before && i.Flags&dvmrp.FlagTunnel == 0:
				answer.Interfaces[at].Neighbors = union(answer.Interfaces[at].Neighbors, i.Neighbors)
			case !seen:
				first[key] = len(answer.Interfaces)
				fallthrough
			default:
				answer.Interfaces = append(answer.Interfaces, i)
			}
		}
	}
	return answer
}

// record is what the second half of a record that was split repeats. Tunnels
// from one address may look alike but have one neighbour each and are not split.
type record struct {
	local             netip.Addr
	metric, threshold uint8
	flags             dvmrp.InterfaceFlags
}

// union appends to a what is new in b, which is short: a packet's worth.
func union(a, b []netip.Addr) []netip.Addr {
	had := make(map[netip.Addr]bool, len(a))
	for _, x := range a {
		had[x] = true
	}
	for _, x := range b {
		if !had[x] {
			had[x] = true
			a = append(a, x)
		}
	}
	return a
}
