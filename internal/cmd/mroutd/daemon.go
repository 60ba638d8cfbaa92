package mroutd

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"time"

	"mbone/internal/cli"
	"mbone/internal/config"
	"mbone/internal/plane"
	"mbone/internal/router"
	"mbone/internal/router/host"
	"mbone/internal/router/respond"
)

const (
	// turn is how many events are handled before timers and interfaces are looked
	// at, so that no flood of packets keeps them waiting.
	turn = 64
	// inheritedGrace is how long the engine learns routes before it decides on
	// entries that it has inherited: two probes of a neighbour that speaks every 10
	// seconds, and its table.
	inheritedGrace = 25 * time.Second
)

// engine is what the loop runs: a [router.Engine], but for tests.
type engine interface {
	Handle(now time.Duration, event host.Event) *host.Actions
	Deadline(now time.Duration) (at time.Duration, ok bool)

	Questions() respond.Counts
	Transit() router.TransitCounts
	Refused() []uint64
}

// daemon is the host of an engine on Linux. All its state is owned by the goroutine
// of loop.
type daemon struct {
	options *options
	log     logs
	start   time.Time
	router  *plane.Router
	engine  engine

	config     *config.Config
	generation uint32
	forwarding bool

	lastID   host.Interface
	links    map[linkKey]*link
	refused  map[linkKey]string // why it is not used, as was logged
	warned   map[string]bool    // warnings about interfaces
	notices  map[string]bool    // of what is missing
	tunnels  tunnels
	refusals refusals
	reloaded chan *config.Config
}

// newDaemon opens everything that routing needs.
func newDaemon(o *options, c *config.Config, log logs) (*daemon, error) {
	inherited, err := inheritedSocket()
	if err != nil {
		return nil, err
	}
	r, err := plane.OpenRouter(plane.RouterOptions{Table: o.table, Inherited: inherited, Log: log.kernel})
	if err != nil {
		return nil, err
	}
	d := &daemon{
		options: o, log: log, start: time.Now(), router: r, config: c,
		links: make(map[linkKey]*link), refused: make(map[linkKey]string),
		warned: make(map[string]bool), notices: make(map[string]bool),
		refusals: newRefusals(o.reportEvery), reloaded: make(chan *config.Config, 1),
	}
	d.tunnels.init(r.Wake, log.iface)
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	d.engine = router.New(random, r, log.engine)
	if got, asked := r.ReceiveBuffer(); got < asked {
		log.kernel.Info("a burst of new flows may be too much: the socket buffer is smaller than wanted; raise net.core.rmem_max",
			"bytes", got, "wanted", asked)
	}
	return d, nil
}

// close gives everything up.
func (d *daemon) close() {
	d.tunnels.close()
	if err := d.router.Close(); err != nil {
		d.log.kernel.Warn("not closed", "error", err)
	}
}

// now is the time of the engine.
func (d *daemon) now() time.Duration { return time.Since(d.start) }

// run routes until ctx ends, and says good-bye then. ready is called when all links
// that are there are in use.
func (d *daemon) run(ctx context.Context, ready func() error) error {
	if !sleep(ctx, d.options.delay) {
		return nil
	}
	d.handle(&host.Configured{Settings: d.settings()})
	if err := d.follow(); err != nil {
		return err
	}
	d.router.DropInheritedVifs()
	if err := ready(); err != nil {
		return err
	}
	d.log.main.Log(ctx, levelNotice, "routing", "version", cli.Version, "table", d.options.table, "links", d.names())
	defer context.AfterFunc(ctx, d.router.Wake)()
	go d.listen(ctx, cli.Reloads(ctx), cli.Dumps(ctx))
	if err := d.loop(ctx); err != nil {
		return err
	}
	d.handle(&host.Shutdown{})
	d.refusals.tell(d.log.main, d.refusedCounts())
	d.log.main.Log(context.Background(), levelNotice, "told to end")
	return nil
}

// sleep waits, and reports whether it did so to the end.
func sleep(ctx context.Context, delay time.Duration) bool {
	select {
	case <-time.After(delay):
		return true
	case <-ctx.Done():
		return false
	}
}

// loop handles what happens, the most urgent first: upcalls, other packets,
// questions, then interfaces, and timers.
func (d *daemon) loop(ctx context.Context) error {
	askInherited := d.router.Inherited() > 0
	for ctx.Err() == nil {
		idle := false
		for range turn {
			event, err := d.router.Next()
			if err != nil {
				return err
			}
			if idle = event == nil; idle {
				break
			}
			d.logEvent(event)
			d.handle(event)
		}
		now := d.now()
		at, ok := d.engine.Deadline(now)
		if ok && at <= now {
			d.handle(&host.Tick{})
			at, ok = d.engine.Deadline(now)
		}
		if askInherited && now >= inheritedGrace {
			d.router.AskInherited()
			askInherited = false
		}
		d.refusals.look(now, d.log.main, d.refusedCounts)
		until := d.refusals.next
		if ok {
			until = min(until, at)
		}
		if askInherited {
			until = min(until, inheritedGrace)
		}
		limit := max(0, until-now)
		if !idle {
			limit = 0
		}
		interfaces, err := d.router.Wait(limit)
		if err != nil {
			return err
		}
		if err := d.others(interfaces); err != nil {
			return err
		}
	}
	return nil
}

