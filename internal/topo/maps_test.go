package topo_test

import "testing"

// TestMaps crawls small networks whose maps can be seen by looking at them.
func TestMaps(t *testing.T) {
	for _, test := range []struct {
		name, drawing, start, want string
	}{
		{"one router",
			"a: 1.1", "1.1",
			"0 1.1"},
		{"a chain, by one address each",
			`a: 1.1>1.2
			 b: 1.2>1.1  2.2>2.3
			 c: 2.3>2.2  3.3`, "1.1",
			`0 1.1
			 1 1.2 = 2.2
			 2 2.3 = 3.3
			 p2p 1.1 1.2
			 p2p 1.2@2.2 2.3`},
		{"the address that answered first stands for the router, else the lowest",
			`a: 1.1>1.2  9.9
			 b: 1.2>1.1  0.2`, "9.9",
			`1 0.2 = 1.2
			 0 9.9 = 1.1
			 p2p 0.2@1.2 9.9@1.1`},
		{"a triangle",
			`a: 1.1>1.2  3.1>3.3
			 b: 1.2>1.1  2.2>2.3
			 c: 2.3>2.2  3.3>3.1`, "1.1",
			`0 1.1 = 3.1
			 1 1.2 = 2.2
			 1 2.3 = 3.3
			 p2p 1.1 1.2
			 p2p 1.1@3.1 2.3@3.3
			 p2p 1.2@2.2 2.3`},
		{"a silent router",
			`a: 1.1>1.2
			 b silent: 1.2>1.1  2.2>2.3
			 c: 2.3>2.2`, "1.1",
			`0 1.1
			 1 1.2 silent (no answer to 5 tries)
			 p2p 1.1 1.2`},
		{"a silent start",
			"a silent: 1.1", "1.1",
			"0 1.1 silent (no answer to 5 tries)"},
		{"a LAN",
			`a: 1.1>1.2,1.3
			 b: 1.2>1.1,1.3
			 c: 1.3>1.2,1.1  2.3`, "1.1",
			`0 1.1
			 1 1.2
			 1 1.3 = 2.3
			 lan 1.1 1.2 1.3`},
		{"a LAN with a silent member",
			`a: 1.1>1.2,1.3
			 b: 1.2>1.1,1.3
			 c silent: 1.3`, "1.1",
			`0 1.1
			 1 1.2
			 1 1.3 silent (no answer to 5 tries)
			 lan 1.1 1.2 1.3`},
		{"a LAN whose members know one another through the third",
			`a: 1.1>1.2
			 b: 1.2>1.1,1.3
			 c: 1.3>1.2`, "1.1",
			`0 1.1
			 1 1.2
			 2 1.3
			 lan 1.1 1.2 1.3`},
		{"a one-way link",
			`a: 1.1>1.2
			 b: 1.2  2.2>2.3
			 c: 2.3>2.2`, "1.1",
			`0 1.1
			 1 1.2 = 2.2
			 2 2.3
			 p2p 1.1 1.2 1.1-/>1.2
			 p2p 1.2@2.2 2.3`},
		{"a deaf member of a LAN",
			`a: 1.1>1.2,1.3
			 b: 1.2>1.1,1.3
			 c: 1.3`, "1.1",
			`0 1.1
			 1 1.2
			 1 1.3
			 lan 1.1 1.2 1.3 1.1-/>1.3 1.2-/>1.3`},
		{"a one-way pair on a LAN",
			`a: 1.1>1.2,1.3
			 b: 1.2>1.1,1.3
			 c: 1.3>1.2`, "1.1",
			`0 1.1
			 1 1.2
			 2 1.3
			 lan 1.1 1.2 1.3 1.1-/>1.3`},
		{"a tunnel beside a LAN, from the same address",
			`a: 1.1>1.2,1.3  1.1>7.7/tunnel
			 b: 1.2>1.1,1.3
			 c: 1.3>1.2,1.1
			 d: 7.7>1.1/tunnel  7.7`, "1.1",
			`0 1.1
			 1 1.2
			 1 1.3
			 1 7.7
			 lan 1.1 1.2 1.3
			 tunnel 1.1 7.7`},
		{"a tunnel that is down is a link",
			`a: 1.1>2.2/tunnel/down
			 b: 2.2>1.1/tunnel/down  3.3>3.4/tunnel/disabled
			 c silent: 3.4`, "1.1",
			`0 1.1
			 1 2.2 = 3.3
			 2 3.4 silent (no answer to 5 tries)
			 tunnel 1.1 2.2
			 tunnel 2.2@3.3 3.4`},
		{"a tunnel of which one end does not know",
			`a: 1.1>2.2/tunnel
			 b: 2.2`, "1.1",
			`0 1.1
			 1 2.2
			 tunnel 1.1 2.2 1.1-/>2.2`},
		{"the other end says what an old router has",
			`a old: 1.1>1.2  1.1>7.7
			 b: 1.2>1.1
			 d: 7.7>1.1/tunnel`, "1.1",
			`0 1.1 old
			 1 1.2
			 1 7.7
			 p2p 1.1 1.2
			 tunnel 1.1 7.7`},
		{"two old routers",
			`a old: 1.1>1.2
			 b old: 1.2>1.1`, "1.1",
			`0 1.1 old
			 1 1.2 old
			 p2p 1.1 1.2`},
		{"a tunnel and a link between the same addresses",
			`a: 1.1>1.2/tunnel  1.1>1.2
			 b: 1.2>1.1  1.2>1.1/tunnel`, "1.1",
			`0 1.1
			 1 1.2
			 p2p 1.1 1.2
			 tunnel 1.1 1.2`},
		{"a tunnel that is an ordinary interface to the other end",
			`a: 1.1>1.2/tunnel
			 b: 1.2>1.1`, "1.1",
			`0 1.1
			 1 1.2
			 tunnel 1.1 1.2`},
		{"two links between the same routers, one of them one-way",
			`a: 1.1>1.2  2.1>2.2
			 b: 1.2>1.1  2.2`, "1.1",
			`0 1.1 = 2.1
			 1 1.2 = 2.2
			 p2p 1.1 1.2
			 p2p 1.1@2.1 1.2@2.2 1.1-/>1.2`},
		{"a router heard by its second address on a link is no further neighbour",
			`a: 1.1>1.2,1.9
			 b: 1.2>1.1  1.9`, "1.1",
			`0 1.1
			 1 1.2 = 1.9
			 p2p 1.1 1.2`},
		{"one end of a link borrows its address",
			`a: 1.1>1.2
			 b: 5.5>1.1  1.2`, "1.1",
			`0 1.1
			 1 1.2 = 5.5
			 p2p 1.1 1.2@5.5`},
		{"answers from another address",
			`a from=1.1: 1.1>1.2  9.1
			 b from=2.2: 1.2>1.1  2.2>2.3
			 c from=8.8: 2.3>2.2  8.8`, "9.1",
			`0 1.1 = 9.1
			 1 1.2 = 2.2
			 2 2.3 = 8.8
			 p2p 1.1 1.2
			 p2p 1.2@2.2 2.3`},
		{"nonsense is nobody",
			`a: 1.1>0.0.0.0  2.1>2.1  3.1>127.0.0.1,224.0.0.1,255.255.255.255,240.1.1.1,0.1.2.3  1.1>2.1`, "1.1",
			"0 1.1 = 2.1 3.1"},
		{"two routers with the same private address",
			`a: 1.1>1.2  192.168.1.1
			 b: 1.2>1.1  192.168.1.1`, "1.1",
			`0 1.1 = 192.168.1.1
			 1 1.2 ! 192.168.1.1
			 p2p 1.1 1.2`},
		{"two routers with the same private address, that cannot be reached",
			`a lies: 1.1>1.2  192.168.1.1
			 b lies: 1.2>1.1  192.168.1.1`, "1.1",
			`0 1.1 ! 192.168.1.1
			 1 1.2 ! 192.168.1.1
			 p2p 1.1 1.2`},
		{"two LANs with the same addresses, told by the neighbours",
			`a: 1.1>1.2  192.168.1.1>192.168.1.2
			 b: 1.2>1.1  192.168.1.1>192.168.1.3
			 c: 192.168.1.2>192.168.1.1
			 d: 192.168.1.3>192.168.1.1`, "1.1",
			`0 1.1 = 192.168.1.1
			 1 1.2 ! 192.168.1.1
			 1 192.168.1.2
			 2 192.168.1.3
			 p2p 1.1 1.2
			 p2p 1.1@192.168.1.1 192.168.1.2
			 p2p 1.2@192.168.1.1 192.168.1.3`},
		{"a liar claims the address of another router",
			`a: 1.1>1.2  2.1>2.3
			 l lies: 1.2>1.1  2.3
			 c: 2.3>2.1  3.3`, "1.1",
			`0 1.1 = 2.1
			 1 1.2 ! 2.3
			 1 2.3 = 3.3
			 p2p 1.1 1.2
			 p2p 1.1@2.1 2.3`},
		{"a liar claims a silent router",
			`a: 1.1>1.2  2.1>2.3
			 l lies: 1.2>1.1  2.3
			 c silent: 2.3>2.1`, "1.1",
			`0 1.1 = 2.1
			 1 1.2 ! 2.3
			 1 2.3 silent (no answer to 5 tries)
			 p2p 1.1 1.2
			 p2p 1.1@2.1 2.3`},
		{"a liar speaks for another router of its LAN",
			`a: 1.1>1.2,1.3
			 l lies: 1.2>1.1,1.3  1.3>1.1
			 c: 1.3>1.1,1.2`, "1.1",
			`0 1.1
			 1 1.2 ! 1.3
			 1 1.3
			 lan 1.1 1.2 1.3
			 p2p 1.1 1.2@1.3 1.2-/>1.1`},
		{"a liar has the same private address as the router that it claims to be",
			`a: 1.1>1.2,1.3
			 l lies true=2: 1.2>1.1,1.3  192.168.1.1  1.3
			 b: 1.3>1.1,1.2  192.168.1.1  3.3`, "1.1",
			`0 1.1
			 1 1.2 = 192.168.1.1 ! 1.3
			 1 1.3 = 3.3 ! 192.168.1.1
			 lan 1.1 1.2 1.3`},
		{"a router behind a liar that claims it",
			`a: 1.1>1.2
			 l lies: 1.2>1.1  2.2>2.3  2.3
			 b: 2.3>2.2`, "1.1",
			`0 1.1
			 1 1.2 = 2.2 ! 2.3
			 2 2.3
			 p2p 1.1 1.2
			 p2p 1.2@2.2 2.3`},
		{"a liar names everybody",
			`a: 1.1>1.2,1.9
			 b: 1.2>1.1,1.9  2.2>2.3
			 c: 2.3>2.2  3.3>3.4
			 d silent: 3.4
			 l lies: 1.9>1.1,1.2,2.3,3.3,6.6`, "1.1",
			`0 1.1
			 1 1.2 = 2.2
			 1 1.9
			 2 2.3 = 3.3
			 3 3.4 silent (no answer to 5 tries)
			 2 6.6 silent (no answer to 5 tries)
			 lan 1.1 1.2 1.9 2.3@3.3 6.6 1.9-/>2.3
			 p2p 1.2@2.2 2.3
			 p2p 1.9 2.3 1.9-/>2.3
			 p2p 2.3@3.3 3.4`},
	} {
		t.Run(test.name, func(t *testing.T) {
			expect(t, draw(t, test.drawing).crawl(t, everything(test.start)), test.want)
		})
	}
}
