// Mtrace traces the path that multicast takes from a source to a receiver, hop
// by hop. See mtrace(8).
package main

import (
	"mbone/internal/cli"
	"mbone/internal/cmd/mtrace"
)

func main() { cli.Main(mtrace.Run) }
