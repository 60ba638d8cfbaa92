package peers

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"mbone/internal/lab"
)

// Vif is a row of /proc/net/ip_mr_vif.
type Vif struct {
	Number                int
	PacketsIn, PacketsOut uint64
}

// Vifs returns the kernel's vifs in the host by the names of their interfaces.
func Vifs(h *lab.Host) (map[string]Vif, error) {
	rows, err := table(h, "ip_mr_vif", 7)
	if err != nil {
		return nil, err
	}
	vifs := make(map[string]Vif, len(rows))
	for _, row := range rows {
		number, err1 := strconv.Atoi(row[0])
		in, err2 := strconv.ParseUint(row[3], 10, 64)
		out, err3 := strconv.ParseUint(row[5], 10, 64)
		if err1 != nil || err2 != nil || err3 != nil {
			return nil, fmt.Errorf("%s: ip_mr_vif: row %q", h.Name, row)
		}
		vifs[row[1]] = Vif{number, in, out}
	}
	return vifs, nil
}

// Entry is a row of /proc/net/ip_mr_cache that the router has resolved.
type Entry struct {
	In            string // the interface
	Out           []string
	Packets       uint64 // all of this source and group
	WrongIncoming uint64 // those of them that came in elsewhere
}

// Flow is what a forwarding entry is for.
type Flow struct{ Source, Group netip.Addr }

// Entries returns the kernel's forwarding entries in the host.
func Entries(h *lab.Host) (map[Flow]Entry, error) {
	vifs, err := Vifs(h)
	if err != nil {
		return nil, err
	}
	names := make(map[int]string, len(vifs))
	for name, v := range vifs {
		names[v.Number] = name
	}
	rows, err := table(h, "ip_mr_cache", 6)
	if err != nil {
		return nil, err
	}
	entries := make(map[Flow]Entry, len(rows))
	for _, row := range rows {
		if row[2] == "-1" {
			continue // waits for the router's decision
		}
		group, err1 := nativeAddr(row[0])
		source, err2 := nativeAddr(row[1])
		in, err3 := strconv.Atoi(row[2])
		packets, err4 := strconv.ParseUint(row[3], 10, 64)
		wrong, err5 := strconv.ParseUint(row[5], 10, 64)
		if err1 != nil || err2 != nil || err3 != nil || err4 != nil || err5 != nil {
			return nil, fmt.Errorf("%s: ip_mr_cache: row %q", h.Name, row)
		}
		e := Entry{In: names[in], Packets: packets, WrongIncoming: wrong}
		for _, output := range row[6:] {
			number, _, _ := strings.Cut(output, ":")
			n, err := strconv.Atoi(number)
			if err != nil {
				return nil, fmt.Errorf("%s: ip_mr_cache: row %q", h.Name, row)
			}
			e.Out = append(e.Out, names[n])
		}
		entries[Flow{source, group}] = e
	}
	return entries, nil
}

// table reads the rows below the heading of a file in /proc/net of the host.
func table(h *lab.Host, file string, columns int) (rows [][]string, err error) {
	var text []byte
	err = h.Do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/" + file)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", h.Name, err)
	}
	_, body, _ := strings.Cut(string(text), "\n")
	for line := range strings.Lines(body) {
		row := strings.Fields(line)
		if len(row) < columns {
			return nil, fmt.Errorf("%s: %s: row %q has fewer than %d columns", h.Name, file, line, columns)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// nativeAddr reads an address that was printed as an integer of this machine.
func nativeAddr(hex string) (netip.Addr, error) {
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		return netip.Addr{}, err
	}
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], uint32(n))
	return netip.AddrFrom4(b), nil
}
