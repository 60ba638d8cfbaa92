// Package topo finds the routers of a multicast network by asking one after the
// other for its neighbours, and makes a map of what they say.
package topo

import (
	"context"
	"net/netip"

	"mbone/internal/ask"
	"mbone/report"
)

// Asker asks routers. *ask.Client satisfies it.
type Asker interface {
	Neighbors(context.Context, ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error)
}

// Crawl says where a crawl begins and how far it goes.
type Crawl struct {
	// Start are the first to be asked. A multicast address stands for all routers
	// of a link.
	Start []netip.Addr
	// Flood asks the neighbours, too, and theirs.
	Flood bool
	// Within, unless empty, are the networks outside of which nobody is asked but
	// the start.
	Within []netip.Prefix
	// Depth is the most steps from the start; negative: no bound.
	Depth int
	// Question is what every router is asked; its Router is filled in.
	Question ask.NeighborsQuestion
	// InFlight is the number of routers asked at once; 0: [ask.DefaultInFlight].
	InFlight int
	// Tell, unless nil, is called now and then, and at the end.
	Tell func(Progress)
}

// Progress counts routers during a crawl.
type Progress struct {
	Answered    int
	Silent      int
	Outstanding int // asked, or still to be asked
}

// Run crawls until nothing is outstanding, or ctx ends: the map is then what is
// known, not complete, with the reason. The error says why nobody could be
// asked.
func Run(ctx context.Context, a Asker, c Crawl) (*report.Map, error) {
	panic("not written")
}

// FromAnswers makes a map of answers in a recording.
func FromAnswers(answers []ask.NeighborsAnswer) *report.Map {
	panic("not written")
}
