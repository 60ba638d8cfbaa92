package ask_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"mbone/internal/ask"
	"mbone/internal/ask/asktest"
	"mbone/proto/dvmrp"
)

// At debug level a log has the packets that were not taken, at LevelPackets every
// packet.
func TestLog(t *testing.T) {
	for _, test := range []struct {
		level slog.Level
		want  string // messages, with their addresses
	}{
		{slog.LevelInfo, ""},
		{slog.LevelDebug, "packet not taken from 192.168.7.66\n"},
		{ask.LevelPackets, "sending packet to 192.168.7.7\npacket received from 192.168.7.66\npacket not taken from 192.168.7.66\npacket received from 192.168.7.7\n"},
	} {
		var log strings.Builder
		o := ask.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: test.level}))}
		run(t, asktest.Options{}, o, func(t *testing.T, n *asktest.Network, c *ask.Client) {
			n.Handle(func(ask.Datagram) []asktest.Answer {
				return []asktest.Answer{
					{From: ip("192.168.7.66"), Message: message(t, dvmrp.CodeNeighbors2, dvmrp.Mrouted)},
					{From: ip("192.168.7.7"), Message: message(t, dvmrp.CodeNeighbors2, dvmrp.Mrouted, castor...)},
				}
			}, ip("192.168.7.7"))
			one(t, c, ask.NeighborsQuestion{Router: ip("192.168.7.7")})
		})
		var got strings.Builder
		for line := range strings.Lines(log.String()) {
			for message, address := range map[string]string{"sending packet": "to", "packet received": "from", "packet not taken": "from"} {
				if strings.Contains(line, fmt.Sprintf("msg=%q", message)) {
					_, addr, _ := strings.Cut(line, " "+address+"=")
					addr, _, _ = strings.Cut(addr, " ")
					fmt.Fprintf(&got, "%s %s %s\n", message, address, addr)
				}
			}
		}
		if got.String() != test.want {
			t.Errorf("level %v:\n%s\nwant\n%s\nall of it:\n%s", test.level, got.String(), test.want, log.String())
		}
	}
}
