package names

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

var ip = netip.MustParseAddr

// generous is far above any time that a test expects.
const generous = 20 * time.Second

// serve runs a name server on loopback, by UDP and TCP, and returns its address.
func serve(t *testing.T, h dns.HandlerFunc) string {
	t.Helper()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", udp.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: h}, {Listener: tcp, Handler: h}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go s.ActivateAndServe()
		<-started
		t.Cleanup(func() { s.Shutdown() })
	}
	return udp.LocalAddr().String()
}

// reply answers with records in zone file form.
func reply(t *testing.T, w dns.ResponseWriter, q *dns.Msg, records ...string) {
	m := new(dns.Msg)
	m.SetReply(q)
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil {
			t.Error(err)
			return
		}
		m.Answer = append(m.Answer, rr)
	}
	w.WriteMsg(m)
}

// resolve makes a resolver with files that do not exist, unless o names some.
func resolve(t *testing.T, o Options) Resolver {
	t.Helper()
	if o.Hosts == "" {
		o.Hosts = filepath.Join(t.TempDir(), "none")
	}
	if o.ResolvConf == "" {
		o.ResolvConf = filepath.Join(t.TempDir(), "none")
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestName(t *testing.T) {
	const q = "1.0.0.10.in-addr.arpa."
	long := strings.Repeat("a", 63)
	tests := []struct {
		name    string
		records []string
		want    string
	}{
		{"plain", []string{q + " 60 PTR scar.nerdzone.org."}, "scar.nerdzone.org"},
		{"underscore and case", []string{q + " 60 PTR My_Host.Example."}, "My_Host.Example"},
		{"first of several", []string{q + " 60 PTR a.example.", q + " 60 PTR b.example."}, "a.example"},
		{"classless delegation, RFC 2317", []string{q + " 60 CNAME 1.0-25.0.0.10.in-addr.arpa.", "1.0-25.0.0.10.in-addr.arpa. 60 PTR a.example."}, "a.example"},
		{"alias of itself", []string{q + " 60 CNAME " + q}, ""},
		{"nothing", nil, ""},
		{"another name's record", []string{"2.0.0.10.in-addr.arpa. 60 PTR a.example."}, ""},
		{"another type", []string{q + " 60 TXT a.example."}, ""},
		{"terminal commands", []string{q + ` 60 PTR \027[31mred.example.`}, ""},
		{"line break", []string{q + ` 60 PTR a\010b.example.`}, ""},
		{"blank", []string{q + ` 60 PTR a\032b.example.`}, ""},
		{"not ASCII", []string{q + ` 60 PTR \195\164.example.`}, ""},
		{"dot inside a label", []string{q + ` 60 PTR a\.b.example.`}, ""},
		{"an address", []string{q + " 60 PTR 192.0.2.1."}, ""},
		{"longest labels", []string{q + " 60 PTR " + long + "." + long + "." + long + ".example."}, long + "." + long + "." + long + ".example"},
		{"root", []string{q + " 60 PTR ."}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := serve(t, func(w dns.ResponseWriter, m *dns.Msg) { reply(t, w, m, test.records...) })
			r := resolve(t, Options{Servers: []string{server}, Timeout: generous})
			for range 2 { // from the server and from the cache
				if got := r.Name(context.Background(), ip("10.0.0.1")); got != test.want {
					t.Errorf("got %q, want %q", got, test.want)
				}
			}
		})
	}
}

func TestNameAsksOnce(t *testing.T) {
	var questions atomic.Int32
	release := make(chan struct{})
	server := serve(t, func(w dns.ResponseWriter, m *dns.Msg) {
		questions.Add(1)
		<-release
		reply(t, w, m, m.Question[0].Name+" 60 PTR a.example.")
	})
	r := resolve(t, Options{Servers: []string{server}, Timeout: generous})
	names := make(chan string)
	for range 20 {
		go func() { names <- r.Name(context.Background(), ip("10.0.0.1")) }()
	}
	close(release)
	for range 20 {
		if name := <-names; name != "a.example" {
			t.Errorf("got %q", name)
		}
	}
	r.Name(context.Background(), ip("10.0.0.1"))
	if n := questions.Load(); n != 1 {
		t.Errorf("%d questions, want 1", n)
	}
}

// Many names take as long as one: the server answers nobody before all have asked.
func TestAll(t *testing.T) {
	const n = 100
	var asked atomic.Int32
	together := make(chan struct{})
	server := serve(t, func(w dns.ResponseWriter, m *dns.Msg) {
		if asked.Add(1) == n {
			close(together)
		}
		<-together
		reply(t, w, m, m.Question[0].Name+" 60 PTR host"+strings.SplitN(m.Question[0].Name, ".", 2)[0]+".example.")
	})
	r := resolve(t, Options{Servers: []string{server}, Timeout: generous})
	var addrs []netip.Addr
	want := map[netip.Addr]string{}
	for i := range n {
		a := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
		addrs = append(addrs, a)
		want[a] = fmt.Sprintf("host%d.example", i)
	}
	got, err := All(context.Background(), r, addrs)
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

// Names that cannot be found out are counted, with the reason, and a dead server
// delays thousands of them by no more than one.
func TestAllMissed(t *testing.T) {
	var addrs []netip.Addr
	for i := range 5000 {
		addrs = append(addrs, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	hostsFile := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(hostsFile, []byte("10.0.0.7 r7.example\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, ctx context.Context, o Options, missed int, why string) {
		t.Helper()
		o.Hosts = hostsFile
		got, err := All(ctx, resolve(t, o), addrs)
		if len(got) != 1 || got[ip("10.0.0.7")] != "r7.example" {
			t.Errorf("got %v", got)
		}
		if missed == 0 {
			if err != nil {
				t.Error(err)
			}
			return
		}
		if m, ok := errors.AsType[*MissedError](err); !ok || m.Missed != missed || m.Of != len(addrs) || !strings.Contains(err.Error(), why) {
			t.Errorf("got %v, want %d missed and %q", err, missed, why)
		}
	}
	t.Run("silent server", func(t *testing.T) {
		began := time.Now()
		server := serve(t, func(dns.ResponseWriter, *dns.Msg) {})
		check(t, context.Background(), Options{Servers: []string{server}, Timeout: 200 * time.Millisecond}, len(addrs)-1, "name server "+server+": no answer")
		if took := time.Since(began); took > generous {
			t.Errorf("took %v", took)
		}
	})
	t.Run("no such names", func(t *testing.T) {
		server := serve(t, func(w dns.ResponseWriter, m *dns.Msg) { w.WriteMsg(new(dns.Msg).SetRcode(m, dns.RcodeNameError)) })
		check(t, context.Background(), Options{Servers: []string{server}, Timeout: 4 * time.Second}, 0, "")
	})
	t.Run("the time is over", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(errors.New("enough"))
		check(t, ctx, Options{Servers: []string{"127.0.0.1:9"}}, len(addrs)-1, "enough")
	})
}

// A server that says nothing delays a name by no more than the time given, and
// soon nothing at all.
func TestNameSilentServer(t *testing.T) {
	var questions atomic.Int32
	server := serve(t, func(dns.ResponseWriter, *dns.Msg) { questions.Add(1) })
	r := resolve(t, Options{Servers: []string{server}, Timeout: 200 * time.Millisecond})
	start := time.Now()
	for i := range 100 {
		if name := r.Name(context.Background(), netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})); name != "" {
			t.Errorf("got %q", name)
		}
	}
	// Two names and three questions until the server is left alone.
	if took := time.Since(start); took > generous {
		t.Errorf("100 names took %v", took)
	}
	if n := questions.Load(); n < 1 || n > 4 {
		t.Errorf("%d questions, want a few", n)
	}
}

func TestNameContext(t *testing.T) {
	server := serve(t, func(dns.ResponseWriter, *dns.Msg) {})
	r := resolve(t, Options{Servers: []string{server}, Timeout: time.Hour})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if name := r.Name(ctx, ip("10.0.0.1")); name != "" || time.Since(start) > generous {
		t.Errorf("got %q after %v", name, time.Since(start))
	}
}

// A server that fails, refuses, lies or is not there is followed by the next.
func TestNameNextServer(t *testing.T) {
	rcode := func(code int) dns.HandlerFunc {
		return func(w dns.ResponseWriter, m *dns.Msg) { w.WriteMsg(new(dns.Msg).SetRcode(m, code)) }
	}
	good := func(w dns.ResponseWriter, m *dns.Msg) { reply(t, w, m, m.Question[0].Name+" 60 PTR a.example.") }
	first := map[string]dns.HandlerFunc{
		"fails":   rcode(dns.RcodeServerFailure),
		"refuses": rcode(dns.RcodeRefused),
		"silent":  func(dns.ResponseWriter, *dns.Msg) {},
		"answers another question": func(w dns.ResponseWriter, m *dns.Msg) {
			q := m.Copy()
			q.SetQuestion("2.0.0.10.in-addr.arpa.", dns.TypePTR)
			q.Id = m.Id
			reply(t, w, q, m.Question[0].Name+" 60 PTR evil.example.")
		},
		"answers with another id": func(w dns.ResponseWriter, m *dns.Msg) {
			q := m.Copy()
			q.Id++
			reply(t, w, q, m.Question[0].Name+" 60 PTR evil.example.")
		},
		"garbage": func(w dns.ResponseWriter, _ *dns.Msg) { w.Write([]byte("garbage")) },
	}
	for name, h := range first {
		t.Run(name, func(t *testing.T) {
			r := resolve(t, Options{Servers: []string{serve(t, h), serve(t, good)}, Timeout: time.Second})
			if got := r.Name(context.Background(), ip("10.0.0.1")); got != "a.example" {
				t.Errorf("got %q, want that of the second server", got)
			}
		})
	}
	t.Run("is not there", func(t *testing.T) {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		dead := c.LocalAddr().String()
		c.Close()
		r := resolve(t, Options{Servers: []string{dead, serve(t, good)}, Timeout: time.Second})
		if got := r.Name(context.Background(), ip("10.0.0.1")); got != "a.example" {
			t.Errorf("got %q, want that of the second server", got)
		}
	})
}

// A huge answer does no harm, and one that does not fit comes by TCP.
func TestNameHuge(t *testing.T) {
	server := serve(t, func(w dns.ResponseWriter, m *dns.Msg) {
		if w.LocalAddr().Network() == "udp" {
			r := new(dns.Msg).SetReply(m)
			r.Truncated = true
			w.WriteMsg(r)
			return
		}
		var records []string
		for i := range 300 {
			records = append(records, fmt.Sprintf("%s 60 PTR %s%d.example.", m.Question[0].Name, strings.Repeat("x", 40), i))
		}
		reply(t, w, m, records...)
	})
	r := resolve(t, Options{Servers: []string{server}, Timeout: generous})
	if got, want := r.Name(context.Background(), ip("10.0.0.1")), strings.Repeat("x", 40)+"0.example"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNumeric(t *testing.T) {
	server := serve(t, func(w dns.ResponseWriter, m *dns.Msg) {
		if m.Question[0].Qtype != dns.TypeA {
			t.Errorf("asked for %v", m.Question[0])
		}
		reply(t, w, m, m.Question[0].Name+" 60 A 10.0.0.1")
	})
	hosts := write(t, "10.0.0.2 scar\n")
	r := resolve(t, Options{Servers: []string{server}, Hosts: hosts, Timeout: generous, Numeric: true})
	for _, a := range []string{"10.0.0.1", "10.0.0.2"} {
		if name := r.Name(context.Background(), ip(a)); name != "" {
			t.Errorf("got %q for %s", name, a)
		}
	}
	if addrs, err := r.Lookup(context.Background(), "scar.example"); err != nil || len(addrs) != 1 {
		t.Errorf("got %v, %v", addrs, err)
	}
}

func TestHosts(t *testing.T) {
	hosts := write(t, "# comment\n127.0.0.1 localhost\n::1 localhost\n"+
		"192.168.7.254\tscar.nerdzone.org scar # router\n192.168.14.254 SCAR\n"+
		"10.0.0.9\nnonsense x\n10.0.0.8 \x1b[31m bad name.example\n")
	r := resolve(t, Options{Hosts: hosts})
	for addr, want := range map[string]string{
		"127.0.0.1": "localhost", "192.168.7.254": "scar.nerdzone.org", "192.168.14.254": "SCAR",
		"10.0.0.8": "bad", "10.0.0.9": "", "0.0.0.0": "", "::ffff:127.0.0.1": "localhost",
	} {
		if got := r.Name(context.Background(), ip(addr)); got != want {
			t.Errorf("%s: got %q, want %q", addr, got, want)
		}
	}
	for host, want := range map[string]string{
		"scar": "[192.168.7.254 192.168.14.254]", "Scar.Nerdzone.ORG.": "[192.168.7.254]", "localhost": "[127.0.0.1]",
	} {
		if got, err := r.Lookup(context.Background(), host); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: got %v, %v, want %s", host, got, err, want)
		}
	}
}

func TestLookup(t *testing.T) {
	zone := map[string][]string{
		"one.example.":    {"one.example. 60 A 10.0.0.1"},
		"two.example.":    {"two.example. 60 A 10.0.0.2", "two.example. 60 A 10.0.0.1"},
		"alias.example.":  {"alias.example. 60 CNAME one.example.", "one.example. 60 A 10.0.0.1"},
		"six.example.":    {},
		"short.lab.test.": {"short.lab.test. 60 A 10.0.0.3"},
	}
	server := serve(t, func(w dns.ResponseWriter, m *dns.Msg) {
		records, ok := zone[strings.ToLower(m.Question[0].Name)]
		if !ok {
			w.WriteMsg(new(dns.Msg).SetRcode(m, dns.RcodeNameError))
			return
		}
		reply(t, w, m, records...)
	})
	host, port, err := net.SplitHostPort(server)
	if err != nil || host != "127.0.0.1" {
		t.Fatal(server, err)
	}
	conf := write(t, "search other.test lab.test\n")
	r := resolve(t, Options{Servers: []string{"127.0.0.1:" + port}, ResolvConf: conf, Timeout: generous})
	tests := []struct {
		host, want string
		err        error
	}{
		{"10.0.0.7", "[10.0.0.7]", nil},
		{"one.example", "[10.0.0.1]", nil},
		{"two.example.", "[10.0.0.2 10.0.0.1]", nil},
		{"alias.example", "[10.0.0.1]", nil},
		{"short", "[10.0.0.3]", nil},
		{"six.example", "", ErrNoAddress},
		{"missing.example", "", ErrNoHost},
		{"::1", "", ErrNoAddress},
		{"two words", "", ErrNoHost},
		{"", "", ErrNoHost},
		{"10.0.0", "", ErrNoHost},
		{"\x1b[31m", "", ErrNoHost},
	}
	for _, test := range tests {
		got, err := r.Lookup(context.Background(), test.host)
		if !errors.Is(err, test.err) || err == nil && fmt.Sprint(got) != test.want {
			t.Errorf("%q: got %v, %v, want %s, %v", test.host, got, err, test.want, test.err)
		}
		var lookup *LookupError
		if err != nil && (!errors.As(err, &lookup) || strings.Contains(err.Error(), "\x1b")) {
			t.Errorf("%q: error %q", test.host, err)
		}
	}
}

func TestLookupFails(t *testing.T) {
	r := resolve(t, Options{})
	_, err := r.Lookup(context.Background(), "scar.example")
	if want := `"scar.example": no name server in resolv.conf, and the host is not in the hosts file`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	silent := serve(t, func(dns.ResponseWriter, *dns.Msg) {})
	r = resolve(t, Options{Servers: []string{silent}, Timeout: 50 * time.Millisecond})
	start := time.Now()
	_, err = r.Lookup(context.Background(), "scar.example")
	if want := `"scar.example": name server ` + silent + `: no answer`; err == nil || err.Error() != want || time.Since(start) > generous {
		t.Errorf("got %v after %v, want %s", err, time.Since(start), want)
	}
	refuses := serve(t, func(w dns.ResponseWriter, m *dns.Msg) { w.WriteMsg(new(dns.Msg).SetRcode(m, dns.RcodeRefused)) })
	r = resolve(t, Options{Servers: []string{refuses}})
	_, err = r.Lookup(context.Background(), "scar.example")
	if want := `"scar.example": name server ` + refuses + `: REFUSED`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestNewServers(t *testing.T) {
	for server, want := range map[string]string{
		"192.0.2.53":      "192.0.2.53:53",
		"192.0.2.53:5353": "192.0.2.53:5353",
		"2001:db8::1":     "[2001:db8::1]:53",
		"[2001:db8::1]:5": "[2001:db8::1]:5",
		"ns.example":      "",
		"192.0.2.53:0":    "",
		"":                "",
	} {
		r, err := New(Options{Servers: []string{server}})
		if (err == nil) != (want != "") || err == nil && r.(*resolver).servers.all[0].addr != want {
			t.Errorf("%q: got %v, want %q", server, err, want)
		}
	}
	conf := write(t, "nameserver 192.0.2.53\nnameserver 192.0.2.54\n")
	r := resolve(t, Options{ResolvConf: conf}).(*resolver)
	if len(r.servers.all) != 2 || r.servers.all[1].addr != "192.0.2.54:53" {
		t.Errorf("servers of resolv.conf: %v", r.servers.all)
	}
}

// The cache forgets the oldest, and what is out of date.
func TestCacheIsBounded(t *testing.T) {
	var c cache
	now := time.Unix(1000, 0)
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range maxCached + 10 {
		c.put(addr(i), "x", now.Add(time.Minute))
	}
	if len(c.entries) != maxCached || len(c.order) != maxCached {
		t.Errorf("%d entries, want %d", len(c.entries), maxCached)
	}
	if _, ok := c.get(addr(9), now); ok {
		t.Error("the oldest is still there")
	}
	if _, ok := c.get(addr(10), now); !ok {
		t.Error("a newer one was forgotten")
	}
	if _, ok := c.get(addr(10), now.Add(time.Minute)); ok {
		t.Error("one out of date is still there")
	}
}
