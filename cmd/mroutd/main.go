// Mroutd is a multicast router, answers the questions of its tools, and brings up
// networks to try the tools in. See mroutd(8).
package main

import (
	"os"

	"mbone/internal/cli"
	"mbone/internal/cmd/mroutd"
)

func main() { cli.Main(mroutd.Command(os.Args[0])) }
