package transport_test

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/internal/agent"
	"github.com/sitekeep/sitekeep/internal/agent/config"
	"github.com/sitekeep/sitekeep/internal/agent/link"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/pki"
)

// Where an agent of a process of its own has its identity, and what it may read.
const (
	identityVar = "SITEKEEP_TEST_IDENTITY"
	rootVar     = "SITEKEEP_TEST_ROOT"
)

// TestMain is also the agent of a benchmark, in a process of its own, so that the
// master's processor time is its process's.
func TestMain(m *testing.M) {
	if dir := os.Getenv(identityVar); dir != "" {
		if err := serveAgent(dir, os.Getenv(rootVar)); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// serveAgent says where it listens, and serves until its standard input ends.
func serveAgent(dir, root string) error {
	id, err := pki.LoadIdentity(dir)
	if err != nil {
		return err
	}
	live, err := pki.NewLiveIdentity(id)
	if err != nil {
		return err
	}
	web, err := agent.New(agent.Options{
		Config: &config.Config{Allow: config.Allow{Roots: []string{root}}}, Name: id.Name, Roles: []model.Role{model.RoleWeb},
		Version: "test", Now: func() time.Time { return time.Now().Add(time.Hour) }, Log: hclog.NewNullLogger(),
	})
	if err != nil {
		return err
	}
	on, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := os.Stdout.WriteString(on.Addr().String() + "\n"); err != nil {
		return err
	}
	server := web.NewServer(link.ListenCredentials(live))
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		server.Stop()
	}()
	return server.Serve(on)
}

// apart starts an agent of its own process and returns its address.
func (s *servers) apart(name string) string {
	s.Helper()
	dir := s.TempDir()
	s.must(pki.SaveIdentity(dir, s.identity(name).Identity()))
	self, err := os.Executable()
	s.must(err)
	cmd := exec.CommandContext(context.Background(), self)
	cmd.Env = append(os.Environ(), identityVar+"="+dir, rootVar+"="+s.www)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	s.must(err)
	out, err := cmd.StdoutPipe()
	s.must(err)
	s.must(cmd.Start())
	s.Cleanup(func() { s.must(in.Close()); s.must(cmd.Wait()) })
	address, err := bufio.NewReader(out).ReadString('\n')
	s.must(err)
	return strings.TrimSpace(address)
}

// BenchmarkMaster reports the master's processor time for each GB of a site: of a
// first backup, and of one in which nothing has changed. SITEKEEP_TREE names a
// directory to measure with.
func BenchmarkMaster(b *testing.B) {
	s := newServers(b)
	if tree := os.Getenv("SITEKEEP_TREE"); tree != "" {
		s.www, s.root = filepath.Dir(tree), tree
	} else {
		s.plant(2000)
	}
	address := s.apart("web1")
	for _, name := range []string{"first", "spliced"} {
		b.Run(name, func(b *testing.B) {
			m := s.master(address, s.db.address)
			q := m.request("tar.zst")
			q.Site.DBServer, q.Site.Database = "", model.Database{}
			make := func() *model.Backup {
				got, err := m.maker.Make(b.Context(), q, m)
				if err != nil {
					b.Fatalf("%v\n%s", err, m.lines())
				}
				s.now = s.now.Add(time.Hour)
				return got
			}
			if name == "spliced" {
				make()
			}
			var used time.Duration
			var size int64
			b.ResetTimer()
			for range b.N {
				before := processorTime(b)
				got := make()
				used += processorTime(b) - before
				size += got.PlainSize
				if name == "first" {
					m = s.master(address, s.db.address)
				}
			}
			b.SetBytes(size / int64(b.N))
			b.ReportMetric(used.Seconds()/float64(size)*1e9, "cpu-s/GB")
		})
	}
}

// processorTime is what this process has used so far, the kernel's part included.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
