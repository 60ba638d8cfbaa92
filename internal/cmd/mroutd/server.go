package mroutd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"mbone/internal/plane"
	"mbone/internal/plane/mroute"
	"mbone/internal/router/host"
	"mbone/internal/router/respond"
	"mbone/proto/igmp"
	"mbone/proto/pim"
)

const (
	// protocolIGMP is the IP protocol number of IGMP.
	protocolIGMP = 2
	// helloType is the first byte of the only PIM message that is of interest.
	helloType = 0x20

	// queueLen is how many packets wait for the loop; more wait in the socket,
	// and are lost when that is full.
	queueLen = 64
)

// joined are the groups that questions and Hellos are sent to; what is sent to
// all systems is heard anyway.
var joined = []netip.Addr{igmp.AllRouters, igmp.DVMRPRouters, igmp.PIMRouters}

// server answers questions out of the kernel's tables. All its state is owned by
// the goroutine of loop.
type server struct {
	table   uint32
	started time.Time
	log     struct{ main, iface, neighbors, traceroute *slog.Logger }

	observer  *observer
	igmp, pim *plane.Socket
	links     *plane.Links
	reader    *mroute.Reader
	counters  *mroute.Counters

	view      *view
	responder *respond.Responder
	heard     respond.Heard
	members   plane.Members
	alert     bool // the socket hears transit packets with Router Alert

	onClose []func()

	delayed  []delayedSend // by time
	refusals refusals
}

// delayedSend is an answer that waits, so that not all routers of a link speak
// at once.
type delayedSend struct {
	at   time.Time
	send respond.Send
}

// incoming is a packet of one of the two sockets.
type incoming struct {
	hello  bool
	packet plane.Packet
}

