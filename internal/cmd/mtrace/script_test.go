package mtrace_test

import (
	"fmt"
	"testing"

	"mbone/internal/cmd/cmdtest"
	"mbone/internal/cmd/mroutd"
	"mbone/internal/cmd/mtrace"
)

func TestMain(m *testing.M) {
	cmdtest.Main(m, map[string]cmdtest.Run{"mtrace": mtrace.Run, "mroutd": mroutd.Run})
}

func TestScripts(t *testing.T) {
	cmdtest.Scripts(t, func(text string) (bool, error) {
		all, err := mtrace.Decode(text)
		if err != nil {
			return false, err
		}
		if len(all) != 1 {
			return false, fmt.Errorf("%d documents", len(all))
		}
		return all[0].Complete, nil
	})
}
