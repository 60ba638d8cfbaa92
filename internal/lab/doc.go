// Package lab brings up networks of Linux hosts inside one process tree.
//
// A host is a network namespace with a mount namespace of its own (a private
// /run, and other directories on demand), a LAN is a bridge in a hidden hub
// namespace, and a [Wire] joins an interface of a host to a port of a LAN with
// a veth pair. Everything is done through netlink and system calls: no command
// of the system is needed, nor root where the kernel allows user namespaces.
//
//	hub namespace:      LAN "net1" (bridge)      LAN "net2" (bridge)
//	                      |            |           |            |
//	                    port          port       port          port     loss, cut
//	                      |            |           |            |
//	hosts:              eth0          eth0       eth1          eth0
//	                   [ sender ]    [     router    ]       [ receiver ]
//
// # How it starts and how it ends
//
// [Enter] starts the running program again in new network, mount and pid
// namespaces, and a user namespace where the caller is not root. That makes
// three processes of one program:
//
//	outer   waits, passes signals on, exits with the code of the inner one
//	pid 1   of the new pid namespace: mounts /proc and /run, reaps, passes signals on
//	inner   does the work
//
// When the outer process ends, however it ends, pid 1 is killed; when pid 1
// ends, the kernel kills every process of its namespace, and with them go the
// hosts, LANs and mounts. Nothing is left to clean up.
//
// Commands call Enter before they do anything else; tests have
//
//	func TestMain(m *testing.M) { lab.Main(m) }
//
// and say in each test what it needs: lab.Require(t, lab.Netns).
//
// # Topologies
//
// Tests and commands describe a network in the same small language; see [Parse].
package lab
