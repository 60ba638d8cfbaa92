package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// The files of these tables are one text each; lines count from 1.

// TestErrors holds every error to its place, to what was found and expected, and
// to the fix.
func TestErrors(t *testing.T) {
	name64 := strings.Repeat("n", 64)
	tests := []struct{ text, want string }{
		// The lexer.
		{"sysName \"callisto", `1:9: expected a word in quotes that ends on this line, found no second ": add it`},
		{"phyint eth0\n metric \x005", `2:9: expected text, found the control character '\x00': remove it`},

		// Keywords.
		{"metrik 5", `1:1: expected a setting, name, phyint or tunnel, found "metrik": did you mean metric, an option of phyint and tunnel?`},
		{"phyint eth0 besides off", `1:13: expected an option of phyint, or the next statement, found "besides": did you mean beside, an option of tunnel?`},
		{"frobnicate eth0\n metric 500", `1:1: expected a setting, name, phyint or tunnel, found "frobnicate"`},
		{"phyint eth0 metrik 5", `1:13: expected an option of phyint, or the next statement, found "metrik": did you mean metric?`},
		{"tunnel eth0 192.0.2.1\n\ttreshold 64 metric 2", `2:2: expected an option of tunnel, or the next statement, found "treshold": did you mean threshold?`},
		{"tunel eth0 192.0.2.1 metric 1\n threshold 64\nphyint eth0", `1:1: expected a setting, name, phyint or tunnel, found "tunel": did you mean tunnel?`},
		{"Phyint eth0", `1:1: expected a setting, name, phyint or tunnel, found "Phyint": did you mean phyint?`},
		{"igmp_query_last_member_interval 2", `1:1: expected a setting, name, phyint or tunnel, found "igmp_query_last_member_interval": did you mean igmp-query-last-member-interval?`},
		{"nophyint", `1:1: expected a setting, name, phyint or tunnel, found "nophyint": did you mean no phyint?`},
		{"router-alert", `1:1: expected a setting, name, phyint or tunnel, found "router-alert": did you mean no router-alert?`},
		{"phyint eth0 neighbour-timeout 5", `1:13: expected an option of phyint, or the next statement, found "neighbour-timeout": did you mean neighbor-timeout?`},
		{"cache-lifetime 300 400", `1:20: expected a setting, name, phyint or tunnel, found "400"`},
		{"phyint eth0 \"metric\" 5", `1:13: expected an option of phyint, or the next statement, found "metric": keywords are not in quotes`},
		{"phyint eth0 frob#nicate the world", `1:13: expected an option of phyint, or the next statement, found "frob#nicate": a comment begins with # after a blank`},
		{"phyint eth0# the office\n metric 5", `1:14: expected an option of phyint, or the next statement, found "the": a comment begins with # after a blank`},
		{name64, `1:1: expected a setting, name, phyint or tunnel, found "` + name64[:40] + `"...`},
		{"no", `1:3: expected phyint or router-alert after no, found the end of the file`},
		{"no pruning\nnoflood", `1:4: expected phyint or router-alert after no, found "pruning"`},
		{"no way\nnoflood", `1:4: expected phyint or router-alert after no, found "way"`},
		{"metric 5", `1:1: metric belongs to a phyint or a tunnel: expected one before it`},
		{"phyint eth0 cache-lifetime 300 metric 5", `1:32: metric belongs to a phyint or a tunnel: expected one before it`},
		{"altnet 10/8", `1:1: altnet belongs to a phyint: expected one before it`},
		{"tunnel eth0 192.0.2.1 igmpv2", `1:23: igmpv2 belongs to a phyint, found it after a tunnel: remove it`},
		{"tunnel eth0 192.0.2.1 disable", `1:23: disable belongs to a phyint, found it after a tunnel: remove it`},
		{"phyint eth0 beside on", `1:13: beside belongs to a tunnel, found it after a phyint: remove it`},
		{"tunnel eth0 192.0.2.1 srcrt", `1:23: srcrt is not supported: there are no tunnels by source route any more: remove it, the tunnel is then IP in IP`},
		{"tunnel eth0 192.0.2.1 sourceroute", `1:23: sourceroute is not supported: there are no tunnels by source route any more: remove it, the tunnel is then IP in IP`},

		// Missing arguments.
		{"cache-lifetime  # 300", `1:15: expected seconds from 60 to 86400 after cache-lifetime, found the end of the file`},
		{"cache-lifetime\n\nnoflood", `3:1: expected seconds from 60 to 86400 after cache-lifetime, found the keyword noflood`},
		{"phyint eth0 metric threshold 64", `1:20: expected a number from 1 to 31 after metric, found the keyword threshold`},
		{"phyint", `1:7: expected the name or an address of an interface after phyint, found the end of the file`},
		{"phyint disable", `1:8: expected the name or an address of an interface after phyint, found the keyword disable: put it in quotes if it is a name`},
		{"phyint no phyint", `1:8: expected the name or an address of an interface after phyint, found the keyword no: put it in quotes if it is a name`},
		{"tunnel eth0", `1:12: expected the address or name of the other end after tunnel, found the end of the file`},
		{"tunnel eth0 metric 5", `1:13: expected the address or name of the other end after tunnel, found the keyword metric: put it in quotes if it is a name`},
		{"name LOCAL", `1:11: expected the network of the boundary, such as 239.255.0.0/16 after name, found the end of the file`},
		{"phyint eth0 accept", `1:19: expected a network such as 192.0.2.0/24 or default after accept, found the end of the file`},
		{"respond-to max-routes 5", `1:12: expected any, none, local, private, routed or a network such as 192.0.2.0/24 after respond-to, found the keyword max-routes`},

		// Numbers and times.
		{"cache-lifetime 5m", `1:16: expected seconds from 60 to 86400 after cache-lifetime, found "5m": did you mean 300?`},
		{"cache-lifetime 300.5", `1:16: expected seconds from 60 to 86400 after cache-lifetime, found "300.5"`},
		{"cache-lifetime 300#\nnoflood", `1:16: expected seconds from 60 to 86400 after cache-lifetime, found "300#": a comment begins with # after a blank`},
		{"router-timeout 1025", `1:16: expected seconds from 1 to 1024 after router-timeout, found "1025"`},
		{"igmp-query-interval 0", `1:21: expected seconds from 1 to 1024 after igmp-query-interval, found "0"`},
		{"igmp-robustness 1", `1:17: expected a number from 2 to 10 after igmp-robustness, found "1"`},
		{"max-routes 0", `1:12: expected a number from 1 to 10000000 after max-routes, found "0"`},
		{"max-routes 99999999999999999999", `1:12: expected a number from 1 to 10000000 after max-routes, found "99999999999999999999"`},
		{"phyint eth0 metric 32", `1:20: expected a number from 1 to 31 after metric, found "32"`},
		{"phyint eth0 metric 0x10", `1:20: expected a number from 1 to 31 after metric, found "0x10"`},
		{"phyint eth0 advert-metric -1", `1:27: expected a number from 0 to 31 after advert-metric, found "-1"`},
		{"phyint eth0\n\tthreshold 256", `2:12: expected a number from 1 to 255 after threshold, found "256"`},
		{"phyint eth0 rate_limit 500kbps", `1:24: expected kbit/s from 0 to 100000000 after rate-limit, found "500kbps"`},
		{"phyint eth0 probe-interval 0.05", `1:28: expected seconds from 0.1 to 10 after probe-interval, found "0.05"`},
		{"phyint eth0 probe-interval 100ms", `1:28: expected seconds from 0.1 to 10 after probe-interval, found "100ms": did you mean 0.1?`},
		{"phyint eth0 probe-interval 0.12345", `1:28: expected seconds from 0.1 to 10 after probe-interval, found "0.12345": write it with up to three decimals, such as 0.25`},
		{"phyint eth0 neighbor-timeout 3601", `1:30: expected seconds from 0.2 to 3600 after neighbor-timeout, found "3601"`},
		{"phyint eth0 rexmit-prunes maybe", `1:27: expected on, off, an option of phyint, or the next statement, found "maybe"`},

		// Interfaces and hosts.
		{"phyint 10.0.0", `1:8: expected the name or an address of an interface after phyint, found "10.0.0": an address has four octets, a name of digits is put in quotes`},
		{"phyint 10.0.0.256", `1:8: expected the name or an address of an interface after phyint, found "10.0.0.256": an address has four octets, a name of digits is put in quotes`},
		{"phyint 10.0.0.1/24", `1:8: expected the name or an address of an interface after phyint, found "10.0.0.1/24": did you mean 10.0.0.1?`},
		{"phyint 239.1.1.1", `1:8: expected the name or an address of an interface after phyint, found "239.1.1.1": it is no address of a host on a network`},
		{"phyint 127.0.0.1", `1:8: expected the name or an address of an interface after phyint, found "127.0.0.1": it is no address of a host on a network`},
		{"phyint 2001:db8::1", `1:8: expected the name or an address of an interface after phyint, found "2001:db8::1": it is no IPv4 address`},
		{"phyint interface0123456", `1:8: expected the name or an address of an interface after phyint, found "interface0123456": a name has 1 to 15 bytes`},
		{`phyint ""`, `1:8: expected the name or an address of an interface after phyint, found "": a name has 1 to 15 bytes`},
		{"phyint eth0:1", `1:8: expected the name or an address of an interface after phyint, found "eth0:1": an alias has no name of its own: write its address`},
		{`phyint "eth 0"`, `1:8: expected the name or an address of an interface after phyint, found "eth 0": a name has neither blanks nor slashes nor quotes`},
		{"tunnel 10.0.0 192.0.2.1", `1:8: expected the name or an address of an interface after tunnel, found "10.0.0": an address has four octets, a name of digits is put in quotes`},
		{"tunnel eth0 192.0.2", `1:13: expected the address or name of the other end after tunnel, found "192.0.2": an address has four octets`},
		{"tunnel eth0 192.0.2.1/24", `1:13: expected the address or name of the other end after tunnel, found "192.0.2.1/24": did you mean 192.0.2.1?`},
		{"tunnel eth0 224.0.0.4", `1:13: expected the address or name of the other end after tunnel, found "224.0.0.4": it is no address of a host on a network`},
		{"tunnel eth0 -host", `1:13: expected the address or name of the other end after tunnel, found "-host": a host name has letters, digits and hyphens between dots`},
		{"tunnel eth0 2001:db8::1", `1:13: expected the address or name of the other end after tunnel, found "2001:db8::1": it is no IPv4 address`},
		{"tunnel eth0 192.0.2.1 device", `1:29: expected the name of an interface after device, found the end of the file`},
		{"tunnel eth0 192.0.2.1 device interface0123456", `1:30: expected the name of an interface after device, found "interface0123456": a name has 1 to 15 bytes`},
		{"phyint eth0 device ipip1", `1:13: device belongs to a tunnel, found it after a phyint: remove it`},
		{"tunnel eth0 192.0.2.1 device ipip1\nphyint ipip1", `1:23: expected a device that is for this tunnel only, found ipip1, which is in line 2, too`},
		{"tunnel eth0 192.0.2.1\n device ipip1 tunnel eth0 192.0.2.2 device ipip1", `2:37: expected a device that is for this tunnel only, found ipip1, which is in line 1, too`},
		{"tunnel eth0 a..b", `1:13: expected the address or name of the other end after tunnel, found "a..b": a host name has letters, digits and hyphens between dots`},

		// Networks, groups, boundaries.
		{"phyint eth0 altnet 172.16.1", `1:20: expected a network such as 192.0.2.0/24 after altnet, found "172.16.1": did you mean 172.16.1.0/24?`},
		{"phyint eth0 altnet 10.0.0.0", `1:20: expected a network such as 192.0.2.0/24 after altnet, found "10.0.0.0": did you mean 10.0.0.0/8?`},
		{"phyint eth0 altnet 10.0.0.0/33", `1:20: expected a network such as 192.0.2.0/24 after altnet, found "10.0.0.0/33"`},
		{"phyint eth0 altnet 10/7", `1:20: expected a network of hosts with a length from 8 to 32 after altnet, found "10/7"`},
		{"phyint eth0 altnet 239.1/16", `1:20: expected a network of hosts with a length from 8 to 32 after altnet, found "239.1/16"`},
		{"phyint eth0 altnet default", `1:20: expected a network such as 192.0.2.0/24 after altnet, found "default"`},
		{"phyint eth0 netmask 255.0.255.0", `1:21: expected a mask of 8 to 32 ones, such as 255.255.255.0, after netmask, found "255.0.255.0"`},
		{"phyint eth0 netmask 24", `1:21: expected a mask of 8 to 32 ones, such as 255.255.255.0, after netmask, found "24": did you mean 255.255.255.0?`},
		{"phyint eth0 static-group 10.0.0.1", `1:26: expected a group such as 239.1.2.3 after static-group, found "10.0.0.1"`},
		{"phyint eth0 join-group ff02::1", `1:24: expected a group such as 239.1.2.3 after join-group, found "ff02::1"`},
		{"mtrace-response-group 224.0.0.4", `1:23: expected a group that is not in 224.0.0.0/24 after mtrace-response-group, found "224.0.0.4": protocols of routers have those`},
		{"phyint eth0 boundary LOCAL", `1:22: expected the name of a boundary or a network such as 239.255.0.0/16 after boundary, found "LOCAL": add name LOCAL with its network`},
		{"name LOCAL 239.255/16 phyint eth0 boundary LOCALE", `1:44: expected the name of a boundary or a network such as 239.255.0.0/16 after boundary, found "LOCALE": did you mean LOCAL?`},
		{"phyint eth0 boundary 239.255", `1:22: expected the name of a boundary or a network such as 239.255.0.0/16 after boundary, found "239.255": did you mean 239.255.0.0/16?`},
		{"phyint eth0 boundary 10/8", `1:22: expected a network of groups such as 239.255.0.0/16 after boundary, found "10/8"`},
		{"name A 239.1/16\nname A 239.2/16", `2:6: boundary A is 239.1.0.0/16 since line 1: expected another name`},
		{"name 239.1 239.1/16", `1:6: expected a name for the boundary after name, found "239.1": a name has 1 to 63 bytes, not only digits, and neither blanks nor slashes nor quotes`},
		{"name A 239.1.0.0\nphyint eth0 boundary A", `1:8: expected the network of the boundary, such as 239.255.0.0/16 after name, found "239.1.0.0": did you mean 239.1.0.0/16?`},

		// Filters and askers.
		{"phyint eth0 accept 10/8 deny 11/8", `1:25: expected accept alone, found deny too: a phyint or tunnel has one of the two`},
		{"phyint eth0 deny 11/8\nphyint eth1\nphyint eth0 accept 10/8", `3:13: expected deny alone, found accept too: a phyint or tunnel has one of the two`},
		{"phyint eth0 accept exact", `1:20: expected a network such as 192.0.2.0/24 or default after accept, found "exact": it follows a network`},
		{"phyint eth0 accept bidir", `1:20: expected a network such as 192.0.2.0/24 or default after accept, found "bidir": it follows a network`},
		{"phyint eth0 accept 10/8 exact exact", `1:31: expected a network such as 192.0.2.0/24 or default after accept, found "exact": it follows a network`},
		{"phyint eth0 accept 10/8 bidir 11/8", `1:31: expected the next option after bidir, found "11/8": bidir comes last`},
		{"phyint eth0 accept 10/8 exakt", `1:25: expected a network such as 192.0.2.0/24 or default after accept, found "exakt": did you mean exact?`},
		{"phyint eth0 accept 10/8 metrik 5", `1:25: expected a network such as 192.0.2.0/24 or default after accept, found "metrik": did you mean metric?`},
		{"phyint eth0 accept 10/8\n metrik 5", `2:2: expected an option of phyint, or the next statement, found "metrik": did you mean metric?`},
		{"respond-to any local", `1:12: any stands alone after respond-to, found 2 words: remove it or the others`},
		{"respond-to 10/8 none", `1:17: none stands alone after respond-to, found 2 words: remove it or the others`},
		{"respond-to default", `1:12: expected any, none, local, private, routed or a network such as 192.0.2.0/24 after respond-to, found "default"`},
		{"respond-to 192.0.2.7", `1:12: expected any, none, local, private, routed or a network such as 192.0.2.0/24 after respond-to, found "192.0.2.7": did you mean 192.0.2.7/32?`},

		// Statements that do not go together.
		{"igmp-query-interval 5\nigmp-query-response-interval 5", `2:1: expected igmp-query-response-interval to be shorter than igmp-query-interval, found 5 and 5: lower it`},
		{"igmp-query-response-interval 125", `1:1: expected igmp-query-response-interval to be shorter than igmp-query-interval, found 125 and 125: lower it`},
		{"igmp-query-response-interval 8 igmp-query-interval 7", `1:32: expected igmp-query-interval to be longer than igmp-query-response-interval, found 7 and 8: raise it`},
		{"igmp-query-interval 1", `1:1: expected igmp-query-interval to be longer than igmp-query-response-interval, found 1 and 10: raise it`},
		{"phyint eth0 probe-interval 1 neighbor-timeout 1", `1:30: expected neighbor-timeout to be longer than probe-interval, found 1 and 1: three times as long bears the loss of two probes`},
		{"tunnel eth0 192.0.2.1\ntunnel eth1 192.0.2.1", `2:13: there is a tunnel to 192.0.2.1 in line 1: expected one for each other end, remove one of the two`},
		{"tunnel eth0 r.example.org\ntunnel eth1 R.example.org.", `2:13: there is a tunnel to r.example.org in line 1: expected one for each other end, remove one of the two`},
		{"tunnel 192.0.2.1 192.0.2.1", `1:18: expected the address of another router, found 192.0.2.1, which is one of this host (line 1)`},
		{"tunnel eth0 192.0.2.1\nphyint 192.0.2.1", `1:13: expected the address of another router, found 192.0.2.1, which is one of this host (line 2)`},
		{"phyint eth1 altnet 192.0.2.0/24\ntunnel eth0 192.0.2.9", `2:13: expected a router that is on no link of this host, found 192.0.2.9, which is in 192.0.2.0/24 on eth1 (line 1): it needs no tunnel`},
		{"phyint 192.0.2.1 netmask 255.255.255.0\ntunnel eth0 192.0.2.9", `2:13: expected a router that is on no link of this host, found 192.0.2.9, which is in 192.0.2.0/24 on 192.0.2.1 (line 1): it needs no tunnel`},
		{"phyint 192.0.2.255 netmask 255.255.255.0", `1:20: expected a netmask with which 192.0.2.255 is the address of a host, found 255.255.255.0`},
		{"phyint 192.0.2.64 netmask 255.255.255.192", `1:19: expected a netmask with which 192.0.2.64 is the address of a host, found 255.255.255.192`},
	}
	for _, test := range tests {
		c, _, err := Parse("f", []byte(test.text))
		if got := fmt.Sprint(err); got != "f:"+test.want || c != nil {
			t.Errorf("%s\n got %s\nwant f:%s", test.text, got, test.want)
		}
	}
}

