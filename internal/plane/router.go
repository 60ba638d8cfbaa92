package plane

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"mbone/internal/plane/mroute"
	"mbone/internal/router/host"
	"mbone/proto/igmp"
)

const (
	// routingBuffer is the socket buffer for upcalls, some ten thousand of them: one
	// that finds no room is not repeated for ten seconds. questionBuffer holds some
	// hundreds of questions.
	routingBuffer  = 16 << 20
	questionBuffer = 256 << 10
	// maxUpcalls is how many upcalls are told in a row while other packets wait: a
	// flood of new flows must not make neighbours seem silent.
	maxUpcalls = 256
	// maxAsked is how many questions are taken at once. Their answers leave together:
	// an upcall waits for them, 100 to 200 µs.
	maxAsked   = 16
	sendBuffer = 1 << 20
	// settle is how many entries are worked on in one go: less than a millisecond.
	settleStep = 256
)

// routerGroups are joined on every link: routers, and where IGMPv3 reports go.
var routerGroups = []netip.Addr{igmp.AllRouters, igmp.DVMRPRouters, igmp.IGMPv3Routers}

// RouterOptions say how a router is opened.
type RouterOptions struct {
	// Table is the multicast routing table; 0: the default one.
	Table uint32
	// Inherited is a socket that owns the table already, with vifs and entries in
	// use. The router closes it. nil: a new one is made.
	Inherited *os.File
	// Log is told what goes wrong later.
	Log *slog.Logger
}

// RouterCounts count what a router has seen and lost.
type RouterCounts struct {
	Upcalls, Packets, Questions uint64
	// Dropped are packets that found no room while something more urgent was done,
	// Unsent those that the kernel refused to send.
	Dropped, Unsent uint64
}

// Router is the kernel's multicast routing for an engine of package router: it makes
// events of what the kernel tells and of packets, upcalls first, and does what the
// engine wants. What is wanted is kept beside what is installed: vifs and entries
// come and go in the kernel only where the two differ.
//
// The kernel's numbers for vifs stay inside. A link keeps its identity when its vif
// gets another number.
//
// All methods but Wake belong to one goroutine, and the router to the network
// namespace of the thread that opened it. Links are to be added in that too.
type Router struct {
	log     *slog.Logger
	table   *mroute.Table
	routing int // descriptor of the table
	sending int // of questions and answers, and all that is sent
	passing int // of what is sent with the header of somebody else
	poll    *poller
	// Interfaces follows those of the host. Wait says when it has something to read.
	Interfaces *Interfaces

	links   map[host.Interface]*vif
	byIndex map[int]host.Interface
	slots   [mroute.MaxVifs]slot
	members Members
	entries entries
	adopted adopted

	upcalls, questions *batch
	readable           uint32 // tags of sockets that have more, as far as is known
	row                int    // upcalls since the last other packet
	together           bool   // the next question came with the last one, and little was done since
	hold               bool   // what is to be sent may wait for the next answer
	groups             uint64 // of questions that came together, so far
	group              uint64 // of the question that is handled; 0: it is none
	control, traces    queue  // of packets of the routing socket that are no upcalls
	upcall             host.Upcall
	packet             host.Packet
	out                outgoing
	counts             RouterCounts
}

// Tags of descriptors in the poller.
const (
	tagRouting = iota
	tagQuestions
	tagInterfaces
)

// OpenRouter takes the table, and opens all sockets. It needs CAP_NET_ADMIN and
// CAP_NET_RAW.
func OpenRouter(o RouterOptions) (*Router, error) {
	r := &Router{
		log: o.Log, routing: -1, sending: -1, passing: -1,
		links: make(map[host.Interface]*vif), byIndex: make(map[int]host.Interface),
		upcalls: newBatch(batchLen), questions: newBatch(maxAsked), readable: 1<<tagRouting | 1<<tagQuestions,
		out: newOutgoing(),
	}
	r.entries.wanted = make(map[flow]entry)
	if err := r.open(o); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Router) open(o RouterOptions) (err error) {
	if o.Inherited != nil {
		r.table, err = mroute.Adopt(o.Inherited, o.Table)
	} else {
		r.table, err = mroute.Open(o.Table)
	}
	if err != nil {
		return err
	}
	if err := r.table.SetAssert(true); err != nil {
		return err
	}
	r.routing = int(r.table.File().Fd())
	filter, err := routingFilter()
	if err == nil {
		err = setUp(r.routing, routingBuffer, filter)
	}
	if err != nil {
		return &Error{"set up", "multicast routing socket", err}
	}
	if r.sending, err = openQuestions(); err != nil {
		return &Error{"open", "raw IGMP socket", err}
	}
	if r.passing, err = openPassing(); err != nil {
		return &Error{"open", "raw socket", err}
	}
	if r.Interfaces, err = OpenInterfaces(); err != nil {
		return err
	}
	if r.poll, err = newPoller(); err != nil {
		return err
	}
	err = errors.Join(r.poll.add(r.routing, tagRouting), r.poll.add(r.sending, tagQuestions), r.poll.add(r.Interfaces.fd, tagInterfaces))
	if err != nil {
		return &Error{"wait for", "sockets", err}
	}
	if o.Inherited != nil {
		return r.readInherited(o.Table)
	}
	return nil
}

