package dvmrp

import "time"

// Times of neighbours, as mrouted keeps them.
const (
	probeInterval = 10 * time.Second
	// fastProbeInterval is that between routers that recognise each other as
	// mroutd, unless the link has its own.
	fastProbeInterval = time.Second
	// minProbeGap is between two probes on a link, whatever asks for them.
	minProbeGap = 50 * time.Millisecond

	// neighborTimeout is for routers whose probes have data, and
	// oldNeighborTimeout for all others.
	neighborTimeout    = 30 * time.Second
	oldNeighborTimeout = 140 * time.Second
	// oneWayGrace is how long a neighbour may take until its probes name us.
	oneWayGrace = 20 * time.Second
	// infoTries is how often a neighbour is asked for its version.
	infoTries = 3
)

// Times of routes, as mrouted keeps them.
const (
	// fullInterval is how long the whole table takes to go out once.
	fullInterval = 60 * time.Second
	// reportLifetime is how long a report of a route counts.
	reportLifetime = 200 * time.Second
	// silence is after how long without a report the gateway of a route loses to
	// another one of the same cost.
	silence = 140 * time.Second
	// garbageTime is how long an unreachable route is remembered, and told.
	garbageTime = 140 * time.Second
	// floodTime is how long a neighbour that has said nothing of a route counts as
	// dependent: two full tables, and some.
	floodTime = 140 * time.Second
	// sweepInterval is how long it takes to look after every route once.
	sweepInterval = 10 * time.Second
	sweepStep     = time.Second
)

// Times of changes.
const (
	// holdTime is how long a loss is told before a way is taken that may lead back
	// here: enough for the news to get around.
	holdTime = 100 * time.Millisecond
	// Meanwhile it is told again so often, this long after each other.
	repeats   = 2
	repeatGap = holdTime / 3
	// changeGap is between two runs of changes on a link, unless there is enough
	// for a whole packet.
	changeGap = 50 * time.Millisecond
	// burst is how many reports may leave on a link at once, and pace how long it
	// takes until one more may. A stopped mrouted's socket holds about 330.
	burst = 100
	pace  = 5 * time.Millisecond
)

// Bounds.
const (
	// maxLinkNeighbors is how many neighbours a probe may name: mrouted takes no
	// packet of more than 8,192 bytes.
	maxLinkNeighbors = 2000
	// maxReportsPerRoute bounds the reports that are kept, on average of all routes
	// that there may be.
	maxReportsPerRoute = 16
	// maxReportRoutes is how many routes of one message count, as in mrouted 4.6.
	maxReportRoutes = 4096
	// maxBlasted is how many reports wait on a blaster link.
	maxBlasted = 1024
	// maxBlastedBytes is how long they may be together: full packets of Ethernet.
	maxBlastedBytes = maxBlasted * 1500
	// linkLines is how many lines of one kind about the neighbours on a link may be
	// logged within alarmInterval.
	linkLines = 20
	// restartBurst is how often a neighbour may start again at once, and
	// restartPause how long it takes until it may once more.
	restartBurst = 3
	restartPause = time.Second
	// reviewBurst is how often all routes are reviewed at once for what happens on a
	// link, and reviewPause how long it takes until they may be once more.
	reviewBurst = 4
	reviewPause = time.Second / 4
	// surgeRoutes new routes within surgeTime raise an alarm.
	surgeRoutes = 10000
	surgeTime   = time.Minute
	// alarmInterval is between two log entries of one kind about a bound.
	alarmInterval = time.Minute
	// minQueue is how long a queue may get before it is cleaned.
	minQueue = 1024
	// maxRepeated is how many routes at once are told again while they are held.
	maxRepeated = 1000
	// workRoutes is how many routes are looked after in one turn, and blastedTurn
	// how many reports that waited are read.
	workRoutes  = 2000
	blastedTurn = 4
)
