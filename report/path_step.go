package report

// PathStep is one thing that happens in the course of a trace, as a person at a
// terminal is told of it. Steps are no part of the JSON contract.
type PathStep struct {
	Kind PathStepKind
	// Path is what is known by now. It belongs to the one who is told for the
	// time of the call, and may be given names then.
	Path *Path
	// Hop is the number of the hop that the step is about.
	Hop int
	// Limit is the most hops asked for; 0: all.
	Limit int
}

// PathStepKind says what happened.
type PathStepKind uint8

// ShowsHosts reports whether a person is shown hosts at this step, which may
// have names.
func (k PathStepKind) ShowsHosts() bool {
	switch k {
	case StepReply, StepHopByHop, StepHop, StepSilent, StepResume, StepReroute, StepNext, StepSource,
		StepOverheard, StepStatistics, StepChanged:
		return true
	}
	return false
}

// The kinds, in about the order in which they come.
const (
	StepBegin      PathStepKind = iota // a run for this source, receiver and group
	StepOnLink                         // source and receiver are on one link: nothing to trace
	StepQuery                          // the query for a whole path, or Limit hops, is sent
	StepTimeout                        // one try was not answered
	StepReply                          // it was: all hops of Path
	StepHopByHop                       // nobody answered it: now one hop at a time
	StepAsking                         // hop Hop is being asked for
	StepHop                            // it answered
	StepSilent                         // it did not, and Path.Next says what is known of it
	StepUnanswered                     // one hop further did not answer either
	StepGiveUp                         // nor did the last of those
	StepResume                         // one of them did, and hops from Hop on are known
	StepReroute                        // the path is another than the one that was begun
	StepNext                           // behind the last hop is Path.Next
	StepSource                         // the source is behind the last hop; Hop is one more than that
	StepNoAnswer                       // nobody answered at all
	StepEnd                            // the trace is done
	StepOverheard                      // somebody else's trace
	StepWait                           // statistics are being accumulated
	StepNoWait                         // enough time has passed for them already
	StepLost                           // the path does not answer any more
	StepStatistics                     // Path.Statistics are there
	StepChanged                        // the path has changed: Path.Change
	StepWatch                          // the path alone is being watched
	StepSame                           // it was looked at and is the same
)
