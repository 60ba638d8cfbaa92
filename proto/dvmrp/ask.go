package dvmrp

// Ask-Neighbors (code 3) and Ask-Neighbors2 (code 5) are a header and nothing
// else (draft-ietf-idmr-dvmrp-v3, tracing and troubleshooting):
//
//	 0                   1                   2                   3
//	+---------------+---------------+-------------------------------+
//	| type 0x13     | code 3 or 5   | checksum                      |
//	+---------------+---------------+---------------+---------------+
//	| 0             | capabilities  | minor version | major version |
//	+---------------+---------------+---------------+---------------+

// Ask asks a router for its interfaces and neighbours.
type Ask struct {
	Code    Code // [CodeAskNeighbors] or [CodeAskNeighbors2]
	Version Version
}

// Parse reads an Ask-Neighbors or Ask-Neighbors2 message. Bytes after the header
// are ignored.
func (a *Ask) Parse(b []byte) error {
	var err error
	a.Code, a.Version, err = parseHeader(b, CodeAskNeighbors2, CodeAskNeighbors)
	return err
}

// Len returns the length of the encoded message.
func (a *Ask) Len() int { return HeaderLen }

// AppendBinary appends the encoded message to b. It fails if Code is another.
func (a *Ask) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	var err error
	if a.Code != CodeAskNeighbors && a.Code != CodeAskNeighbors2 {
		err = errCode(CodeAskNeighbors2, CodeAskNeighbors)
	}
	b = appendHeader(b, a.Code, a.Version)
	return finish(b, start, a.Code, err)
}
