// Package config reads the configuration file of the router, mroutd.conf: the
// whole grammar of mrouted.conf (3.9 and 4.x), old and new spellings, and keywords
// of our own in the same style.
//
// A file goes through two layers. The parser (lex.go, raw.go) cuts the text into
// statements, each with its place; it only knows the shape of the keywords. The
// checker (check.go) gives the words types and defaults, and compares statements
// with each other. What comes out is a [Config], the only thing that the daemon
// sees. All problems of both layers are told at once, by file, line and column.
//
// The keywords stand in one table, see [Keywords]. To add one: a row there, a case
// in apply.go, a line in format.go; tests complain until all three are there, and
// until the sample file man/mroutd.conf.sample shows it.
//
// # Grammar
//
// Words are separated by white space, of which the end of a line is one kind. A
// word that begins with # begins a comment, which ends with the line. A word in
// double quotes, without escapes and on one line, is never a keyword: it can be
// the name of an interface that is called like one.
//
//	file      = { setting | name | phyint | tunnel }
//	phyint    = "phyint" INTERFACE { option }
//	tunnel    = "tunnel" INTERFACE HOST { option }
//	name      = "name" WORD NETWORK
//	setting   = keyword arguments
//	option    = keyword arguments
//	INTERFACE = its name or one of its addresses
//	HOST      = an address or a host name
//	NETWORK   = a.b.c.d/length, trailing octets may be left out: 10/8
//
// An option belongs to the phyint or tunnel before it, up to the next statement.
// Some keywords are a setting as well as an option: what follows a phyint or
// tunnel is an option, so the settings for all links come first.
//
// Nothing here asks the system: whether there is such an interface, and what
// address a host name has, is seen when links come and go.
package config
