// Package topo finds the routers of a multicast network by asking one after the
// other for its neighbours, and makes a map of what they say.
//
// It works in two halves. A crawl ([Run], crawl.go) decides who is asked, and
// collects answers. A build (build.go) makes a map of answers, whoever collected
// them ([FromAnswers] takes those of a recording), in three steps: whose address
// is it (identity.go), what joins the routers (links.go), and how far they are
// from the start (depth.go). Both halves look things up in the same index of who
// says what (evidence.go). Two answers of one router of which one lacks a part are
// put together in unite.go.
//
// A build depends on the set of answers only, not on their order. No single
// router is believed: what it says of itself holds as far as the others agree.
package topo

import (
	"context"
	"net/netip"

	"mbone/internal/ask"
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
	// Depth is the most steps from the start; negative: no bound. A step leads
	// from a router to one that it names.
	Depth int
	// Question is what every router is asked; its Router is filled in. A negative
	// Linger is taken as such as long as nobody else claims the address asked.
	Question ask.NeighborsQuestion
	// InFlight is the number of routers asked at once; 0: [ask.DefaultInFlight].
	InFlight int
	// Tell, unless nil, is called now and then, and at the end, by the goroutine
	// that called [Run].
	Tell func(Progress)
}

// Progress counts routers during a crawl.
type Progress struct {
	Answered    int
	Silent      int // addresses that did not answer; some may turn out to be aliases
	Outstanding int // asked, or still to be asked
}
