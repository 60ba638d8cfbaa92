package sim

import (
	"time"

	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

// settleStep is how often Settle looks.
const settleStep = time.Second

// Settle runs the network until nothing has changed for QuietTime: no route to a
// tracked network, no entry of a kernel, no prune and no graft. It fails if that is not
// so within limit. It returns when the network was quiet. All the while routers are held
// to their bounds.
func (n *Network) Settle(limit time.Duration) time.Duration {
	start := n.now
	n.changed = n.now
	for n.now-start < limit {
		n.Run(settleStep)
		n.CheckBounds()
		if n.now-n.changed >= n.QuietTime {
			n.CheckLoops()
			return n.changed - start
		}
	}
	n.fail("the network is not quiet after %v: the last change was at %v", limit, n.changed)
	return limit
}

// isPeriodic reports whether a message is one that routers send though nothing has
// happened.
func isPeriodic(m []byte) bool {
	if len(m) < igmp.FrameLen || igmp.Type(m[0]) != igmp.TypeDVMRP {
		return true
	}
	switch dvmrp.Code(m[1]) {
	case dvmrp.CodePrune, dvmrp.CodeGraft, dvmrp.CodeGraftAck:
		return false
	}
	return true
}
