package mroutd

import (
	"context"

	"mbone/internal/cli"
)

func demo(ctx context.Context, call *cli.Call) error {
	_, err := enter()
	return err
}
