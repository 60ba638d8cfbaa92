package report

import (
	"encoding/json"
	"math"
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

// String returns the number as JSON and CSV have it.
func (m Milliseconds) String() string { return Decimal(m.Duration().Seconds() * 1000).String() }

// MarshalJSON implements json.Marshaler.
func (m Milliseconds) MarshalJSON() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (m *Milliseconds) UnmarshalJSON(b []byte) error {
	var ms float64
	if err := json.Unmarshal(b, &ms); err != nil {
		return err
	}
	*m = Milliseconds(ms * float64(time.Millisecond))
	return nil
}

// Decimal is a number that is shown with a fraction of at most three digits,
// rounded, and without an exponent.
type Decimal float64

// String returns the number as JSON and CSV have it.
func (d Decimal) String() string {
	return strconv.FormatFloat(math.Round(float64(d)*1000)/1000+0, 'f', -1, 64) // + 0: no -0
}

// MarshalJSON implements json.Marshaler.
func (d Decimal) MarshalJSON() ([]byte, error) { return []byte(d.String()), nil }
