package mtrace

// Decode is for the tests that import what imports this package.
var Decode = decode
