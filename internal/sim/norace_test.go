//go:build !race

package sim

// underRace is whether the race detector makes everything slow.
const underRace = false
