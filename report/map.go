package report

import "net/netip"

// MapSchema and MapVersion name the document of map-mbone.
const (
	MapSchema  = "mbone/map-mbone"
	MapVersion = 1
)

// Map is the document of map-mbone: the routers of a network, as they were found
// by asking one after the other for its neighbours, and the links between them.
//
// It is Complete if the crawl came to its end and one of the routers that it
// began with answered; routers that are silent elsewhere do not matter.
type Map struct {
	Document
	// Start are the addresses that the crawl began with; 224.0.0.1 stands for all
	// routers of the host's own link. Of a recording they are those that answered.
	Start []netip.Addr `json:"start"`
	// Flood is whether neighbours were asked, too, and theirs.
	Flood bool `json:"flood"`
	// Within are the networks that the crawl was held to; empty: none.
	Within []netip.Prefix `json:"within"`
	// MaxDepth is the most steps from the start within which routers were asked,
	// one-sided steps included; null: no bound.
	MaxDepth *int `json:"max_depth"`
	// Routers are sorted by address.
	Routers []MapRouter `json:"routers"`
	// Links are sorted by their first ends.
	Links []MapLink `json:"links"`
	// Questions is the number of questions sent; null in a recording.
	Questions *int `json:"questions_sent"`
	// Took is how long the crawl was; null in a recording.
	Took *Milliseconds `json:"took_ms"`
}

// RouterState says what became of a router that somebody named.
type RouterState string

// The states.
const (
	RouterAnswered RouterState = "answered"
	RouterSilent   RouterState = "silent"    // it was asked and did not answer
	RouterNotAsked RouterState = "not_asked" // MapRouter.Reason says why
)

// MapRouter is one router of a map: all its addresses are one.
type MapRouter struct {
	// Address stands for the router everywhere in the map. It is the address that
	// answered if the crawl began with this router, else its lowest one, so that
	// two crawls of one network agree. It is a loopback address only if no other
	// one is known.
	Address netip.Addr `json:"address"`
	Name    *string    `json:"name"`
	// Aliases are its other addresses, sorted: those at which it answered, or that
	// it calls its own and nothing speaks against that.
	Aliases []Neighbor  `json:"aliases"`
	State   RouterState `json:"state"`
	// Reason says in words why it is silent or was not asked; empty if it answered.
	Reason string `json:"reason"`
	// Depth is the number of steps from the start; 0 at the start. A step is a pair
	// of routers that name each other; one-sided ones count only on the way to
	// routers that are not reached otherwise.
	Depth int `json:"depth"`
	// The rest is unknown if it did not answer: see Router.
	Version    *Version      `json:"version"`
	OldForm    bool          `json:"old_form"`
	Interfaces []Interface   `json:"interfaces"`
	RTT        *Milliseconds `json:"rtt_ms"`
	Tries      *int          `json:"tries"`
	// BadChecksum and Uncertain are as in Router. Contradicted is set if other
	// well-formed answers say something else.
	BadChecksum  bool `json:"bad_checksum"`
	Uncertain    bool `json:"uncertain"`
	Contradicted bool `json:"contradicted"`
	// Disputed are addresses that it calls its own, but that are no aliases of it:
	// another router answers there, or calls it its own, too, or somebody names the
	// address as a neighbour, nobody answers there, and no neighbour confirms that
	// it is this router's.
	Disputed []netip.Addr `json:"disputed"`
}

// LinkKind says what joins routers.
type LinkKind string

// The kinds of links.
const (
	LinkPointToPoint LinkKind = "point_to_point" // two routers
	LinkLAN          LinkKind = "lan"            // three or more on one network
	LinkTunnel       LinkKind = "tunnel"         // two, with other routers between them
)

// MapLink is what joins two routers, or several on a LAN.
type MapLink struct {
	Kind LinkKind `json:"kind"`
	// Ends are at least two, sorted by router and interface.
	Ends []LinkEnd `json:"ends"`
	// OneWay are the pairs of which only one names the other, though both
	// answered.
	OneWay []OneWay `json:"one_way"`
}

// LinkEnd is a router's side of a link.
type LinkEnd struct {
	Router    netip.Addr `json:"router"`    // as in MapRouter.Address
	Interface netip.Addr `json:"interface"` // its address on the link
	// Metric, Threshold and Flags are what the router says of the interface; null
	// if it says nothing.
	Metric    *int     `json:"metric"`
	Threshold *int     `json:"threshold"`
	Flags     []string `json:"flags"`
}

// OneWay is a neighbour that does not know that it is one.
type OneWay struct {
	From netip.Addr `json:"from"` // the router that names the other
	To   netip.Addr `json:"to"`   // the router that does not name it back
}
