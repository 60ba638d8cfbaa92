// Mstat shows how many packets multicast from a source to a receiver loses on its
// way, hop by hop and over time. See mstat(8).
package main

import (
	"mbone/internal/cli"
	"mbone/internal/cmd/mstat"
)

func main() { cli.Main(mstat.Run) }
