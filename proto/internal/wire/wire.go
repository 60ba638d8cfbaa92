// Package wire holds what the codecs below proto share: IPv4 addresses, and
// slices that are used again.
package wire

import (
	"fmt"
	"net/netip"
)

// Addr returns the IPv4 address in the first four bytes of b, which must hold
// that many.
func Addr(b []byte) netip.Addr {
	return netip.AddrFrom4([4]byte(b))
}

// AppendAddr appends the four bytes of a. It fails if a is not an IPv4 address;
// what names the field in the error.
func AppendAddr(b []byte, a netip.Addr, what string) ([]byte, error) {
	if !a.Is4() {
		return b, fmt.Errorf("%s: expected an IPv4 address, found %v", what, a)
	}
	a4 := a.As4()
	return append(b, a4[:]...), nil
}

// AppendAddrs appends the addresses one after the other, as [AppendAddr] does.
func AppendAddrs(b []byte, addrs []netip.Addr, what string) ([]byte, error) {
	var err error
	for _, a := range addrs {
		if b, err = AppendAddr(b, a, what); err != nil {
			return b, err
		}
	}
	return b, nil
}

// Addrs appends to addrs the IPv4 addresses that fill b and returns them. Bytes
// at the end that are too few for an address are left out.
func Addrs(addrs []netip.Addr, b []byte) []netip.Addr {
	for ; len(b) >= 4; b = b[4:] {
		addrs = append(addrs, Addr(b))
	}
	return addrs
}

// Grow returns s with one more element. Where s has room, it is the one that lay
// behind the end, with whatever it holds: its slices can be used again. Otherwise
// it is zero.
func Grow[T any](s []T) []T {
	if len(s) < cap(s) {
		return s[:len(s)+1]
	}
	var zero T
	return append(s, zero)
}
