package transport_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"iter"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"github.com/sitekeep/sitekeep/internal/agent"
	"github.com/sitekeep/sitekeep/internal/agent/config"
	"github.com/sitekeep/sitekeep/internal/agent/link"
	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/hub/fleet"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/pki"
	"github.com/sitekeep/sitekeep/internal/store"
	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// servers are a web and a database server with a site.
type servers struct {
	testing.TB
	ca    *pki.CA
	leaf  *pki.MasterLeaf
	now   time.Time // of all clocks but those of TLS: later than everything that is written
	www   string
	root  string
	web   *listening
	db    *listening
	dump  []string // statements
	tests int
}

// listening is an agent that can be restarted where it listens.
type listening struct {
	t       testing.TB
	address string
	make    func() *grpc.Server
	server  *grpc.Server
	done    chan struct{}
}

func (s *servers) listen(make func() *grpc.Server) *listening {
	l := &listening{t: s.TB, address: "127.0.0.1:0", make: make}
	l.start()
	s.Cleanup(l.stop)
	return l
}

func (l *listening) start() {
	l.t.Helper()
	on, err := net.Listen("tcp", l.address)
	if err != nil {
		l.t.Fatal(err)
	}
	server, done := l.make(), make(chan struct{})
	l.address, l.server, l.done = on.Addr().String(), server, done
	go func() { defer close(done); _ = server.Serve(on) }()
}

func (l *listening) stop() { l.server.Stop(); <-l.done }

func newServers(t testing.TB) *servers {
	t.Helper()
	s := &servers{TB: t, now: time.Now().Add(time.Hour), www: t.TempDir()}
	s.root = filepath.Join(s.www, "example.com")
	var err error
	s.ca, err = pki.InitCA(t.TempDir(), "test", time.Now())
	s.must(err)
	s.leaf, err = pki.NewMasterLeaf(s.ca, time.Now)
	s.must(err)
	web, err := agent.New(agent.Options{
		Config: &config.Config{Allow: config.Allow{Roots: []string{s.www}}}, Name: "web1", Roles: []model.Role{model.RoleWeb},
		Version: "test", Now: s.clock, Log: hclog.NewNullLogger(),
	})
	s.must(err)
	s.web = s.listen(func() *grpc.Server { return web.NewServer(link.ListenCredentials(s.identity("web1"))) })
	s.db = s.listen(func() *grpc.Server {
		g := grpc.NewServer(grpc.Creds(link.ListenCredentials(s.identity("db1"))), grpc.WaitForHandlers(true),
			grpc.ChainStreamInterceptor(wire.StreamServerErrors(hclog.NewNullLogger())))
		agentv1.RegisterAgentServiceServer(g, database{servers: s})
		agentv1.RegisterDatabaseServiceServer(g, database{servers: s})
		return g
	})
	return s
}

func (s *servers) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *servers) clock() time.Time { return s.now }

func (s *servers) identity(name string) *pki.LiveIdentity {
	key, err := pki.NewKey()
	s.must(err)
	csr, err := pki.NewCSR(key)
	s.must(err)
	der, err := s.ca.SignAgent(csr, name, time.Now(), time.Hour)
	s.must(err)
	id, err := pki.NewLiveIdentity(pki.Identity{Name: name, Key: key, Certificate: der, CA: s.ca.Certificate().Raw, Addresses: []string{"127.0.0.1:1"}})
	s.must(err)
	return id
}

