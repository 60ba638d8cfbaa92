package mroute

import (
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The sizes and offsets of linux/mroute.h. The counters of the two ioctl
// structures are C's unsigned long, which is a machine word on Linux.
func TestLayout(t *testing.T) {
	const word = unsafe.Sizeof(uintptr(0))
	var (
		v vifctl
		m mfcctl
		q vifReq
		s sgReq
	)
	for _, c := range []struct {
		what      string
		got, want uintptr
	}{
		{"vifctl", unsafe.Sizeof(v), 16},
		{"vifctl.flags", unsafe.Offsetof(v.flags), 2},
		{"vifctl.threshold", unsafe.Offsetof(v.threshold), 3},
		{"vifctl.rateLimit", unsafe.Offsetof(v.rateLimit), 4},
		{"vifctl.ifIndex", unsafe.Offsetof(v.ifIndex), 8},
		{"vifctl.remote", unsafe.Offsetof(v.remote), 12},
		{"mfcctl", unsafe.Sizeof(m), 60},
		{"mfcctl.group", unsafe.Offsetof(m.group), 4},
		{"mfcctl.parent", unsafe.Offsetof(m.parent), 8},
		{"mfcctl.ttls", unsafe.Offsetof(m.ttls), 10},
		{"mfcctl.counters", unsafe.Offsetof(m.counters), 44},
		{"sioc_vif_req", unsafe.Sizeof(q), 5 * word},
		{"sioc_vif_req.icount", unsafe.Offsetof(q.packetsIn), word},
		{"sioc_vif_req.ocount", unsafe.Offsetof(q.packetsOut), 2 * word},
		{"sioc_vif_req.ibytes", unsafe.Offsetof(q.bytesIn), 3 * word},
		{"sioc_vif_req.obytes", unsafe.Offsetof(q.bytesOut), 4 * word},
		{"sioc_sg_req", unsafe.Sizeof(s), 8 + 3*word},
		{"sioc_sg_req.grp", unsafe.Offsetof(s.group), 4},
		{"sioc_sg_req.pktcnt", unsafe.Offsetof(s.packets), 8},
		{"sioc_sg_req.bytecnt", unsafe.Offsetof(s.bytes), 8 + word},
		{"sioc_sg_req.wrong_if", unsafe.Offsetof(s.wrongIf), 8 + 2*word},
		{"SIOCGETVIFCNT", siocGetVifCount, 0x89e0},
		{"SIOCGETSGCNT", siocGetSGCount, 0x89e1},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %d, want %d", c.what, c.got, c.want)
		}
	}
}

func TestErrorFix(t *testing.T) {
	for _, c := range []struct {
		err  Error
		want string
	}{
		{Error{opOpen, "table 253", unix.EPERM}, "CAP_NET_RAW"},
		{Error{opOwn, "table 253", unix.EADDRINUSE}, "another program"},
		{Error{opOwn, "table 253", unix.ENOPROTOOPT}, "CONFIG_IP_MROUTE"},
		{Error{opTable, "table 7", unix.ENOPROTOOPT}, "MULTIPLE_TABLES"},
		{Error{opAdd, "vif 1", unix.EADDRNOTAVAIL}, "IPv4 address"},
	} {
		if got := c.err.Fix(); !strings.Contains(got, c.want) {
			t.Errorf("%v: fix %q does not say %q", &c.err, got, c.want)
		}
	}
}

// Damaged messages must neither panic nor loop.
func FuzzParse(f *testing.F) {
	f.Add(make([]byte, 16))
	f.Add([]byte("\x80\x20\x20\x00\xfd\x00\x00\x05\x00\x00\x00\x00\x08\x00\x0f\x00\xfd\x00\x00\x00\x0c\x00\x09\x00\x08\x00\x00\x01\x02\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Route
		_ = r.parse(b)
		if len(r.Outputs) > len(b)/unix.SizeofRtNexthop {
			t.Errorf("%d outputs out of %d bytes", len(r.Outputs), len(b))
		}
		vifs, _ := appendVifs(nil, b, DefaultTable)
		if len(vifs) > len(b)/4 {
			t.Errorf("%d vifs out of %d bytes", len(vifs), len(b))
		}
	})
}
