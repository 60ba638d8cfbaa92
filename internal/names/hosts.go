package names

import (
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// maxHosts is how much of a hosts file is read, in bytes.
const maxHosts = 4 << 20

// hosts is what a hosts file says (hosts(5)).
type hosts struct {
	names   map[netip.Addr]string
	byNames map[string][]netip.Addr
}

// readHosts reads a hosts file; one that cannot be read is empty.
func readHosts(path string) *hosts {
	h := &hosts{names: make(map[netip.Addr]string), byNames: make(map[string][]netip.Addr)}
	f, err := os.Open(path)
	if err != nil {
		return h
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxHosts))
	if err != nil {
		return h
	}
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(fields[0])
		if err != nil {
			continue
		}
		addr = addr.Unmap()
		for _, name := range fields[1:] {
			if name = clean(name); name != "" {
				h.add(addr, name)
			}
		}
	}
	return h
}

// add notes one name of an address. The first is the one that is shown.
func (h *hosts) add(addr netip.Addr, name string) {
	if _, ok := h.names[addr]; !ok {
		h.names[addr] = name
	}
	key := strings.ToLower(name)
	if addr.Is4() && len(h.byNames[key]) < maxAddrs && !slices.Contains(h.byNames[key], addr) {
		h.byNames[key] = append(h.byNames[key], addr)
	}
}

func (h *hosts) name(addr netip.Addr) (string, bool) {
	name, ok := h.names[addr]
	return name, ok
}

func (h *hosts) addrs(host string) []netip.Addr {
	return slices.Clone(h.byNames[strings.ToLower(strings.TrimSuffix(host, "."))])
}