// others handles what is no packet.
func (d *daemon) others(interfaces bool) error {
	changed := d.tunnels.changed()
	if interfaces {
		read, err := d.router.Interfaces.Read()
		if err != nil {
			return err
		}
		changed = changed || read
	}
	select {
	case c := <-d.reloaded:
		d.config = c
		d.handle(&host.Configured{Settings: d.settings()})
		changed = true
		d.log.main.Log(context.Background(), levelNotice, "configuration read again")
	default:
	}
	if !changed {
		return nil
	}
	if forwarding := d.router.Interfaces.Forwarding(); forwarding != d.forwarding {
		d.handle(&host.Configured{Settings: d.settings()})
	}
	return d.follow()
}

// handle tells the engine what has happened, and does what it wants.
func (d *daemon) handle(event host.Event) {
	d.router.Apply(d.engine.Handle(d.now(), event))
}

// logEvent logs packets and upcalls for who wants to see them all.
func (d *daemon) logEvent(event host.Event) {
	ctx := context.Background()
	switch v := event.(type) {
	case *host.Upcall:
		if d.log.kernel.Enabled(ctx, slog.LevelDebug) {
			d.log.kernel.Debug("upcall", "kind", v.Kind, "interface", d.name(v.Interface), "source", v.Source, "group", v.Group)
		}
	case *host.Packet:
		if d.log.packet.Enabled(ctx, slog.LevelDebug) {
			d.log.packet.Debug("packet", "interface", d.name(v.Interface), "from", v.From, "to", v.To, "ttl", v.TTL, "message", shown(v.Message))
		}
	}
}

// listen does what signals say, beside the loop: it reads the configuration again.
func (d *daemon) listen(ctx context.Context, reloads, dumps <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-dumps:
			// Who knows mrouted sends these, and must not end the router.
			d.log.main.Log(ctx, levelNotice, "there are no dumps yet: use mrinfo, mtrace and ip mroute, or -d", "signal", s)
			continue
		case <-reloads:
		}
		c, err := d.options.load(d.log.main)
		if err != nil {
			var problems config.Errors
			if errors.As(err, &problems) {
				for _, p := range problems {
					d.log.main.Error(p.Error())
				}
				err = errors.New("it has errors")
			}
			d.log.main.Error("configuration not read, the old one stays", "error", err)
			continue
		}
		select {
		case d.reloaded <- c:
			d.router.Wake()
		case <-ctx.Done():
			return
		}
	}
}

// route is mroutd: it runs until ctx ends.
func (o *options) route(ctx context.Context, call *cli.Call) error {
	if !o.foreground && len(o.debug) == 0 && background == nil {
		return o.startInBackground(ctx, call)
	}
	if err := o.settle(); err != nil {
		return err
	}
	log, err := o.openLogs(call.Stderr)
	if err != nil {
		return err
	}
	c, err := o.load(log.main)
	if err != nil {
		return tell(call, err)
	}
	if o.ipcFile != "" {
		log.main.Log(ctx, levelNotice, "there is no control socket yet", "file", o.ipcFile)
	}
	d, err := newDaemon(o, c, log)
	if err != nil {
		return couldNot(err)
	}
	defer d.close()
	d.generation = nextGeneration(o.generationPath(), log.main)
	dropPrivileges(log.main)
	remove := func() {}
	defer func() { remove() }()
	return couldNot(d.run(ctx, func() error {
		if written, err := writePID(o.pidPath()); err != nil {
			log.main.Warn("no pid file: choose another with -p, or another name for all files with -i", "error", err)
		} else {
			remove = written
		}
		return tellReady()
	}))
}

// settle makes paths independent of the working directory, and leaves that in the
// background.
func (o *options) settle() error {
	for _, path := range []*string{&o.configFile, &o.pidFile} {
		var err error
		if *path, err = absolute(*path); err != nil {
			return err
		}
	}
	if background != nil {
		return os.Chdir("/")
	}
	return nil
}

// addresses are those of an interface.
func addresses(l *plane.Link) []netip.Addr {
	list := make([]netip.Addr, len(l.Addresses))
	for i, a := range l.Addresses {
		list[i] = a.Addr
	}
	return list
}

// errNotReady is what a program in the background has died of without a word.
var errNotReady = errors.New("it has ended before it was ready")
