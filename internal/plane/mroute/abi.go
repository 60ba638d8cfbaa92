// Package mroute is the kernel's interface to IPv4 multicast routing, all of it
// in one place: the numbers and structures of linux/mroute.h, a [Table] that
// owns (or adopts) a multicast routing socket, and a [Reader] that looks at the
// tables of any owner through netlink.
//
// The kernel knows interfaces of multicast routing as vifs, numbered 0 to 31,
// and forwarding entries as (source, group) with an incoming vif and a TTL
// threshold for each outgoing one. Nothing outside of package plane needs these
// numbers.
package mroute

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MaxVifs is how many vifs one table has (MAXVIFS of linux/mroute.h).
const MaxVifs = 32

// DefaultTable is the table of a socket that chose none (RT_TABLE_DEFAULT).
const DefaultTable = 253

// Socket options of level IPPROTO_IP on a raw IGMP socket.
const (
	mrtInit     = 200 // int 1: own the table
	mrtDone     = 201
	mrtAddVif   = 202 // vifctl
	mrtDelVif   = 203 // vifctl
	mrtAddMFC   = 204 // mfcctl
	mrtDelMFC   = 205 // mfcctl
	mrtVersion  = 206 // get: 0x0305
	mrtAssert   = 207 // int: make upcalls of kind WRONGVIF
	mrtTable    = 209 // uint32, before mrtInit
	mrtVersion3 = 0x0305
)

// ioctl requests on any raw socket.
const (
	siocGetVifCount = unix.SIOCPROTOPRIVATE     // vifReq
	siocGetSGCount  = unix.SIOCPROTOPRIVATE + 1 // sgReq
)

// VifFlags say what a vif is. At most one is set.
type VifFlags uint32

// Flags of struct vifctl.
const (
	VifTunnel     VifFlags = 0x1 // an IP-in-IP tunnel made by the kernel
	VifRegister   VifFlags = 0x4 // the PIM register vif: no link at all
	VifUseIfIndex VifFlags = 0x8 // named by interface index; the usual kind
)

// vifctl is struct vifctl, with the interface index in place of the local address.
type vifctl struct {
	vif       uint16
	flags     uint8
	threshold uint8  // the kernel never looks at it
	rateLimit uint32 // ignored by Linux
	ifIndex   int32
	remote    [4]byte
}

// mfcctl is struct mfcctl.
type mfcctl struct {
	origin, group [4]byte
	parent        uint16
	ttls          [MaxVifs]uint8
	_             [2]byte
	counters      [4]uint32 // packets, bytes, wrong_if and expire: the kernel ignores them
}

// vifReq is struct sioc_vif_req; the counters are C's unsigned long.
type vifReq struct {
	vif                                      uint16
	packetsIn, packetsOut, bytesIn, bytesOut uintptr
}

// sgReq is struct sioc_sg_req.
type sgReq struct {
	source, group           [4]byte
	packets, bytes, wrongIf uintptr
}

// setStruct sets a socket option to the bytes of *v.
func setStruct[T vifctl | mfcctl](fd, opt int, v *T) error {
	return unix.SetsockoptString(fd, unix.IPPROTO_IP, opt,
		unsafe.String((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)))
}

// ioctl makes one of the two requests above, whose argument is read and written.
func ioctl[T vifReq | sgReq](fd int, request uint, v *T) error {
	// The kernel never sleeps for these: the scheduler need not know.
	_, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(unsafe.Pointer(v)))
	if errno != 0 {
		return errno
	}
	return nil
}

// Entry is a forwarding entry: packets of (Source, Group) that come in on vif
// Parent leave through each vif whose TTL threshold they exceed.
type Entry struct {
	Source, Group netip.Addr
	Parent        int
	// TTLs is the threshold of each vif: 0 and 255 do not forward, 1 forwards
	// all that can be forwarded. TTLs[Parent] must be 0: the kernel does not
	// leave the incoming vif out by itself.
	TTLs [MaxVifs]uint8
}

// VifCount counts what a vif has carried: in are only packets that came in on
// the vif that their entry expects, out are those forwarded through it.
type VifCount struct {
	PacketsIn, PacketsOut, BytesIn, BytesOut uint64
}

// SGCount counts the packets of an entry, those on a wrong vif included.
type SGCount struct {
	Packets, Bytes, WrongIf uint64
}
