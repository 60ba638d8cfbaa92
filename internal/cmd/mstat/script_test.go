package mstat_test

import (
	"testing"

	"mbone/internal/cmd/cmdtest"
	"mbone/internal/cmd/mroutd"
	"mbone/internal/cmd/mstat"
	"mbone/internal/cmd/mtrace"
	"mbone/report"
)

func TestMain(m *testing.M) {
	cmdtest.Main(m, map[string]cmdtest.Run{"mstat": mstat.Run, "mtrace": mtrace.Run, "mroutd": mroutd.Run})
}

func TestScripts(t *testing.T) { cmdtest.Scripts(t, report.StatsSchema) }
