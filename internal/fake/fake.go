// Package fake is a network of thousands of routers in one process.
//
// It sits in a host of a lab that has local routes for their addresses, loses and
// delays by a seed, and speaks through the kernel: a tool that asks it cannot
// know that they are not real.
package fake
