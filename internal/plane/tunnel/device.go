package tunnel

import (
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	cloneDevice = "/dev/net/tun"

	devconfRPFilter = 8 // IPV4_DEVCONF_RP_FILTER of linux/ip.h
	addrGenModeNone = 1 // IN6_ADDR_GEN_MODE_NONE of linux/if_link.h
)

// openDevice makes a TUN device and sets it up. It has no address, and goes when
// the file is closed.
func openDevice(name string) (*os.File, int, error) {
	fd, err := unix.Open(cloneDevice, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, &os.PathError{Op: "open", Path: cloneDevice, Err: err}
	}
	index, err := makeDevice(fd, name)
	if err != nil {
		unix.Close(fd)
		return nil, 0, err
	}
	return os.NewFile(uintptr(fd), name), index, nil
}

func makeDevice(fd int, name string) (index int, err error) {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return 0, errName
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_TUN_EXCL)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return 0, os.NewSyscallError("make device", err)
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return 0, os.NewSyscallError("open netlink", err)
	}
	defer h.Close()
	link, err := h.LinkByName(request.Name())
	if err != nil {
		return 0, err
	}
	index = link.Attrs().Index
	// Packets come from wherever they come, not from where unicast would go.
	if err := setRPFilter(index, 0); err != nil {
		return 0, os.NewSyscallError("set rp_filter", err)
	}
	// Without an address IPv6 says nothing. Where there is none it is not needed,
	// and what is said nevertheless is not carried.
	_ = h.LinkSetIP6AddrGenMode(link, addrGenModeNone)
	if err := h.LinkSetUp(link); err != nil {
		return 0, os.NewSyscallError("set up device", err)
	}
	return index, nil
}

// setRPFilter sets conf.IF.rp_filter through netlink: in containers /proc/sys is
// often read-only.
func setRPFilter(index int, value uint32) error {
	request := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(index)
	request.AddData(message)
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	spec.AddRtAttr(unix.AF_INET, nil).
		AddRtAttr(unix.IFLA_INET_CONF, nil).
		AddRtAttr(devconfRPFilter, nl.Uint32Attr(value))
	request.AddData(spec)
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	return err
}
