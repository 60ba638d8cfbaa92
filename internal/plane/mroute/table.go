package mroute

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Counters reads the counters of one of the kernel's tables, whoever owns it. It
// belongs to the network namespace of the thread that opened it. Its methods may
// be called at the same time. Unlike the dumps of a [Reader] they never wait for
// other work of the kernel, such as the removal of a network namespace.
type Counters struct {
	file *os.File
	id   uint32

	mu sync.Mutex // of all that follows
	fd int        // of file; -1: closed
	// Entries and counters are in such numbers that the arguments of the calls for
	// them are kept: nothing is allocated for one.
	mfc mfcctl
	vif vifReq
	sg  sgReq
}

// Table is a multicast routing socket that owns one of the kernel's tables:
// closing it removes the vifs and entries that it has added.
type Table struct{ *Counters }

// OpenCounters makes a socket for the counters of the table with this id; 0 is
// the default table. It needs CAP_NET_RAW, and for another table than the default
// one CAP_NET_ADMIN as well.
func OpenCounters(id uint32) (*Counters, error) {
	c, err := open(id)
	if err != nil {
		return nil, err
	}
	// It is a raw socket, but nobody is going to receive from it.
	err = c.control(func(fd int) error {
		drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop})
	})
	if err != nil {
		c.Close()
		return nil, &Error{opOpen, c.String(), err}
	}
	return c, nil
}

// Open makes a socket and takes the table with this id; 0 is the default table.
// Only one program can own a table at a time: another one's gives EADDRINUSE.
// It needs CAP_NET_RAW and CAP_NET_ADMIN.
func Open(id uint32) (*Table, error) {
	c, err := open(id)
	if err != nil {
		return nil, err
	}
	t := &Table{c}
	if err := t.control(func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, mrtInit, 1) }); err != nil {
		t.Close()
		return nil, &Error{opOwn, t.String(), err}
	}
	return t, nil
}

// Adopt takes a socket that owns table id (0: the default one) already, such as
// one that an earlier process has handed down. The Table closes it.
func Adopt(file *os.File, id uint32) (*Table, error) {
	c, err := newCounters(file, id)
	if err != nil {
		return nil, err
	}
	return &Table{c}, nil
}

// open makes a multicast routing socket for a table. It waits in reads, so that
// the poller of Go's runtime leaves it alone: who reads has a poller of its own.
func open(id uint32) (*Counters, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_IGMP)
	if err != nil {
		return nil, &Error{opOpen, tableName(id), err}
	}
	if id != 0 && id != DefaultTable {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, mrtTable, int(id)); err != nil {
			unix.Close(fd)
			return nil, &Error{opTable, tableName(id), err}
		}
	}
	return newCounters(os.NewFile(uintptr(fd), "mroute"), id)
}

func newCounters(file *os.File, id uint32) (*Counters, error) {
	c := &Counters{file: file, id: id, fd: int(file.Fd())}
	if err := c.checkVersion(); err != nil {
		file.Close()
		return nil, &Error{opOpen, tableName(id), err}
	}
	return c, nil
}

func (c *Counters) checkVersion() error {
	return c.control(func(fd int) error {
		version, err := unix.GetsockoptInt(fd, unix.IPPROTO_IP, mrtVersion)
		if err != nil {
			return err
		}
		if version != mrtVersion3 {
			return fmt.Errorf("kernel speaks version %#x of the interface, want %#x", version, mrtVersion3)
		}
		return nil
	})
}

// control runs f on the socket. Close waits for it.
func (c *Counters) control(f func(fd int) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return os.ErrClosed
	}
	return f(c.fd)
}

func tableName(id uint32) string {
	if id == 0 || id == DefaultTable {
		return "the default multicast routing table"
	}
	return fmt.Sprintf("multicast routing table %d", id)
}

// String returns what the table is called in errors.
func (c *Counters) String() string { return tableName(c.id) }

// Close closes the socket. A [Table] is given up by that, unless another process
// holds a copy of the socket.
func (c *Counters) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fd = -1
	return c.file.Close()
}

// File is the socket: upcalls and IGMP messages are read from it, and a child
// process that gets it keeps the table alive. It stays the Table's to close.
func (t *Table) File() *os.File { return t.file }

