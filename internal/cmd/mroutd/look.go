package mroutd

import (
	"context"
	"time"

	"mbone/internal/plane"
	"mbone/internal/plane/mroute"
	"mbone/internal/router/respond"
)

const (
	// settle is how long after a change the interfaces are looked at again: the
	// kernel tells of a new vif just before it can be seen. lookAgain is the same
	// when nothing was told.
	settle    = 100 * time.Millisecond
	lookAgain = 10 * time.Second
)

// view is what changes seldom: interfaces, addresses and vifs.
type view struct {
	links    map[int]plane.Link // by index
	networks []respond.Network
	vifs     []mroute.Vif
	// forwarding is whether somebody owns the kernel's multicast routing.
	forwarding bool
}

// observer makes views. It has sockets and a goroutine of its own: the kernel
// lists vifs only when it has nothing else to do with interfaces, which can take
// seconds, and questions are not to wait for that.
type observer struct {
	table   uint32
	watcher *plane.Watcher
	links   *plane.Links
	reader  *mroute.Reader
}

// openObserver opens the sockets; onClose is told how to close them.
func openObserver(table uint32, onClose func(func())) (*observer, error) {
	o := &observer{table: table}
	var err error
	// The watcher first, so that no change is missed.
	if o.watcher, err = plane.Watch(); err != nil {
		return nil, err
	}
	onClose(o.watcher.Close)
	if o.links, err = plane.OpenLinks(); err != nil {
		return nil, err
	}
	onClose(o.links.Close)
	if o.reader, err = mroute.OpenReader(); err != nil {
		return nil, err
	}
	onClose(o.reader.Close)
	return o, nil
}

// look reads the view of now.
func (o *observer) look() (*view, error) {
	list, err := o.links.List()
	if err != nil {
		return nil, err
	}
	v := &view{links: make(map[int]plane.Link)}
	for _, l := range list {
		v.links[l.Index] = l
		for _, a := range l.Addresses {
			v.networks = append(v.networks, respond.Network{Interface: l.Index, Address: a.Addr, Prefix: a.Net})
		}
	}
	if v.vifs, err = o.reader.Vifs(o.table); err != nil {
		return nil, err
	}
	v.forwarding, err = o.reader.Forwarding()
	return v, err
}

// wait turns changes that the kernel tells into at most one that is not yet seen
// to. It ends when the watcher is closed.
func (o *observer) wait(changes chan<- struct{}) error {
	for {
		if err := o.watcher.Wait(); err != nil {
			return closed(err)
		}
		select {
		case changes <- struct{}{}:
		default:
		}
	}
}

// run sends a view whenever something has changed, and now and then, until ctx
// ends.
func (o *observer) run(ctx context.Context, changes <-chan struct{}, views chan<- *view) error {
	timer := time.NewTimer(settle)
	defer timer.Stop()
	for {
		next := lookAgain
		select {
		case <-ctx.Done():
			return nil
		case <-changes:
			next = settle
		case <-timer.C:
		}
		v, err := o.look()
		if err != nil {
			return err
		}
		select {
		case views <- v:
		case <-ctx.Done():
			return nil
		}
		timer.Reset(next)
	}
}
