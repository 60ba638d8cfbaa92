package report

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"time"
)

// Address is an address that may be unknown; the zero value is, and is null in
// JSON. 0.0.0.0 is an address.
type Address struct{ netip.Addr }

// MarshalJSON implements json.Marshaler.
func (a Address) MarshalJSON() ([]byte, error) {
	if !a.IsValid() {
		return []byte("null"), nil
	}
	return strconv.AppendQuote(nil, a.String()), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *Address) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*a = Address{}
		return nil
	}
	return json.Unmarshal(b, &a.Addr)
}

// Milliseconds is a length of time that JSON shows as a number of milliseconds,
// with a fraction of three digits. Where it may be unknown, a pointer holds it.
type Milliseconds time.Duration

// Duration returns m as the type of package time.
func (m Milliseconds) Duration() time.Duration { return time.Duration(m) }

// MarshalJSON implements json.Marshaler.
func (m Milliseconds) MarshalJSON() ([]byte, error) {
	us := time.Duration(m).Round(time.Microsecond).Microseconds()
	return strconv.AppendFloat(nil, float64(us)/1000, 'f', -1, 64), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *Milliseconds) UnmarshalJSON(b []byte) error {
	var ms float64
	if err := json.Unmarshal(b, &ms); err != nil {
		return err
	}
	*m = Milliseconds(ms * float64(time.Millisecond))
	return nil
}
