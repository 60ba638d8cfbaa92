package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"mbone/internal/plane/mroute"
)

// Build brings a topology up. If it fails, nothing is left of it.
//
// A program of the topology with the name of this very program is this very
// program, wherever it was installed.
func Build(t *Topology) (*Lab, error) {
	l, err := New()
	if err != nil {
		return nil, err
	}
	if err := l.build(t); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) build(t *Topology) error {
	for _, lan := range t.LANs {
		if _, err := l.AddLAN(lan.Name, lan.MTU); err != nil {
			return err
		}
	}
	for _, spec := range t.Hosts {
		h, err := l.AddHost(spec.Name)
		if err != nil {
			return err
		}
		if err := h.build(spec); err != nil {
			return err
		}
	}
	for _, spec := range t.Hosts {
		for _, args := range spec.Programs {
			path, err := program(args[0])
			if err != nil {
				return fmt.Errorf("lab: host %s: %w", spec.Name, err)
			}
			c := l.Host(spec.Name).Command(context.Background(), path, args[1:]...)
			c.Args[0] = args[0]
			if err := c.Start(); err != nil {
				return err
			}
		}
	}
	return nil
}

func program(name string) (string, error) {
	if name == filepath.Base(os.Args[0]) {
		return "/proc/self/exe", nil
	}
	return Find(name)
}

func (h *Host) build(spec HostSpec) error {
	for _, i := range spec.Interfaces {
		if i.Name == loopback {
			for _, a := range i.Addresses {
				if err := h.addLoopback(a); err != nil {
					return err
				}
			}
			continue
		}
		lan := h.lab.LAN(i.LAN)
		if lan == nil {
			return fmt.Errorf("lab: host %s: interface %s: there is no LAN %q", h.Name, i.Name, i.LAN)
		}
		if _, err := h.Attach(lan, i.Name, i.Addresses...); err != nil {
			return err
		}
	}
	for _, s := range spec.Sysctls {
		if err := h.Sysctl(s.Key, s.Value); err != nil {
			return err
		}
	}
	for _, r := range spec.Routes {
		if err := h.AddRoute(r); err != nil {
			return err
		}
	}
	for _, s := range spec.Losses {
		w := h.Wire(s.Interface)
		if w == nil {
			return fmt.Errorf("lab: host %s: loss: there is no interface %q", h.Name, s.Interface)
		}
		if err := w.SetLoss(s.Direction, s.Loss); err != nil {
			return err
		}
	}
	for _, f := range spec.Forwards {
		if err := h.Forward(f); err != nil {
			return err
		}
	}
	if err := h.Private(spec.Private...); err != nil {
		return err
	}
	for _, f := range spec.Files {
		if err := h.WriteFile(f.Path, []byte(f.Data), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// forwarding is the kernel's multicast routing table of a host that the lab
// owns, because it was told to forward.
type forwarding struct {
	table *mroute.Table
	vifs  map[string]int // by interface
}

// Forward adds a static multicast forwarding entry, or changes it. The first
// call makes the lab the owner of the host's multicast routing table, with each
// interface that is attached and has an address as a vif, numbered from 0 in
// the order of attachment: no routing daemon can own it then. As with any
// owner, the kernel no longer forwards IGMP to routable groups nor packets with
// Router Alert; the lab does not do it either.
func (h *Host) Forward(f Forward) error {
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	if err := h.forward(f); err != nil {
		return fmt.Errorf("lab: host %s: forward (%s, %s): %w", h.Name, f.Source, f.Group, err)
	}
	return nil
}

func (h *Host) forward(f Forward) error {
	if h.lab.closed {
		return errors.New("the lab is closed")
	}
	if h.forwards == nil {
		if err := h.openForwarding(); err != nil {
			return err
		}
	}
	vif := func(name string) (int, error) {
		if v, ok := h.forwards.vifs[name]; ok {
			return v, nil
		}
		return 0, fmt.Errorf("no interface %q that had an address when forwarding began", name)
	}
	e := mroute.Entry{Source: f.Source, Group: f.Group}
	var err error
	if e.Parent, err = vif(f.From); err != nil {
		return err
	}
	for _, o := range f.To {
		v, err := vif(o.Interface)
		if err != nil {
			return err
		}
		e.TTLs[v] = o.Threshold
	}
	return h.forwards.table.AddMFC(e)
}

func (h *Host) openForwarding() error {
	fw := &forwarding{vifs: make(map[string]int)}
	err := h.Do(func() (err error) {
		if fw.table, err = mroute.Open(0); err != nil {
			return err
		}
		for _, w := range h.wires {
			addresses, err := w.Addresses()
			if err != nil {
				return err
			}
			if len(addresses) == 0 {
				continue
			}
			if err := fw.table.AddVif(len(fw.vifs), w.Index); err != nil {
				return err
			}
			fw.vifs[w.Interface] = len(fw.vifs)
		}
		return nil
	})
	if err != nil && fw.table != nil {
		fw.table.Close()
	}
	if err == nil {
		h.forwards = fw
	}
	return err
}

func (h *Host) addLoopback(p netip.Prefix) error {
	link, err := h.netlink.LinkByName(loopback)
	if err == nil {
		err = h.netlink.AddrAdd(link, address(p))
	}
	if err != nil {
		return fmt.Errorf("lab: host %s: add %s to lo: %w", h.Name, p, err)
	}
	return nil
}
