package plane

import (
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

// Two sockets share the packets of IGMP, so that no flood of questions fills the
// buffer that upcalls need:
//
//	multicast routing   upcalls (protocol 0 in the header), and all but questions
//	questions           Ask-Neighbors, Ask-Neighbors2 and Info-Request;
//	                    mtrace that is not sent to a group
//
// What the kernel gives to the socket of multicast routing alone, packets to groups
// that nobody here has joined, cannot be had from the other one: mtrace to a group
// stays where upcalls are.

// questionCodes are the codes of DVMRP that ask.
var questionCodes = []dvmrp.Code{dvmrp.CodeAskNeighbors, dvmrp.CodeAskNeighbors2, dvmrp.CodeInfoRequest}

// traceTypes are the types of mtrace.
var traceTypes = []igmp.Type{igmp.TypeMtraceQuery, igmp.TypeMtraceResponse}

// Offsets in the IPv4 header.
const (
	offsetProtocol    = 9
	offsetDestination = 16
)

// routingFilter is the filter of the multicast routing socket, and questionFilter
// that of the socket for questions.
func routingFilter() (*unix.SockFprog, error) { return splitFilter(true) }

func questionFilter() (*unix.SockFprog, error) { return splitFilter(false) }

// splitFilter returns the filter of one of the two sockets: rest is whether it
// takes upcalls and all but questions.
func splitFilter(rest bool) (*unix.SockFprog, error) {
	take := bpf.RetConstant{Val: maxPacket}
	drop := bpf.RetConstant{Val: 0}
	question, other := take, drop
	if rest {
		question, other = drop, take
	}
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetProtocol, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 1},
		other,                    // an upcall
		bpf.LoadMemShift{Off: 0}, // X is the length of the IP header
		bpf.LoadIndirect{Off: 0, Size: 1},
	}
	// Of DVMRP the code decides.
	program = append(program, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(igmp.TypeDVMRP), SkipTrue: uint8(len(questionCodes) + 3)},
		bpf.LoadIndirect{Off: 1, Size: 1})
	for i, c := range questionCodes {
		program = append(program, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(c), SkipTrue: uint8(len(questionCodes) - i)})
	}
	program = append(program, other, question)
	// Of mtrace the destination decides.
	for i, t := range traceTypes {
		program = append(program, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(t), SkipTrue: uint8(len(traceTypes) - i)})
	}
	program = append(program, other,
		bpf.LoadAbsolute{Off: offsetDestination, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf0},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0xe0, SkipTrue: 1},
		other, question)
	return assemble(program)
}

// assemble makes a program into what the kernel takes.
func assemble(program []bpf.Instruction) (*unix.SockFprog, error) {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}, nil
}