// openQuestions opens the socket that hears questions, also those in transit that
// have Router Alert, and that sends.
func openQuestions() (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_IGMP)
	if err != nil {
		return -1, err
	}
	filter, err := questionFilter()
	if err == nil {
		err = setUp(fd, questionBuffer, filter)
	}
	if err == nil {
		err = os.NewSyscallError("set IP_ROUTER_ALERT", unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_ROUTER_ALERT, 1))
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	setSendBuffer(fd)
	return fd, nil
}

// ReceiveBuffer returns how many bytes of upcalls may wait; the kernel may have
// given less than what was asked for.
func (r *Router) ReceiveBuffer() (got, asked int) {
	n, err := unix.GetsockoptInt(r.routing, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return 0, routingBuffer
	}
	return n / 2, routingBuffer // the kernel counts its own share in
}

// Counts returns what was seen and lost.
func (r *Router) Counts() RouterCounts { return r.counts }

// Close gives up the table, which removes vifs and entries, unless another process
// holds a copy of its socket.
func (r *Router) Close() error {
	if r.poll != nil {
		r.poll.close()
	}
	if r.Interfaces != nil {
		r.Interfaces.Close()
	}
	for _, fd := range []*int{&r.passing, &r.sending} {
		if *fd >= 0 {
			unix.Close(*fd)
		}
		*fd = -1
	}
	err := r.members.Close()
	if r.table != nil {
		err = errors.Join(err, r.table.Close())
		r.table = nil
	}
	return err
}

// Wake makes Wait return. It may be called from any goroutine.
func (r *Router) Wake() { r.poll.wakeUp() }

// Wait waits until there is something for Next or for Interfaces to read, but not
// longer than limit (negative: for ever), nor if there was a Wake.
func (r *Router) Wait(limit time.Duration) (interfaces bool, err error) {
	if r.control.n > 0 || r.traces.n > 0 || r.upcalls.at < r.upcalls.n || r.questions.at < r.questions.n || r.busy() {
		limit = 0
	}
	ready, err := r.poll.wait(limit)
	r.readable |= ready
	return ready&(1<<tagInterfaces) != 0, err
}

// busy is whether Next has work of its own.
func (r *Router) busy() bool { return len(r.entries.stale) > 0 || len(r.adopted.ask) > 0 }

// Next returns the most urgent of what has happened: an upcall, then other packets,
// then questions; nil if nothing has. It does not wait, and what it returns is valid
// until the next call. Apply is to be told next what it leads to.
func (r *Router) Next() (host.Event, error) {
	r.hold, r.group = false, 0
	if r.together {
		return r.question()
	}
	for r.row < maxUpcalls || r.control.n == 0 {
		if !r.receive(r.upcalls, r.routing, tagRouting) {
			break
		}
		if r.upcalls.err != nil {
			return nil, &Error{"receive from", "multicast routing socket", r.upcalls.err}
		}
		for packet, control, ok := r.upcalls.next(); ok; packet, control, ok = r.upcalls.next() {
			if r.isUpcall(packet) {
				r.counts.Upcalls++
				r.row++
				return &r.upcall, nil
			}
			r.putAside(packet, control)
		}
	}
	r.row = 0
	r.settle()
	if p := r.control.take(); p != nil && r.fill(p.packet, p.in, p.at, p.local) {
		r.lookAgain()
		r.counts.Packets++
		return &r.packet, nil
	}
	if r.askAdopted() {
		r.lookAgain()
		return &r.upcall, nil
	}
	if p := r.traces.take(); p != nil && r.fill(p.packet, p.in, p.at, p.local) {
		r.lookAgain()
		r.counts.Questions++
		return &r.packet, nil
	}
	return r.question()
}

