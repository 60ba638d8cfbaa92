package ask_test

import (
	"bytes"
	"errors"
	"testing"

	"mbone/internal/ask"
)

func TestParseIPv4(t *testing.T) {
	// As castor asked scar, with Router Alert, and with padding of Ethernet.
	packet := []byte{
		0x46, 0xc0, 0x00, 0x20, // version 4, 24 bytes of header, TOS, 32 in all
		0x12, 0x34, 0x00, 0x00, // identification, no fragment
		0xff, 0x02, 0xab, 0xcd, // TTL 255, IGMP, checksum
		192, 168, 7, 7,
		192, 168, 7, 254,
		0x94, 0x04, 0x00, 0x00,
		0x13, 0x05, 0xed, 0xf8, 0x00, 0x0e, 0xff, 0x03,
	}
	changed := func(at int, b ...byte) []byte {
		p := bytes.Clone(packet)
		copy(p[at:], b)
		return p
	}
	tests := []struct {
		name    string
		in      []byte
		err     error
		message []byte
	}{
		{"good", packet, nil, packet[24:]},
		{"padded", append(bytes.Clone(packet), 0, 0, 0), nil, packet[24:]},
		{"no options", append([]byte{0x45, 0, 0, 22}, append(bytes.Clone(packet[4:20]), 0x13, 5)...), nil, []byte{0x13, 5}},
		{"no message", changed(3, 24), nil, []byte{}},
		{"don't fragment", changed(6, 0x40), nil, packet[24:]},
		{"cut in the message", packet[:30], ask.ErrTruncated, packet[24:30]},
		{"cut in the options", packet[:22], ask.ErrIPv4, nil},
		{"cut in the header", packet[:19], ask.ErrIPv4, nil},
		{"empty", nil, ask.ErrIPv4, nil},
		{"version 6", changed(0, 0x66), ask.ErrIPv4, nil},
		{"header of 16 bytes", changed(0, 0x44), ask.ErrIPv4, nil},
		{"total shorter than the header", changed(3, 23), ask.ErrIPv4, nil},
		{"UDP", changed(9, 17), ask.ErrNotIGMP, nil},
		{"upcall of the kernel", changed(9, 0), ask.ErrNotIGMP, nil},
		{"first fragment", changed(6, 0x20), ask.ErrFragment, nil},
		{"other fragment", changed(6, 0x00, 0x01), ask.ErrFragment, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := ask.Packet{IfIndex: 7}
			err := p.ParseIPv4(test.in)
			if !errors.Is(err, test.err) || !bytes.Equal(p.Message, test.message) || p.IfIndex != 7 {
				t.Errorf("got % x, %v, want % x, %v", p.Message, err, test.message, test.err)
			}
			if test.message != nil && (p.From != ip("192.168.7.7") || p.To != ip("192.168.7.254") || p.TTL != 255) {
				t.Errorf("from %v to %v with TTL %d", p.From, p.To, p.TTL)
			}
		})
	}
}
