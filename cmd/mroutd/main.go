// Mroutd answers the questions that multicast routers are asked, and brings up
// networks to try the tools in. See mroutd(8).
package main

import (
	"os"

	"mbone/internal/cli"
	"mbone/internal/cmd/mroutd"
)

func main() { cli.Main(mroutd.Command(os.Args[0])) }
