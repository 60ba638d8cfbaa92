package ask

import (
	"context"
	"errors"
	"net/netip"
)

// NeighborsOfAny asks all addresses of one router at once, and returns what
// [Client.Neighbors] returns of the first one that gives an answer. If none does,
// the error has [ErrNoAnswer] if at least one could be asked.
func (c *Client) NeighborsOfAny(ctx context.Context, addrs []netip.Addr, q NeighborsQuestion) ([]NeighborsAnswer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		answers []NeighborsAnswer
		err     error
	}
	outcomes := make(chan outcome, len(addrs))
	for _, addr := range addrs {
		go func() {
			q := q
			q.Router = addr
			answers, err := c.Neighbors(ctx, q)
			outcomes <- outcome{answers, err}
		}()
	}
	var silent, failure error
	for range addrs {
		o := <-outcomes
		switch {
		case len(o.answers) > 0:
			return o.answers, nil
		case o.err == nil: // nobody on the link
			silent = ErrNoAnswer
		case errors.Is(o.err, ErrNoAnswer):
			silent = o.err
		default:
			failure = o.err
		}
	}
	if silent != nil {
		return nil, silent
	}
	return nil, failure
}
