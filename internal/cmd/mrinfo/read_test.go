package mrinfo

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mbone/report"
	"mbone/schema/schematest"
)

const net7 = "../../../proto/testdata/lab-14-1/net7.pcap"

const scarText = `192.168.7.254 (192.168.7.254) [DVMRPv3 compliant]:
  192.168.14.254 -> 192.168.14.1 (192.168.14.1) [1/1]
  192.168.7.254 -> 192.168.7.7 (192.168.7.7) [1/1]
`

// What is there of a damaged recording is shown, and that it is damaged.
func TestReadDamaged(t *testing.T) {
	b, err := os.ReadFile(net7)
	if err != nil {
		t.Fatal(err)
	}
	answered, part := 0, 0
	for n := 0; n < len(b); n += 97 {
		var stdout, stderr bytes.Buffer
		code := Run(t.Context(), []string{"-n", "--read", "-"}, bytes.NewReader(b[:n]), &stdout, &stderr)
		lines := strings.Count(stderr.String(), "\n")
		switch {
		case stdout.String() == scarText && (code == 1 && lines == 1 || code == 0 && lines == 0): // 0: cut between packets
			answered++
		case stdout.Len() == 0 && (code == 3 || code == 1) && lines == 1:
			part++
		default:
			t.Errorf("cut after %d bytes: %d\n%s%s", n, code, &stdout, &stderr)
		}
	}
	if answered == 0 || part == 0 {
		t.Errorf("%d and %d cuts after and before the answer", answered, part)
	}
}

// A pipe that goes on is read until the run is interrupted.
func TestReadPipe(t *testing.T) {
	b, err := os.ReadFile(net7)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, w := io.Pipe()
	defer r.Close()
	go func() {
		w.Write(b)
		w.Write(nil) // taken when all before it is
		cancel()
	}()
	var stdout, stderr bytes.Buffer
	code := Run(ctx, []string{"-n", "--json", "--read", "-"}, r, &stdout, &stderr)
	d, err := schematest.One[report.Routers](stdout.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	want := "standard input: interrupted; shown is what came before"
	if code != 1 || d.Complete || d.Reason != want || stderr.String() != "mrinfo: "+want+"\n" {
		t.Errorf("got %d %q %q", code, d.Reason, &stderr)
	}
	if len(d.Routers) != 1 || d.Routers[0].Address.String() != "192.168.7.254" {
		t.Errorf("got %+v", d.Routers)
	}
}

// A pipe that nobody writes to does not hold a run that is told to end.
func TestReadPipeNobody(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code := Run(t.Context(), []string{"--json", "--deadline", "0.05", "--read", pipe}, nil, &stdout, &stderr)
	want := "mrinfo: " + pipe + ": the time of --deadline is over\n"
	if code != 1 || stderr.String() != want || !json.Valid(stdout.Bytes()) {
		t.Errorf("got %d %q %q, want 1 %q", code, &stderr, &stdout, want)
	}
}

// The names of all routers of a recording cost no more time than --dns-timeout.
func TestReadNames(t *testing.T) {
	var stdout, stderr bytes.Buffer
	// Nobody answers at this address of the loopback network.
	code := Run(t.Context(), []string{"--resolver", "127.0.0.1:9", "--dns-timeout", "0.2", "--read", net7}, nil, &stdout, &stderr)
	want := strings.NewReplacer("(192.168.7.254)", "(N/A)", "(192.168.14.1)", "(N/A)", "(192.168.7.7)", "(N/A)").Replace(scarText)
	if code != 0 || stdout.String() != want {
		t.Errorf("got %d\n%s%s", code, &stdout, &stderr)
	}
}
