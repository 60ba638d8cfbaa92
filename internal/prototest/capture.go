package prototest

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Recorded returns the IGMP messages of all recordings (*.pcap, Ethernet) in a
// directory, from the type byte on, in the order of the file names.
func Recorded(tb testing.TB, dir string) [][]byte {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.pcap"))
	if err != nil || len(names) == 0 {
		tb.Fatalf("no recording in %s: %v", dir, err)
	}
	var messages [][]byte
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			tb.Fatal(err)
		}
		defer f.Close()
		r, err := pcapgo.NewReader(f)
		if err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		for {
			frame, _, err := r.ReadPacketData()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				tb.Fatalf("%s: %v", name, err)
			}
			// Not gopacket's decoder: it takes IGMP apart and keeps no raw message.
			if binary.BigEndian.Uint16(frame[12:]) != uint16(layers.EthernetTypeIPv4) {
				tb.Fatalf("%s: a frame that is not IPv4", name)
			}
			packet := frame[14:]
			packet = packet[:binary.BigEndian.Uint16(packet[2:])]
			if layers.IPProtocol(packet[9]) != layers.IPProtocolIGMP {
				tb.Fatalf("%s: a packet that is not IGMP", name)
			}
			messages = append(messages, packet[packet[0]&0x0f*4:])
		}
	}
	return messages
}

// Record writes a recording of IGMP messages, one a second, from 192.0.2.1 to
// 192.0.2.2.
func Record(tb testing.TB, name string, messages [][]byte) {
	tb.Helper()
	f, err := os.Create(name)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	w := pcapgo.NewWriter(f)
	if err := w.WriteFileHeader(1<<16, layers.LinkTypeRaw); err != nil {
		tb.Fatal(err)
	}
	for i, m := range messages {
		ip := layers.IPv4{Version: 4, TTL: 255, Protocol: layers.IPProtocolIGMP,
			SrcIP: []byte{192, 0, 2, 1}, DstIP: []byte{192, 0, 2, 2}}
		buf := gopacket.NewSerializeBuffer()
		options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
		if err := gopacket.SerializeLayers(buf, options, &ip, gopacket.Payload(m)); err != nil {
			tb.Fatal(err)
		}
		info := gopacket.CaptureInfo{Timestamp: time.Unix(int64(i), 0), CaptureLength: len(buf.Bytes()), Length: len(buf.Bytes())}
		if err := w.WritePacket(info, buf.Bytes()); err != nil {
			tb.Fatal(err)
		}
	}
}