// question returns the next question, nil if there is none.
func (r *Router) question() (host.Event, error) {
	if r.questions.empty() {
		r.flush()
		if !r.receive(r.questions, r.sending, tagQuestions) {
			r.together = false
			return nil, nil
		}
		r.groups++
		if r.readable&(1<<tagQuestions) != 0 {
			r.lookAgain() // upcalls do not wait for all of them
		}
	}
	if r.questions.err != nil {
		return nil, &Error{"receive from", "raw IGMP socket", r.questions.err}
	}
	for packet, control, ok := r.questions.next(); ok; packet, control, ok = r.questions.next() {
		at, ifIndex, local := readControl(control)
		if r.fill(packet, r.byIndex[ifIndex], at, local) {
			r.counts.Questions++
			r.together = !r.questions.empty()
			r.hold, r.group = r.together, r.groups
			return &r.packet, nil
		}
	}
	r.together = false
	r.flush()
	return nil, nil
}

// lookAgain makes Next look for upcalls before anything else, without a Wait: what
// it returns now may take long, and an upcall holds up packets.
func (r *Router) lookAgain() { r.readable |= 1 << tagRouting }

// receive takes packets from a socket if there are none left and it may have some,
// and reports whether there are any, or an error.
func (r *Router) receive(b *batch, fd int, tag uint) bool {
	if b.empty() && r.readable&(1<<tag) != 0 {
		if b.receive(fd); b.n < b.limit {
			r.readable &^= 1 << tag
		}
	}
	return !b.empty() || b.err != nil
}

// Kinds of upcalls: IGMPMSG_NOCACHE and IGMPMSG_WRONGVIF of linux/mroute.h.
const (
	upcallNoCache  = 1
	upcallWrongVif = 2
)

// isUpcall reports whether a packet is a question of the kernel that the engine
// knows, and fills r.upcall. Its struct igmpmsg lies over the IP header.
func (r *Router) isUpcall(b []byte) bool {
	if len(b) < minHeader || b[offsetProtocol] != 0 {
		return false
	}
	switch b[8] {
	case upcallNoCache:
		r.upcall.Kind = host.NoCache
	case upcallWrongVif:
		r.upcall.Kind = host.WrongVif
	default:
		return false
	}
	vif := int(b[10]) | int(b[11])<<8
	if vif >= len(r.slots) || r.slots[vif].id == 0 {
		return false
	}
	r.upcall.Interface = r.slots[vif].id
	r.upcall.Source = netip.AddrFrom4([4]byte(b[12:]))
	r.upcall.Group = netip.AddrFrom4([4]byte(b[16:]))
	return true
}

// putAside keeps a packet of the routing socket until there are no upcalls. Mtrace
// waits in a queue of its own, so that questions never crowd out control messages.
func (r *Router) putAside(packet, control []byte) {
	n := headerLen(packet)
	if n == 0 || packet[offsetProtocol] == 0 || len(packet) == n {
		return
	}
	q := &r.control
	if t := igmp.Type(packet[n]); t == igmp.TypeMtraceQuery || t == igmp.TypeMtraceResponse {
		q = &r.traces
	}
	at, ifIndex, local := readControl(control)
	in := r.byIndex[ifIndex]
	if in == 0 && packet[offsetDestination]&0xf0 == 0xe0 {
		return // multicast on an interface that is none of ours
	}
	if !q.put(packet, in, at, local) {
		r.counts.Dropped++
	}
}

// fill makes r.packet of a packet with its header. The kernel says which address of
// this host was meant: for a packet in transit another one than its destination.
func (r *Router) fill(packet []byte, in host.Interface, at time.Time, local netip.Addr) bool {
	r.packet.Interface, r.packet.Wall = in, at
	if !readPacket(&r.packet, packet) {
		return false
	}
	r.packet.Local = r.packet.To == local
	return true
}

// Apply does what the engine wants: entries first, since packets wait for them. What
// answers a question is sent with the answers to those that came with it.
func (r *Router) Apply(a *host.Actions) {
	for i := range a.Entries {
		r.applyEntry(&a.Entries[i])
	}
	for i := range a.Send {
		r.send(&a.Send[i])
	}
	if !r.hold {
		r.flush()
		r.together = false
	}
	r.hold, r.group = false, 0
}

// Flow implements [host.Counters].
func (r *Router) Flow(source, group netip.Addr) (host.FlowCount, bool) {
	if !r.entries.wanted[flowOf(source, group)].installed {
		return host.FlowCount{}, false
	}
	n, err := r.table.SGCount(source, group)
	if err != nil {
		return host.FlowCount{}, false
	}
	return host.FlowCount(n), true
}

