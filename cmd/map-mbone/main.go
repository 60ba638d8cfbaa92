// Map-mbone finds the multicast routers of a network by asking one after the
// other for its neighbours, and draws a map of them. See map-mbone(8).
package main

import (
	"mbone/internal/cli"
	mapmbone "mbone/internal/cmd/map-mbone"
)

func main() { cli.Main(mapmbone.Run) }