// plant makes a site of so many files of about 14 KiB that do not compress, and a dump.
func (s *servers) plant(files int) {
	s.Helper()
	noise := rand.NewChaCha8([32]byte{7})
	for i := range files {
		dir := filepath.Join(s.root, fmt.Sprintf("d%02d", i%40))
		s.must(os.MkdirAll(dir, 0o755))
		b := make([]byte, 8<<10+i*97%(12<<10))
		_, _ = noise.Read(b)
		s.must(os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%04d", i)), b, 0o644))
	}
	for i := range 60 {
		b := make([]byte, 40<<10)
		_, _ = noise.Read(b)
		s.dump = append(s.dump, fmt.Sprintf("INSERT INTO `t` VALUES (%d,'%x');\n", i, b))
	}
}

// database is an agent of a database that is made up.
type database struct {
	agentv1.UnimplementedAgentServiceServer
	agentv1.UnimplementedDatabaseServiceServer
	*servers
}

// GetInfo says nothing but a version.
func (database) GetInfo(context.Context, *agentv1.GetInfoRequest) (*agentv1.GetInfoResponse, error) {
	return &agentv1.GetInfoResponse{Version: "test"}, nil
}

// Dump frames the statements.
func (d database) Dump(stream agentv1.DatabaseService_DumpServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	codec, err := archive.NewCodec(archive.Format(first.GetHeader().GetFormat()), 0)
	if err != nil {
		return err
	}
	if err := stream.Send(&agentv1.DumpResponse{Message: &agentv1.DumpResponse_Start{Start: &agentv1.DumpStart{}}}); err != nil {
		return err
	}
	framer, err := archive.NewDumpFramer(stream.Context(), archive.DumpOptions{Codec: codec, Base: base(stream), Clock: d.clock}, func(_ context.Context, it archive.Item) error {
		m := &agentv1.DumpResponse{}
		if it.Frame != nil {
			m.Message = &agentv1.DumpResponse_Frame{Frame: wire.FrameToProto(it.Frame)}
		} else {
			m.Message = &agentv1.DumpResponse_Reference{Reference: wire.ReferenceToProto(it.Reference)}
		}
		return stream.Send(m)
	})
	if err != nil {
		return err
	}
	defer framer.Abort()
	for _, statement := range d.dump {
		if _, err := framer.Write([]byte(statement)); err != nil {
			return err
		}
		if err := framer.EndStatement(1); err != nil {
			return err
		}
	}
	sum, err := framer.Close()
	if err != nil {
		return err
	}
	return stream.Send(&agentv1.DumpResponse{Message: &agentv1.DumpResponse_Summary{Summary: &agentv1.DumpSummary{Stream: wire.SummaryToProto(&sum)}}})
}

// base reads what comes down.
func base(stream agentv1.DatabaseService_DumpServer) iter.Seq2[archive.BaseDumpFrame, error] {
	return func(yield func(archive.BaseDumpFrame, error) bool) {
		for {
			m, err := stream.Recv()
			if err != nil {
				yield(archive.BaseDumpFrame{}, err)
				return
			}
			if m.GetEnd() != nil {
				return
			}
			for _, p := range m.GetBase().GetFrames() {
				if f, err := wire.BaseDumpFrameFromProto(p); !yield(f, err) {
					return
				}
			}
		}
	}
}

// master has a store of its own, and its own ways to the servers.
type master struct {
	*servers
	fleet *fleet.Fleet
	book  *catalogue.Catalogue
	shelf *store.Local
	maker *backup.Maker
	came  atomic.Int64 // bytes of frames
	mu    sync.Mutex
	log   []string
	ways  map[string]string
	first func() // called with the first frame of the tree; may be nil
}

func (s *servers) master(web, db string, change ...func(*backup.Deps)) *master {
	s.Helper()
	m := &master{servers: s, ways: map[string]string{"web1": web, "db1": db}}
	var err error
	m.book, err = catalogue.Open(s.Context(), filepath.Join(s.TempDir(), "catalogue.db"))
	s.must(err)
	s.Cleanup(func() { s.must(m.book.Close()) })
	m.shelf, err = store.OpenLocal(s.TempDir(), store.Options{})
	s.must(err)
	m.fleet = fleet.New(m, func(server string) *tls.Config {
		return pki.MasterDial(s.leaf, server, func(string, string) bool { return false }, time.Now)
	})
	s.Cleanup(m.fleet.Close)
	d := backup.Deps{
		Agents: m, Store: m.shelf, Catalogue: m.book, Software: "test", Server: hclog.NewNullLogger(), Now: s.clock, RetryFor: time.Hour, ZstdLevel: 1,
		Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
	for _, f := range change {
		f(&d)
	}
	m.maker = backup.New(d)
	return m
}

// Server is the inventory.
func (m *master) Server(_ context.Context, name string) (model.Server, error) {
	return model.Server{Name: name, Address: m.ways[name]}, nil
}

// Web finds an agent, and counts what comes from it.
func (m *master) Web(ctx context.Context, server string) (backup.Web, error) {
	a, err := m.fleet.Agent(ctx, server)
	return counting{a, m}, err
}

// DB finds an agent, and counts what comes from it.
func (m *master) DB(ctx context.Context, server string) (backup.DB, error) {
	a, err := m.fleet.Agent(ctx, server)
	return counting{a, m}, err
}

type counting struct {
	*fleet.Agent
	m *master
}

func (c counting) count(emit backup.Emit) backup.Emit {
	return func(ctx context.Context, it archive.Item) error {
		if it.Frame != nil {
			c.m.came.Add(int64(len(it.Frame.Data)))
		}
		return emit(ctx, it)
	}
}

// ReadTree is fleet.Agent's.
func (c counting) ReadTree(ctx context.Context, r model.TreeRequest, base iter.Seq2[archive.BaseFrame, error], emit backup.Emit) (archive.Summary, error) {
	return c.Agent.ReadTree(ctx, r, base, func(ctx context.Context, it archive.Item) error {
		if c.m.first != nil && it.Frame != nil {
			c.m.first()
		}
		return c.count(emit)(ctx, it)
	})
}

// Dump is fleet.Agent's.
func (c counting) Dump(ctx context.Context, r model.DumpRequest, base iter.Seq2[archive.BaseDumpFrame, error], emit backup.Emit) (model.DumpSummary, archive.Summary, error) {
	return c.Agent.Dump(ctx, r, base, c.count(emit))
}

// Log notes a line of the task's log.
func (m *master) Log(level model.Level, format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.log = append(m.log, string(level)+": "+fmt.Sprintf(format, args...))
}

// Warn is a line too.
func (m *master) Warn(format string, args ...any) { m.Log("WARNING", format, args...) }

// Progress is of no interest.
func (*master) Progress(string, int64, int64, int64) {}

func (m *master) lines() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.log, "\n")
}

func (m *master) request(format string) backup.Request {
	return backup.Request{Task: "T1", Format: format, Origin: model.OriginManual, Site: model.Site{
		Name: "example.com", Kind: "generic", WebServers: []string{"web1"}, DBServer: "db1", Root: m.root, Docroot: m.root,
		Database: model.Database{Name: "example"},
	}}
}

// backup makes one and reads it back.
func (m *master) backup(format string, change ...func(*backup.Request)) *model.Backup {
	m.Helper()
	q := m.request(format)
	for _, f := range change {
		f(&q)
	}
	b, err := m.maker.Make(m.Context(), q, m)
	if err != nil {
		m.Fatalf("%v\n%s", err, m.lines())
	}
	t, err := backup.OpenTarball(m.Context(), m.shelf, b)
	m.must(err)
	defer t.Close()
	for _, err := range t.ReadAllFrames(m.Context()) {
		m.must(err)
	}
	return b
}
