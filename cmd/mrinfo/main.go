// Mrinfo asks multicast routers who they are, what interfaces and what
// neighbours they have. See mrinfo(8).
package main

import (
	"mbone/internal/cli"
	"mbone/internal/cmd/mrinfo"
)

func main() { cli.Main(mrinfo.Run) }
