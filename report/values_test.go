package report

import (
	"encoding/json"
	"testing"
	"time"
)

func TestNumbers(t *testing.T) {
	tests := []struct {
		number any
		want   string
	}{
		{Decimal(16.455696202531644), "16.456"},
		{Decimal(20), "20"},
		{Decimal(-0.00001), "0"},
		{Decimal(-9.0909), "-9.091"},
		{Decimal(123456789.25), "123456789.25"}, // no exponent
		{Milliseconds(1234567 * time.Nanosecond), "1.235"},
		{Milliseconds(-2 * time.Second), "-2000"},
	}
	for _, tt := range tests {
		if got, err := json.Marshal(tt.number); err != nil || string(got) != tt.want {
			t.Errorf("%T is %s, %v; want %s", tt.number, got, err, tt.want)
		}
	}
}
