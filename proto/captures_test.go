package proto_test

import (
	"bytes"
	"maps"
	"testing"

	"mbone/internal/prototest"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

const recordings = "testdata/lab-14-1"

type message interface {
	Parse([]byte) error
	AppendBinary([]byte) ([]byte, error)
	Len() int
}

// decoder returns what decodes a message of this type and code, and its name.
func decoder(b []byte) (message, string) {
	switch t := igmp.Type(b[0]); t {
	case igmp.TypeQuery:
		return new(igmp.Query), "igmp query"
	case igmp.TypeReportV1, igmp.TypeReportV2, igmp.TypeLeave:
		return new(igmp.Membership), "igmp " + t.String()
	case igmp.TypeReportV3:
		return new(igmp.ReportV3), "igmp v3 report"
	case igmp.TypeMtraceQuery, igmp.TypeMtraceResponse:
		return new(mtrace.Message), t.String()
	case igmp.TypeDVMRP:
		switch c := dvmrp.Code(b[1]); c {
		case dvmrp.CodeProbe:
			return new(dvmrp.Probe), "dvmrp probe"
		case dvmrp.CodeReport:
			return new(dvmrp.Report), "dvmrp report"
		case dvmrp.CodeAskNeighbors, dvmrp.CodeAskNeighbors2:
			return new(dvmrp.Ask), "dvmrp " + c.String()
		case dvmrp.CodeNeighbors, dvmrp.CodeNeighbors2:
			return new(dvmrp.Neighbors), "dvmrp " + c.String()
		case dvmrp.CodePrune:
			return new(dvmrp.Prune), "dvmrp prune"
		case dvmrp.CodeGraft, dvmrp.CodeGraftAck:
			return new(dvmrp.Graft), "dvmrp " + c.String()
		case dvmrp.CodeInfoRequest, dvmrp.CodeInfoReply:
			return new(dvmrp.Info), "dvmrp " + c.String()
		}
	}
	return new(igmp.Frame), "igmp"
}

// Every recorded packet is decoded by its decoder, and encoded as it came.
func TestRecordedPackets(t *testing.T) {
	packets := prototest.Recorded(t, recordings)
	if len(packets) != 353 {
		t.Errorf("%d packets were recorded, want 353", len(packets))
	}
	found := map[string]int{}
	for i, packet := range packets {
		m, name := decoder(packet)
		found[name]++
		if !igmp.VerifyChecksum(packet) {
			t.Errorf("packet %d, %s: the checksum is said to be wrong", i, name)
		}
		if err := m.Parse(packet); err != nil {
			t.Errorf("packet %d: %v:\n% x", i, err, packet)
			continue
		}
		if b, err := m.AppendBinary(nil); err != nil || !bytes.Equal(b, packet) {
			t.Errorf("packet %d, %s: encoded\n% x (%v), want\n% x", i, name, b, err, packet)
		}
		if m.Len() != len(packet) {
			t.Errorf("packet %d, %s: Len is %d, want %d", i, name, m.Len(), len(packet))
		}
		// Every packet is an IGMP frame, too.
		var f igmp.Frame
		if err := f.Parse(packet); err != nil {
			t.Errorf("packet %d as a frame: %v", i, err)
		} else if b, err := f.AppendBinary(nil); err != nil || !bytes.Equal(b, packet) {
			t.Errorf("packet %d as a frame: encoded\n% x (%v), want\n% x", i, b, err, packet)
		}
	}
	// As tcpdump counts them.
	want := map[string]int{
		"igmp query": 37, "igmp v2 report": 5, "igmp leave": 1, "igmp v3 report": 50,
		"dvmrp probe": 157, "dvmrp report": 73, "dvmrp prune": 4, "dvmrp graft": 1, "dvmrp graft-ack": 1,
		"dvmrp ask-neighbors": 4, "dvmrp neighbors": 5, "dvmrp ask-neighbors2": 6, "dvmrp neighbors2": 6,
		"mtrace query": 2, "mtrace response": 1,
	}
	if !maps.Equal(found, want) {
		t.Errorf("found %v, want %v", found, want)
	}
}