// TestManyErrors has several problems told in one run, in the order of the file.
func TestManyErrors(t *testing.T) {
	const text = `cache-lifetime x
phyint 10.0.0 metric 0 threshold 5 frob
phyint eth0 boundary A
 metrik 3 threshold 900
tunnel eth0 192.0.2.1
tunnle eth1 192.0.2.2 threshold 900
	metric 900
tunnel eth2 192.0.2.1 metric 77
igmp-query-interval 3 igmp-query-response-interval 3
`
	_, _, err := Parse("f", []byte(text))
	want := `f:1:16: expected seconds from 60 to 86400 after cache-lifetime, found "x"
f:2:8: expected the name or an address of an interface after phyint, found "10.0.0": an address has four octets, a name of digits is put in quotes
f:2:22: expected a number from 1 to 31 after metric, found "0"
f:2:36: expected an option of phyint, or the next statement, found "frob"
f:3:22: expected the name of a boundary or a network such as 239.255.0.0/16 after boundary, found "A": add name A with its network
f:4:2: expected an option of phyint, or the next statement, found "metrik": did you mean metric?
f:4:21: expected a number from 1 to 255 after threshold, found "900"
f:6:1: expected an option of tunnel, or the next statement, found "tunnle": did you mean tunnel?
f:8:13: there is a tunnel to 192.0.2.1 in line 5: expected one for each other end, remove one of the two
f:8:30: expected a number from 1 to 31 after metric, found "77"
f:9:23: expected igmp-query-response-interval to be shorter than igmp-query-interval, found 3 and 3: lower it`
	if got := fmt.Sprint(err); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var one *Problem
	if !errors.As(err, &one) || one.Position != (Position{"f", 1, 16}) || one.Warning {
		t.Errorf("as a problem: %+v", one)
	}

	_, _, err = Parse("f", []byte(strings.Repeat("frob\n", 5000)))
	var all Errors
	if !errors.As(err, &all) || len(all) != maxProblems {
		t.Fatalf("5000 problems are told as %d", len(all))
	}
	if got, want := all[maxProblems-1].Error(), "f:20:1: there are more problems from here on, the first 19 are told"; got != want {
		t.Errorf("the last one is %s, want %s", got, want)
	}
	_, warnings, err := Parse("f", []byte(strings.Repeat("pruning on\n", 5000)))
	if err != nil || len(warnings) != maxProblems {
		t.Errorf("5000 warnings are told as %d, with %v", len(warnings), err)
	}
	if _, _, err := Parse("f", make([]byte, maxFile+1)); fmt.Sprint(err) != "f:1:1: expected a file of at most 262144 bytes, found 262145" {
		t.Errorf("a file beyond the limit: %v", err)
	}
	var many strings.Builder
	for i := range maxLinks + 5 {
		fmt.Fprintf(&many, "phyint eth%d\n", i)
	}
	if _, _, err := Parse("f", []byte(many.String())); fmt.Sprint(err) != "f:1025:1: expected at most 1024 phyints and tunnels: remove those from here on" {
		t.Errorf("links beyond the limit: %v", err)
	}
}

