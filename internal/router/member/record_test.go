package member

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mbone/proto/igmp"
)

// The tables of RFC 3376 sections 6.4.1 and 6.4.2, each row with sources of every
// kind. All timers that run have 200 s left; a group membership interval is 260 s,
// the last member query time 2 s.
//
// Before: nothing, INCLUDE(a, b), or EXCLUDE(a, b | c, d), with blocked sources behind
// the bar. After: "IN" or "EX" and the group timer, sources with their timers.
func TestRecords(t *testing.T) {
	const (
		isIn  = igmp.ModeIsInclude
		isEx  = igmp.ModeIsExclude
		toIn  = igmp.ChangeToInclude
		toEx  = igmp.ChangeToExclude
		allow = igmp.AllowNewSources
		blk   = igmp.BlockOldSources
	)
	const nothing, include, exclude = "", "IN a:200 b:200", "EX 200 a:200 b:200 | cd"
	for _, c := range []struct {
		before  string
		record  igmp.RecordType
		sources string
		after   string
		ask     string // sources that are asked for; "G" at the end: the group, too
		changes bool
	}{
		// INCLUDE({}) is no state.
		{nothing, isIn, "", nothing, "", false},
		{nothing, isIn, "e", "IN e:260", "", true},
		{nothing, isEx, "", "EX 260", "", true},
		{nothing, isEx, "e", "EX 260 | e", "", true},
		{nothing, allow, "e", "IN e:260", "", true},
		{nothing, blk, "e", nothing, "", false},
		{nothing, toEx, "", "EX 260", "", true},
		{nothing, toEx, "e", "EX 260 | e", "", true},
		{nothing, toIn, "", nothing, "", false},
		{nothing, toIn, "e", "IN e:260", "", true},

		// INCLUDE(A): A+B, (B)=GMI
		{include, isIn, "be", "IN a:200 b:260 e:260", "", true},
		{include, isIn, "b", "IN a:200 b:260", "", false},
		{include, isIn, "", include, "", false},
		{include, allow, "be", "IN a:200 b:260 e:260", "", true},
		{include, allow, "ab", "IN a:260 b:260", "", false},
		// EXCLUDE(A*B, B-A), (B-A)=0, delete A-B, group timer=GMI
		{include, isEx, "be", "EX 260 b:200 | e", "", true},
		{include, isEx, "", "EX 260", "", true},
		// INCLUDE(A), Q(G, A*B)
		{include, blk, "be", "IN a:200 b:2", "b", false},
		{include, blk, "e", include, "", false},
		// EXCLUDE(A*B, B-A), (B-A)=0, delete A-B, Q(G, A*B), group timer=GMI
		{include, toEx, "be", "EX 260 b:2 | e", "b", true},
		{include, toEx, "ab", "EX 260 a:2 b:2", "ab", true},
		{include, toEx, "", "EX 260", "", true},
		// INCLUDE(A+B), (B)=GMI, Q(G, A-B)
		{include, toIn, "be", "IN a:2 b:260 e:260", "a", true},
		{include, toIn, "ab", "IN a:260 b:260", "", false},
		{include, toIn, "", "IN a:2 b:2", "ab", false},

		// EXCLUDE(X+A, Y-A), (A)=GMI
		{exclude, isIn, "bce", "EX 200 a:200 b:260 c:260 e:260 | d", "", true},
		{exclude, isIn, "be", "EX 200 a:200 b:260 e:260 | cd", "", false},
		{exclude, allow, "bce", "EX 200 a:200 b:260 c:260 e:260 | d", "", true},
		{exclude, allow, "", exclude, "", false},
		// EXCLUDE(A-Y, Y*A), (A-X-Y)=GMI, delete X-A, delete Y-A, group timer=GMI
		{exclude, isEx, "bce", "EX 260 b:200 e:260 | c", "", true},
		{exclude, isEx, "cd", "EX 260 | cd", "", false},
		{exclude, isEx, "", "EX 260", "", true},
		// EXCLUDE(X+(A-Y), Y), (A-X-Y)=group timer, Q(G, A-Y)
		{exclude, blk, "bce", "EX 200 a:200 b:2 e:2 | cd", "be", false},
		{exclude, blk, "c", exclude, "", false},
		// EXCLUDE(A-Y, Y*A), (A-X-Y)=group timer, delete X-A, delete Y-A,
		// Q(G, A-Y), group timer=GMI
		{exclude, toEx, "bce", "EX 260 b:2 e:2 | c", "be", true},
		{exclude, toEx, "cd", "EX 260 | cd", "", false},
		{exclude, toEx, "", "EX 260", "", true},
		// EXCLUDE(X+A, Y-A), (A)=GMI, Q(G, X-A), Q(G)
		{exclude, toIn, "bce", "EX 2 a:2 b:260 c:260 e:260 | d", "aG", true},
		{exclude, toIn, "ab", "EX 2 a:260 b:260 | cd", "G", false},
		{exclude, toIn, "", "EX 2 a:2 b:2 | cd", "abG", false},
	} {
		t.Run(fmt.Sprintf("%s %v(%s)", c.before, c.record, c.sources), func(t *testing.T) {
			before := func() *router {
				r := onLAN(t, 3)
				r.wait(40 * time.Second)
				switch c.before {
				case include:
					r.report(anna, isIn, chat, srcs("ba")...)
				case exclude:
					r.report(anna, isEx, chat, srcs("dc")...)
					r.report(bert, isIn, chat, srcs("ab")...)
				}
				r.wait(60 * time.Second)
				r.expectState(c.before)
				r.told()
				r.take()
				return r
			}

			r := before()
			r.report(anna, c.record, chat, srcs(c.sources)...)
			r.expectState(c.after)
			if told := r.told(); c.changes {
				expect(t, "told", told, "1 225.1.2.3")
			} else {
				expect(t, "told", told)
			}
			// Asked at once, and again after a second; for the group last.
			r.wait(1500 * time.Millisecond)
			var queries []string
			for _, at := range []string{"1m40s", "1m41s"} {
				sources, whole := strings.CutSuffix(c.ask, "G")
				if sources != "" {
					queries = append(queries, fmt.Sprintf("%s 1 v3 225.1.2.3{%s} 1s", at, sources))
				}
				if whole {
					queries = append(queries, at+" 1 v3 225.1.2.3 1s")
				}
			}
			expect(t, "asked", r.take(), queries...)

			// Who is not querier does not ask, and waits for its queries to shorten
			// the timers.
			r = before()
			r.hear(lower, generalV3())
			r.report(anna, c.record, chat, srcs(c.sources)...)
			r.expectState(unasked.Replace(c.after))
			r.wait(1500 * time.Millisecond)
			expect(t, "asked", r.take())
		})
	}
}

// unasked puts the timers back that a query has shortened.
var unasked = strings.NewReplacer(":260", ":260", ":200", ":200", ":2", ":200", "EX 260", "EX 260", "EX 200", "EX 200", "EX 2", "EX 200")
