package dvmrp

import (
	"net/netip"

	"mbone/internal/router/host"
)

// accepts reports whether a filter lets a route pass.
func accepts(f *host.Filter, net netip.Prefix) bool {
	if len(f.Routes) == 0 {
		return true
	}
	for _, r := range f.Routes {
		if r.Prefix == net || !r.Exact && r.Prefix.Bits() <= net.Bits() && r.Prefix.Contains(net.Addr()) {
			return !f.Deny
		}
	}
	return f.Deny
}
