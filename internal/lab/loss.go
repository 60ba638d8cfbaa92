package lab

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Direction is one of the two directions of a wire, as its host sees it.
type Direction uint8

// Directions.
const (
	In  Direction = iota // from the LAN to the host
	Out                  // from the host to the LAN
)

// String returns the word of a topology file.
func (d Direction) String() string {
	if d == Out {
		return "out"
	}
	return "in"
}

// Loss says what a wire loses in one direction. The zero value loses nothing.
type Loss struct {
	// Percent is the chance of each packet to be lost, 0 to 100, in steps of
	// 0.0001. Each packet is drawn for itself.
	Percent float64
	// The rest restricts the loss to IPv4 packets of one protocol (0: any, 17:
	// UDP) and of these addresses (invalid: any). If nothing is restricted, all
	// frames are lost alike, ARP and those of other protocols too.
	Protocol            uint8
	Source, Destination netip.Prefix
}

// lossSteps is the resolution of Loss: this many steps make 100 percent.
const lossSteps = 1_000_000

// wireTable is the nftables table in the hub that loses packets. Each direction
// of a wire has a chain and a counter, made when they are first needed, of the
// same name. Everything happens at the port: what comes from the host is lost
// after it was sent, what goes to the host is lost before it arrives, as
// captures in the host show.
type wireTable struct {
	mu    sync.Mutex
	conn  *nftables.Conn
	table *nftables.Table
	chain map[string]*nftables.Chain
}

// LossError is a kernel that cannot lose packets.
type LossError struct{ Err error }

// Error names what the kernel lacks.
func (e *LossError) Error() string {
	return fmt.Sprintf("nftables: %v (loss needs Linux 5.16 with CONFIG_NF_TABLES_NETDEV, CONFIG_NETFILTER_EGRESS and CONFIG_NFT_NUMGEN)", e.Err)
}

// Unwrap returns the kernel's error.
func (e *LossError) Unwrap() error { return e.Err }

// SetLoss makes the wire lose packets in one direction, instead of what it lost
// before. The counter of [Wire.Drops] goes on.
func (w *Wire) SetLoss(d Direction, loss Loss) error {
	if err := loss.check(); err != nil {
		return w.wrap("set loss", err)
	}
	return w.wrap("set loss", w.Host.lab.filter.set(w, d, loss))
}

// Cut makes the wire lose everything in both directions. Nobody is told: the
// carrier stays.
func (w *Wire) Cut() error {
	all := Loss{Percent: 100}
	return errors.Join(w.SetLoss(In, all), w.SetLoss(Out, all))
}

// Mend ends all loss of the wire.
func (w *Wire) Mend() error {
	return errors.Join(w.SetLoss(In, Loss{}), w.SetLoss(Out, Loss{}))
}

// Drops returns exactly how many packets the wire has lost in one direction.
func (w *Wire) Drops(d Direction) (uint64, error) {
	n, err := w.Host.lab.filter.drops(w, d)
	return n, w.wrap("read drops", err)
}

func (l Loss) check() error {
	if !(l.Percent >= 0 && l.Percent <= 100) {
		return fmt.Errorf("loss of %v percent: want 0 to 100", l.Percent)
	}
	for _, p := range []netip.Prefix{l.Source, l.Destination} {
		if p.IsValid() && !p.Addr().Is4() {
			return fmt.Errorf("loss restricted to %v: want an IPv4 prefix", p)
		}
	}
	return nil
}

func chainName(w *Wire, d Direction) string { return w.port + d.String() }

func (f *wireTable) set(w *Wire, d Direction, loss Loss) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn == nil {
		conn, err := nftables.New(nftables.WithNetNSFd(int(w.Host.lab.hub.net.Fd())))
		if err != nil {
			return &LossError{err}
		}
		f.conn, f.chain = conn, make(map[string]*nftables.Chain)
		f.table = &nftables.Table{Family: nftables.TableFamilyNetdev, Name: "wires"}
	}
	name := chainName(w, d)
	chain := f.chain[name]
	if chain == nil {
		chain = &nftables.Chain{
			Name: name, Table: f.table, Type: nftables.ChainTypeFilter, Device: w.port,
			Hooknum: nftables.ChainHookIngress, Priority: nftables.ChainPriorityFilter,
		}
		if d == In {
			chain.Hooknum = nftables.ChainHookEgress
		}
		f.conn.AddTable(f.table)
		f.conn.AddChain(chain)
		f.conn.AddObj(&nftables.CounterObj{Table: f.table, Name: name})
	}
	// One transaction: no packet meets half a rule.
	f.conn.FlushChain(chain)
	if loss.Percent > 0 {
		f.conn.AddRule(&nftables.Rule{Table: f.table, Chain: chain, Exprs: loss.rule(name)})
	}
	if err := f.conn.Flush(); err != nil {
		return &LossError{err}
	}
	f.chain[name] = chain
	return nil
}

func (f *wireTable) drops(w *Wire, d Direction) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := chainName(w, d)
	if f.chain[name] == nil {
		return 0, nil
	}
	obj, err := f.conn.GetObj(&nftables.CounterObj{Table: f.table, Name: name})
	if err != nil {
		return 0, &LossError{err}
	}
	for _, o := range obj {
		if c, ok := o.(*nftables.CounterObj); ok && c.Name == name {
			return c.Packets, nil
		}
	}
	return 0, &LossError{fmt.Errorf("counter %s: %w", name, os.ErrNotExist)}
}

// Offsets in the IPv4 header.
const (
	offsetProtocol    = 9
	offsetSource      = 12
	offsetDestination = 16
)

// rule returns the expressions of the rule that loses, counting in the counter
// of this name. Register 1 is free between any two tests.
func (l Loss) rule(counter string) []expr.Any {
	var e []expr.Any
	equal := func(data []byte) { e = append(e, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data}) }
	header := func(offset, length uint32) {
		e = append(e, &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length})
	}
	prefix := func(offset uint32, p netip.Prefix) {
		header(offset, 4)
		mask := ipNet(p).Mask
		e = append(e, &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)})
		equal(p.Masked().Addr().AsSlice())
	}
	if l.Protocol != 0 || l.Source.IsValid() || l.Destination.IsValid() {
		e = append(e, &expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1})
		equal(binaryutil.BigEndian.PutUint16(unix.ETH_P_IP))
	}
	if l.Protocol != 0 {
		header(offsetProtocol, 1)
		equal([]byte{l.Protocol})
	}
	if l.Source.IsValid() {
		prefix(offsetSource, l.Source)
	}
	if l.Destination.IsValid() {
		prefix(offsetDestination, l.Destination)
	}
	if steps := uint32(math.Round(l.Percent / 100 * lossSteps)); steps < lossSteps {
		e = append(e,
			&expr.Numgen{Register: 1, Modulus: lossSteps, Type: unix.NFT_NG_RANDOM},
			// Comparison is of bytes, so the big end must come first.
			&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
			&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binaryutil.BigEndian.PutUint32(steps)})
	}
	return append(e,
		&expr.Objref{Type: int(nftables.ObjTypeCounter), Name: counter},
		&expr.Verdict{Kind: expr.VerdictDrop})
}