// newServer opens everything that the server needs, and looks around.
func newServer(o *options, stderr io.Writer) (*server, error) {
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	s := &server{table: o.table, started: time.Now(), responder: respond.New(random, respond.KernelLimits), refusals: newRefusals(o.reportEvery)}
	s.responder.Configure(host.Asking{Local: true, Private: true}, respond.KernelIdentity)
	s.log.main = o.logger(stderr, "")
	s.log.iface = o.logger(stderr, debugInterface)
	s.log.neighbors = o.logger(stderr, debugNeighbors)
	s.log.traceroute = o.logger(stderr, debugTraceroute)
	if err := s.open(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *server) open() (err error) {
	onClose := func(fn func()) { s.onClose = append(s.onClose, fn) }
	if s.igmp, err = plane.Listen(protocolIGMP, byte(igmp.TypeQuery), byte(igmp.TypeDVMRP), byte(igmp.TypeMtraceQuery)); err != nil {
		return err
	}
	onClose(func() { s.igmp.Close() })
	if s.pim, err = plane.Listen(pim.Protocol, helloType); err != nil {
		return err
	}
	onClose(func() { s.pim.Close() })
	if s.links, err = plane.OpenLinks(); err != nil {
		return err
	}
	onClose(s.links.Close)
	if s.reader, err = mroute.OpenReader(); err != nil {
		return err
	}
	onClose(s.reader.Close)
	if s.counters, err = mroute.OpenCounters(s.table); err != nil {
		return err
	}
	onClose(func() { s.counters.Close() })
	if s.observer, err = openObserver(s.table, onClose); err != nil {
		return err
	}
	onClose(func() { s.members.Close() })
	v, err := s.observer.look()
	if err != nil {
		return err
	}
	return s.see(v)
}

// close closes what is open.
func (s *server) close() {
	for _, fn := range s.onClose {
		fn()
	}
}

// run answers until ctx ends.
func (s *server) run(ctx context.Context) error {
	packets, changes, views := make(chan incoming, queueLen), make(chan struct{}, 1), make(chan *view)
	group, ctx := errgroup.WithContext(ctx)
	receive := func(socket *plane.Socket, hello bool) func() error {
		return func() error {
			for {
				in := incoming{hello: hello}
				if err := socket.Receive(&in.packet); err != nil {
					return closed(err)
				}
				select {
				case packets <- in:
				case <-ctx.Done():
					return nil
				}
			}
		}
	}
	group.Go(receive(s.igmp, false))
	group.Go(receive(s.pim, true))
	group.Go(func() error { return s.observer.wait(changes) })
	group.Go(func() error { return s.observer.run(ctx, changes, views) })
	group.Go(func() error {
		// What ends the loop ends those who wait for the kernel.
		defer s.observer.watcher.Close()
		defer s.pim.Close()
		defer s.igmp.Close()
		return s.loop(ctx, packets, views)
	})
	err := group.Wait()
	s.refusals.tell(s.log.main, s.refusedCounts())
	s.logQuestions()
	return err
}

// closed is err but for that the socket was closed.
func closed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// loop owns the state.
func (s *server) loop(ctx context.Context, packets <-chan incoming, views <-chan *view) error {
	s.log.main.Log(ctx, levelNotice, "answering", "table", s.table, "vifs", s.names())
	if len(s.view.vifs) == 0 {
		s.log.main.Log(ctx, levelNotice, "nothing routes multicast here yet: there are no vifs in this table")
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if len(s.delayed) > 0 {
			timer.Reset(time.Until(s.delayed[0].at))
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return nil
		case in := <-packets:
			s.handle(time.Now(), in)
		case v := <-views:
			if err := s.see(v); err != nil {
				return err
			}
			s.refusals.look(time.Since(s.started), s.log.main, s.refusedCounts)
		case now := <-timer.C:
			for len(s.delayed) > 0 && !s.delayed[0].at.After(now) {
				s.send(s.delayed[0].send)
				s.delayed = slices.Delete(s.delayed, 0, 1)
			}
		}
	}
}

// handle hears a packet, and answers it if it is a question.
func (s *server) handle(now time.Time, in incoming) {
	p := respond.Packet{
		Time: in.packet.Time, From: in.packet.From, To: in.packet.To, Interface: in.packet.IfIndex, Message: in.packet.Message,
	}
	since := now.Sub(s.started)
	if in.hello {
		if s.heard.Hello(since, p, s.view.networks) {
			s.log.neighbors.Debug("PIM Hello", "from", p.From, "interface", s.name(p.Interface))
		}
		return
	}
	if s.heard.Query(since, p, s.view.networks) {
		s.log.neighbors.Debug("IGMP query", "from", p.From, "interface", s.name(p.Interface))
		return
	}
	result := s.responder.Handle(since, p, &tables{s, since})
	if result.Outcome == respond.Ignored {
		return
	}
	log, level := s.log.traceroute, slog.LevelDebug
	if igmp.Type(p.Message[0]) == igmp.TypeDVMRP {
		log = s.log.neighbors
	}
	if result.Outcome == respond.Failed {
		level = slog.LevelError
	}
	attrs := []any{"from", p.From, "to", p.To, "interface", s.name(p.Interface), "outcome", result.Outcome}
	if result.Err != nil {
		attrs = append(attrs, "error", result.Err)
	}
	log.Log(context.Background(), level, "question", attrs...)
	for _, send := range result.Send {
		if result.After == 0 {
			s.send(send)
			continue
		}
		d := delayedSend{now.Add(result.After), send}
		i, _ := slices.BinarySearchFunc(s.delayed, d, func(a, b delayedSend) int { return a.at.Compare(b.at) })
		s.delayed = slices.Insert(s.delayed, i, d)
	}
}

func (s *server) send(p respond.Send) {
	err := s.igmp.Send(plane.Datagram{
		To: p.To, Source: p.Source, IfIndex: p.Interface, TTL: p.TTL, Loop: p.Loop, Message: p.Message,
	})
	if err != nil {
		// The asker may have gone, or the route to it: that is no fault of ours.
		s.log.main.Info("answer not sent", "error", err)
	}
}

// see takes a new view and joins what must be joined.
func (s *server) see(v *view) error {
	old := s.view
	s.view = v
	var links, vifs []int
	for index := range v.links {
		links = append(links, index)
	}
	for _, vif := range v.vifs {
		if vif.Flags != mroute.VifRegister && len(v.links[vif.IfIndex].Addresses) > 0 {
			vifs = append(vifs, vif.IfIndex)
		}
	}
	s.heard.Keep(links)
	if err := s.members.Set(vifs, joined); err != nil {
		s.log.main.Warn("questions by multicast may not be heard", "error", err)
	}
	// With multicast routing, its owner hears packets with Router Alert too and
	// sends those in transit on. Without it, to hear them would be to swallow them.
	if v.forwarding != s.alert {
		if err := s.igmp.SetRouterAlert(v.forwarding); err != nil {
			return err
		}
		s.alert = v.forwarding
	}
	same := func(a, b mroute.Vif) bool { return a.ID == b.ID && a.IfIndex == b.IfIndex }
	if old != nil && !slices.EqualFunc(old.vifs, v.vifs, same) {
		s.log.main.Log(context.Background(), levelNotice, "interfaces changed", "vifs", s.names())
	}
	s.log.iface.Debug("looked around", "vifs", s.names(), "forwarding", v.forwarding)
	return nil
}

func (s *server) refusedCounts() []count { return refusedQuestions(s.responder.Counts()) }

// logQuestions logs what became of all questions.
func (s *server) logQuestions() {
	var attrs []any
	for i, n := range s.responder.Counts() {
		if outcome := respond.Outcome(i); n > 0 && outcome != respond.Ignored {
			attrs = append(attrs, outcome.String(), n)
		}
	}
	s.log.main.Info("questions in all", attrs...)
}

// name is the name of an interface.
func (s *server) name(index int) string { return s.view.links[index].Name }

// names are the names of the vifs.
func (s *server) names() []string {
	names := []string{}
	for _, v := range s.view.vifs {
		names = append(names, s.name(v.IfIndex))
	}
	return names
}
