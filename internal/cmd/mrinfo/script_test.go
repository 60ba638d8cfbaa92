package mrinfo_test

import (
	"testing"

	"mbone/internal/cmd/cmdtest"
	"mbone/internal/cmd/mrinfo"
	"mbone/internal/cmd/mroutd"
	"mbone/report"
)

func TestMain(m *testing.M) {
	cmdtest.Main(m, map[string]cmdtest.Run{"mrinfo": mrinfo.Run, "mroutd": mroutd.Run})
}

func TestScripts(t *testing.T) { cmdtest.Scripts(t, report.RoutersSchema) }