// AddVif makes vif number vif of the interface with index ifIndex, which must
// have an IPv4 address. Entries lose outputs to vifs that did not exist when
// they were added: add them again afterwards.
func (t *Table) AddVif(vif, ifIndex int) error {
	err := error(unix.ENFILE)
	if vif >= 0 && vif < MaxVifs {
		ctl := vifctl{vif: uint16(vif), flags: uint8(VifUseIfIndex), threshold: 1, ifIndex: int32(ifIndex)}
		err = t.control(func(fd int) error { return setStruct(fd, mrtAddVif, &ctl) })
	}
	if err != nil {
		return &Error{opAdd, fmt.Sprintf("vif %d (interface index %d)", vif, ifIndex), err}
	}
	return nil
}

// DelVif removes a vif. Outputs of entries to it stay and will apply to the
// next vif of that number: add the entries again afterwards.
func (t *Table) DelVif(vif int) error {
	err := error(unix.EADDRNOTAVAIL)
	if vif >= 0 && vif < MaxVifs {
		ctl := vifctl{vif: uint16(vif)}
		err = t.control(func(fd int) error { return setStruct(fd, mrtDelVif, &ctl) })
	}
	if err != nil {
		return &Error{opDelete, fmt.Sprintf("vif %d", vif), err}
	}
	return nil
}

// AddMFC adds an entry, or changes it if its source and group are there
// already: then its counters go on. Packets that wait for it are forwarded.
func (t *Table) AddMFC(e Entry) error {
	err := error(unix.ENFILE)
	if e.Parent >= 0 && e.Parent < MaxVifs {
		err = t.setMFC(mrtAddMFC, &e)
	}
	if err != nil {
		return &Error{opAdd, sg(e.Source, e.Group), err}
	}
	return nil
}

// DelMFC removes an entry and its counters.
func (t *Table) DelMFC(source, group netip.Addr) error {
	if err := t.setMFC(mrtDelMFC, &Entry{Source: source, Group: group}); err != nil {
		return &Error{opDelete, sg(source, group), err}
	}
	return nil
}

func (t *Table) setMFC(op int, e *Entry) error {
	if !e.Source.Is4() || !e.Group.Is4() {
		return errNotIPv4
	}
	return t.control(func(fd int) error {
		t.mfc = mfcctl{origin: e.Source.As4(), group: e.Group.As4(), parent: uint16(e.Parent), ttls: e.TTLs}
		return setStruct(fd, op, &t.mfc)
	})
}

// SetAssert chooses whether the kernel asks about packets that come in on
// another vif than the one that their entry expects, if that is one of its
// outputs.
func (t *Table) SetAssert(on bool) error {
	value := 0
	if on {
		value = 1
	}
	if err := t.control(func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, mrtAssert, value) }); err != nil {
		return &Error{opAssert, t.String(), err}
	}
	return nil
}

// VifCount reads the counters of a vif.
func (c *Counters) VifCount(vif int) (VifCount, error) {
	var n VifCount
	err := c.control(func(fd int) error {
		c.vif = vifReq{vif: uint16(vif)}
		err := ioctl(fd, siocGetVifCount, &c.vif)
		n = VifCount{
			PacketsIn: uint64(c.vif.packetsIn), PacketsOut: uint64(c.vif.packetsOut),
			BytesIn: uint64(c.vif.bytesIn), BytesOut: uint64(c.vif.bytesOut),
		}
		return err
	})
	if err != nil {
		return VifCount{}, &Error{opCount, fmt.Sprintf("vif %d", vif), err}
	}
	return n, nil
}

// SGCount reads the counters of an entry.
func (c *Counters) SGCount(source, group netip.Addr) (SGCount, error) {
	err := errNotIPv4
	var n SGCount
	if source.Is4() && group.Is4() {
		err = c.control(func(fd int) error {
			c.sg = sgReq{source: source.As4(), group: group.As4()}
			err := ioctl(fd, siocGetSGCount, &c.sg)
			n = SGCount{Packets: uint64(c.sg.packets), Bytes: uint64(c.sg.bytes), WrongIf: uint64(c.sg.wrongIf)}
			return err
		})
	}
	if err != nil {
		return SGCount{}, &Error{opCount, sg(source, group), err}
	}
	return n, nil
}

// errNotIPv4 is why an entry of other addresses is refused.
var errNotIPv4 = errors.New("not a pair of IPv4 addresses")

func sg(source, group netip.Addr) string { return fmt.Sprintf("(%s, %s)", source, group) }
