package mapmbone_test

import (
	"testing"

	"mbone/internal/cmd/cmdtest"
	mapmbone "mbone/internal/cmd/map-mbone"
	"mbone/internal/cmd/mroutd"
	"mbone/report"
)

func TestMain(m *testing.M) {
	cmdtest.Main(m, map[string]cmdtest.Run{"map-mbone": mapmbone.Run, "mroutd": mroutd.Run})
}

func TestScripts(t *testing.T) { cmdtest.Scripts(t, report.MapSchema) }
