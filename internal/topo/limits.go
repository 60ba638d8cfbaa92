package topo

// What a crawl keeps and does. All of it is bounded, whoever says whatever.
const (
	// maxAddresses is how many addresses one crawl knows: ten times the routers
	// of the largest network that anybody is known to have had.
	maxAddresses = 500_000
	// maxRecords is how many interfaces and names of neighbours of all answers one
	// crawl keeps: at some 200 bytes each with what is made of them, 400 MB.
	maxRecords = 2_000_000
	// maxNames is how many neighbours, and how many interfaces, of one router are
	// followed: more than any router has, few enough that one that invents them
	// costs seconds.
	maxNames = 4096
	// maxDoubts is how often an address is asked again at which a router answers
	// that was found to claim what is not its own.
	maxDoubts = 4
	// maxSure is how often a router that answered is asked again where packets get
	// lost. With one in fifty lost, half of a long answer is missing from one of
	// 2,500 after one more question, and from one of 125,000 after two.
	maxSure = 2
	// lossyShare is of how many answers one was asked for again where packets count
	// as lost: with one packet in fifty lost each way, one in 25 is, and a busy host
	// misses fewer.
	lossyShare = 100
	// maxAlike is how many routers may have an interface with the same address and
	// the same neighbour before that says nothing about any of them.
	maxAlike = 64
)

// limits are those of a crawl that tests make smaller.
type limits struct{ addresses, records int }