// Link implements [host.Counters]. Questions that came together get the same count.
func (r *Router) Link(id host.Interface) (host.LinkCount, bool) {
	v := r.links[id]
	if v == nil || v.slot < 0 {
		return host.LinkCount{}, false
	}
	if r.group != 0 && v.counted == r.group {
		return v.count, true
	}
	n, err := r.table.VifCount(v.slot)
	if err != nil {
		return host.LinkCount{}, false
	}
	v.count, v.counted = host.LinkCount(n), r.group
	return v.count, true
}

// vif is a link that is wanted to be a vif of the kernel.
type vif struct {
	ifIndex int
	slot    int // -1: not installed
	// count is what was counted for a question, one of the group that counted says.
	count   host.LinkCount
	counted uint64
}

// slot is a number for vifs.
type slot struct {
	id host.Interface // 0: free
	// used is whether entries of the kernel may name it from earlier.
	used bool
}

// ErrNoVif is why a link cannot be used: the kernel has a vif for no more than 32.
var ErrNoVif = errors.New("the kernel has room for 32 interfaces of multicast routing, all are taken")

// AddLink makes an interface of the host a vif, and joins the groups of routers and
// others there. A link that is added already is added again in vain, or joins other
// groups. The error is an [*Error] or [*mroute.Error]; it is ErrNoVif for the 33rd.
func (r *Router) AddLink(id host.Interface, ifIndex int, name string, groups []netip.Addr) error {
	if r.links[id] == nil {
		v := &vif{ifIndex: ifIndex, slot: -1}
		if err := r.install(id, v, name); err != nil {
			return err
		}
		r.links[id], r.byIndex[ifIndex] = v, id
		r.markStale(id)
	}
	return r.members.Join(ifIndex, append(slices.Clip(routerGroups), groups...))
}

// install gives a vif its place in the kernel.
func (r *Router) install(id host.Interface, v *vif, name string) error {
	if n, ok := r.adopted.vifs[v.ifIndex]; ok {
		delete(r.adopted.vifs, v.ifIndex)
		v.slot, r.slots[n].id = n, id
		return nil
	}
	// Numbers that no entry names come first.
	n := slices.IndexFunc(r.slots[:], func(s slot) bool { return s.id == 0 && !s.used })
	if n < 0 {
		n = slices.IndexFunc(r.slots[:], func(s slot) bool { return s.id == 0 })
		for n >= 0 && len(r.entries.stale) > 0 {
			r.settle()
		}
	}
	if n < 0 {
		return &Error{"add", "interface " + name, ErrNoVif}
	}
	if err := r.table.AddVif(n, v.ifIndex); err != nil {
		if e, ok := errors.AsType[*mroute.Error](err); ok {
			e.Object = "interface " + name
		}
		return err
	}
	v.slot, r.slots[n] = n, slot{id: id, used: true}
	return nil
}

// RemoveLink forgets a link. Entries that come in there are removed, others leave no
// more there.
func (r *Router) RemoveLink(id host.Interface) {
	v := r.links[id]
	if v == nil {
		return
	}
	// Entries first, while they can be found by the link; the kernel would let its
	// outputs apply to whatever gets the number of the vif next.
	r.markStale(id)
	delete(r.links, id)
	delete(r.byIndex, v.ifIndex)
	r.slots[v.slot].id = 0
	// If the interface has gone, so has its vif.
	if err := r.table.DelVif(v.slot); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		r.log.Warn("vif not removed", "error", err)
	}
	r.members.Leave(v.ifIndex)
}

// HasVif reports whether the kernel has the vif of a link. It has lost it if the
// interface was removed, even if another one has got its index since.
func (r *Router) HasVif(id host.Interface) bool {
	_, ok := r.Link(id)
	return ok
}

// setSendBuffer asks for room for the bursts of routes.
func setSendBuffer(fd int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer) != nil {
		// An error leaves the buffer as it was.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	}
}

// flow is a source and group.
type flow uint64

func flowOf(source, group netip.Addr) flow {
	s, g := source.As4(), group.As4()
	return flow(binary.BigEndian.Uint32(s[:]))<<32 | flow(binary.BigEndian.Uint32(g[:]))
}

func (f flow) addresses() (source, group netip.Addr) {
	var s, g [4]byte
	binary.BigEndian.PutUint32(s[:], uint32(f>>32))
	binary.BigEndian.PutUint32(g[:], uint32(f))
	return netip.AddrFrom4(s), netip.AddrFrom4(g)
}