// TestWarnings holds warnings to their places, and what is then taken.
func TestWarnings(t *testing.T) {
	tests := []struct {
		text string
		want string // lines
		same string // what the file means the same as
	}{
		// Obsolete keywords.
		{"pruning on", "1:1: warning: pruning is ignored: this router always prunes", ""},
		{"pruning off\nsysName \"Callisto, the moon\"\nsysLocation \"a # b\"",
			"1:1: warning: pruning is ignored: this router always prunes\n2:1: warning: sysName is ignored: this router does not speak SNMP\n" +
				"3:1: warning: sysLocation is ignored: this router does not speak SNMP", ""},
		{"phyint eth0 allow_black_holes", "1:13: warning: allow_black_holes is ignored: it is for debugging mrouted", "phyint eth0"},

		// Where mrouted warns and goes on.
		{"cache-lifetime 5", `1:16: warning: expected seconds from 60 to 86400 after cache-lifetime, found "5": 60 is taken`, "cache-lifetime 60"},
		{"phyint eth0 prune-lifetime 100000", `1:28: warning: expected seconds from 120 to 86400 after prune-lifetime, found "100000": 86400 is taken`, "phyint eth0 prune-lifetime 86400"},
		{"phyint eth0 altnet 10.1.2.3/8", "1:20: warning: 10.1.2.3/8 has bits behind its mask: 10.0.0.0/8 is taken", "phyint eth0 altnet 10/8"},
		{"phyint eth0 boundary 239.1.1.1/16", "1:22: warning: 239.1.1.1/16 has bits behind its mask: 239.1.0.0/16 is taken", "phyint eth0 boundary 239.1/16"},
		{"phyint eth0 boundary 225/8", "1:22: warning: boundary 225.0.0.0/8 is not within 239.0.0.0/8: other routers may rely on these groups crossing the link", "phyint eth0 boundary 225/8"},
		{"igmp-query-interval 10", "1:1: warning: expected igmp-query-interval to be longer than igmp-query-response-interval, found 10 and 10 (its default): 9 is taken for the latter",
			"igmp-query-interval 10 igmp-query-response-interval 9"},

		// Repetitions.
		{"igmp-robustness 3\nigmp-robustness 4", "2:1: warning: igmp-robustness replaces what line 1 says: remove one of the two", "igmp-robustness 4"},
		{"phyint eth0 metric 2 metric 3", "1:22: warning: metric replaces what line 1 says: remove one of the two", "phyint eth0 metric 3"},
		{"noflood\nnoflood", "2:1: warning: noflood is there already, in line 1: remove one of the two", "noflood"},
		{"phyint eth0 enable\n disable", "2:2: warning: disable replaces what line 1 says: remove one of the two", "phyint eth0 disable"},
		{"phyint eth0 igmpv1 igmpv2", "1:20: warning: igmpv2 replaces what line 1 says: remove one of the two", "phyint eth0 igmpv2"},
		{"phyint eth0 metric 2\nphyint eth0 threshold 3", "2:8: warning: eth0 has a phyint in line 1: the options of both are taken, put them together", "phyint eth0 metric 2 threshold 3"},
		{"phyint eth0 static-group 239.1.1.1 static-group 239.1.1.1", "1:49: warning: static-group 239.1.1.1 is there already: remove it", "phyint eth0 static-group 239.1.1.1"},
		{"name A 239.1/16 name A 239.1/16", "1:22: warning: boundary A has this name since line 1: remove it", "name A 239.1/16"},
		{"name A 239.1/16 phyint eth0 boundary A boundary 239.1/16", "1:49: warning: boundary 239.1/16 is there already: remove it", "name A 239.1/16 phyint eth0 boundary A"},
		{"phyint eth0 deny 10/8 10.0/8", "1:23: warning: 10.0/8 is there already: remove it", "phyint eth0 deny 10/8"},
		{"respond-to local local 10/8 10/8", "1:18: warning: local is there already: remove it\n1:29: warning: 10.0.0.0/8 is there already: remove it", "respond-to local 10/8"},
		{"mtrace-response-group 224.0.1.32", "1:23: warning: answers may always be sent to 224.0.1.32: remove it", ""},

		// What is hardly meant.
		{"phyint eth0\nnoflood", "2:1: warning: noflood is taken as an option of the phyint in line 1: put it before the first phyint if it is for all links, indent it if not",
			"phyint eth0\n noflood"},
		{"no phyint\nphyint eth0 metric 2\nphyint eth1 enable", "2:1: warning: phyint eth0 stays disabled because of no phyint: add enable, or disable if that is meant",
			"no phyint phyint eth0 metric 2 disable phyint eth1 enable"},
		{"phyint eth0 enable\nno phyint", "2:1: warning: no phyint holds for the whole file here; mrouted would also disable the phyint in line 1: put it first", "no phyint phyint eth0 enable"},
		{"no phyint", "1:1: warning: nothing is used, since there is a no phyint and no phyint is enabled: add phyint INTERFACE enable", "no phyint"},
		{"no phyint tunnel eth0 192.0.2.1", "1:1: warning: all links are tunnels, since there is a no phyint and no phyint is enabled: add phyint INTERFACE enable for links with members",
			"no phyint tunnel eth0 192.0.2.1"},
		{"phyint eth0 deny default", "1:18: warning: default without exact means every route: write default exact if only the default route is meant, 0/0 if not", "phyint eth0 deny 0/0"},
		{"phyint eth0 deny 224/4", "1:18: warning: there are no routes to 224.0.0.0/4, which is no network of hosts: remove it", "phyint eth0 deny 224/4"},
		{"phyint eth0 static-group 224.0.0.5", "1:26: warning: groups in 224.0.0.0/24 such as 224.0.0.5 are never forwarded: remove it", "phyint eth0 static-group 224.0.0.5"},
		{"phyint eth0 threshold 255", "1:13: warning: nothing is forwarded with threshold 255, since no TTL is greater: lower it", "phyint eth0 threshold 255"},
		{"phyint eth0\n notransit", "2:2: warning: notransit on one link only has no effect: add it to the others that it is meant for, or remove it", "phyint eth0 notransit"},
		{"phyint eth0 altnet 10.1.0.0/16 altnet 10.9/16\nphyint eth1 altnet 10.1.5.0/24",
			"2:20: warning: altnet 10.1.5.0/24 is also on eth0 (line 1), as 10.1.0.0/16: its hosts are on one link only",
			"phyint eth0 altnet 10.1/16 altnet 10.9/16 phyint eth1 altnet 10.1.5/24"},
		{"phyint eth0 neighbor-timeout 3", "1:13: warning: neighbours that send probes every 10 seconds, as mrouted does, are lost between two of them with neighbor-timeout 3: raise it, or set probe-interval on both ends",
			"phyint eth0 neighbor-timeout 3"},
		{"igmp-query-response-interval 26 phyint eth0 igmpv2", "1:45: warning: a query of IGMPv2 carries at most 25.5 seconds, igmp-query-response-interval is 26: lower that, or use igmpv3",
			"igmp-query-response-interval 26 phyint eth0 igmpv2"},
		{"igmp-query-response-interval 9 phyint eth0 igmpv1", "1:44: warning: hosts answer a query of IGMPv1 within 10 seconds, whatever igmp-query-response-interval says",
			"igmp-query-response-interval 9 phyint eth0 igmpv1"},
	}
	for _, test := range tests {
		c, warnings, err := Parse("f", []byte(test.text))
		if err != nil {
			t.Errorf("%s\n%v", test.text, err)
			continue
		}
		var got []string
		for _, w := range warnings {
			got = append(got, strings.TrimPrefix(w.Error(), "f:"))
		}
		if got := strings.Join(got, "\n"); got != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.text, got, test.want)
		}
		same, _, err := Parse("same", []byte(test.same))
		if err != nil {
			t.Errorf("%s\n%v", test.same, err)
			continue
		}
		checkConfig(t, same, c)
	}
}
