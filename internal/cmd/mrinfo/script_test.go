package mrinfo_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"mbone/internal/cmd/cmdtest"
	"mbone/internal/cmd/mrinfo"
	"mbone/internal/cmd/mroutd"
	"mbone/report"
)

func TestMain(m *testing.M) {
	cmdtest.Main(m, map[string]cmdtest.Run{"mrinfo": mrinfo.Run, "mroutd": mroutd.Run})
}

func TestScripts(t *testing.T) {
	cmdtest.Scripts(t, func(text string) (bool, error) {
		dec := json.NewDecoder(strings.NewReader(text))
		dec.DisallowUnknownFields()
		var d report.Routers
		if err := dec.Decode(&d); err != nil {
			return false, err
		}
		if err := dec.Decode(&struct{}{}); err != io.EOF {
			return false, errors.New("more than one document")
		}
		if d.Schema != report.RoutersSchema || d.Version != report.RoutersVersion || d.Errors == nil || d.Routers == nil || d.Time.IsZero() ||
			d.Complete != (d.Reason == "") {
			return false, fmt.Errorf("head %+v", d.Document)
		}
		return d.Complete, nil
	})
}
