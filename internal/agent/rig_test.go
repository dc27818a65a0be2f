package agent_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"github.com/sitekeep/sitekeep/internal/agent"
	"github.com/sitekeep/sitekeep/internal/agent/config"
	"github.com/sitekeep/sitekeep/internal/agent/link"
	"github.com/sitekeep/sitekeep/internal/agent/link/linktest"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	"github.com/sitekeep/sitekeep/pkg/webserver"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
	archivev1 "github.com/sitekeep/sitekeep/proto/sitekeep/archive/v1"
)

const (
	task = "T1"
	soon = 20 * time.Second
)

// rig is an agent that listens, and its master's connection to it.
type rig struct {
	t      *testing.T
	www    string
	vhosts string
	agent  *agent.Agent
	conn   *grpc.ClientConn
	log    *logText
	now    *clock

	tree     agentv1.TreeServiceClient
	settings agentv1.SettingsServiceClient
	vhost    agentv1.VhostServiceClient
	database agentv1.DatabaseServiceClient
	info     agentv1.AgentServiceClient
}

// logText collects a log.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// clock is one that tests move.
type clock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

func newRig(t *testing.T, change ...func(*agent.Options)) *rig {
	t.Helper()
	top := t.TempDir()
	r := &rig{t: t, www: top + "/www", vhosts: top + "/vhosts", log: &logText{}, now: &clock{}}
	if err := errors.Join(os.Mkdir(r.www, 0o755), os.Mkdir(r.vhosts, 0o755), os.Mkdir(r.hooks(), 0o755)); err != nil {
		t.Fatal(err)
	}
	o := agent.Options{
		Config: &config.Config{
			Allow:     config.Allow{Roots: []string{r.www}, Databases: []string{"site_*"}},
			Webserver: testWebserver(r.vhosts),
			Hooks:     &config.Hooks{Directory: r.hooks(), Timeout: soon},
		},
		Name: "web1", Roles: []model.Role{model.RoleWeb, model.RoleDB}, Version: "test", Now: r.now.Now,
		Log: hclog.New(&hclog.LoggerOptions{Output: r.log, Level: hclog.Trace}),
	}
	for _, f := range change {
		f(&o)
	}
	r.start(o)
	return r
}

// testWebserver has commands that always work, and nobody who listens.
func testWebserver(dir string) *webserver.Config {
	return &webserver.Config{
		Kind: "nginx", VhostDir: dir, Listen: []string{"127.0.0.1:1"}, TestCommand: []string{"true"}, ReloadCommand: []string{"true"}, WebGroup: "nogroup",
	}
}

func (r *rig) start(o agent.Options) {
	r.t.Helper()
	m := linktest.New(r.t)
	var err error
	if r.agent, err = agent.New(o); err != nil {
		r.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	s := r.agent.NewServer(link.ListenCredentials(m.Live("web1")))
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	r.t.Cleanup(func() { s.Stop(); <-done })
	r.conn = m.Dial("web1", l.Addr().String())
	r.tree, r.settings = agentv1.NewTreeServiceClient(r.conn), agentv1.NewSettingsServiceClient(r.conn)
	r.vhost, r.database = agentv1.NewVhostServiceClient(r.conn), agentv1.NewDatabaseServiceClient(r.conn)
	r.info = agentv1.NewAgentServiceClient(r.conn)
}

func (r *rig) ref(name string) *agentv1.SiteRef {
	return &agentv1.SiteRef{Name: "example.com", Kind: "generic", Root: r.www + "/" + name}
}

func (r *rig) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	r.t.Cleanup(cancel)
	return ctx
}

// received is what ReadTree has sent.
type received struct {
	frames     []archive.Frame
	references []archive.Reference
	warnings   []archive.Warning
	summary    *archive.Summary
	order      []archive.Item
	start      *agentv1.ReadTreeStart
}

// read calls ReadTree and takes everything.
func (r *rig) read(header *agentv1.ReadTreeHeader, base ...archive.BaseFrame) (received, error) {
	r.t.Helper()
	var got received
	stream, err := r.tree.ReadTree(r.ctx())
	if err != nil {
		return got, err
	}
	header.HasBase = len(base) > 0
	index := &agentv1.BaseIndex{}
	for i := range base {
		index.Frames = append(index.Frames, wire.BaseFrameToProto(&base[i]))
	}
	for _, m := range []*agentv1.ReadTreeRequest{
		{Message: &agentv1.ReadTreeRequest_Header{Header: header}},
		{Message: &agentv1.ReadTreeRequest_Base{Base: index}},
		{Message: &agentv1.ReadTreeRequest_End{End: &agentv1.StreamEnd{}}},
	} {
		if err := stream.Send(m); err != nil && !errors.Is(err, io.EOF) {
			return got, err
		}
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		r.take(&got, m)
	}
}

func (r *rig) take(got *received, m *agentv1.ReadTreeResponse) {
	r.t.Helper()
	var err error
	switch {
	case m.GetStart() != nil:
		got.start = m.GetStart()
	case m.GetFrame() != nil:
		var f archive.Frame
		f, err = wire.FrameFromProto(m.GetFrame())
		got.frames, got.order = append(got.frames, f), append(got.order, archive.Item{Frame: &f})
	case m.GetReference() != nil:
		var ref archive.Reference
		ref, err = wire.ReferenceFromProto(m.GetReference())
		got.references, got.order = append(got.references, ref), append(got.order, archive.Item{Reference: &ref})
	case m.GetWarning() != nil:
		got.warnings = append(got.warnings, wire.WarningFromProto(m.GetWarning()))
	case m.GetSummary() != nil:
		s := wire.SummaryFromProto(m.GetSummary())
		got.summary = &s
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// assemble makes a tarball of what was read, as a master does.
func (r *rig) assemble(format archive.Format, got received, base *archive.Reader) *archive.Reader {
	r.t.Helper()
	if got.summary == nil {
		r.t.Fatal("there was no summary")
	}
	codec, err := archive.NewCodec(format, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	dir := r.t.TempDir()
	file, err := os.OpenFile(filepath.Join(dir, "x"+format.Suffix()), os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	defer file.Close()
	a, err := archive.NewAssembler(archive.AssemblerOptions{File: file, SpoolDir: dir, Codec: codec})
	if err != nil {
		r.t.Fatal(err)
	}
	defer a.Abort()
	for _, item := range got.order {
		if item.Frame != nil {
			err = a.Append(r.ctx(), *item.Frame)
		} else {
			err = a.AppendReference(r.ctx(), base, *item.Reference)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	if err := a.CloseTree(*got.summary); err != nil {
		r.t.Fatal(err)
	}
	if _, err := a.Finish(r.ctx(), &archivev1.Manifest{Site: "example.com"}); err != nil {
		r.t.Fatal(err)
	}
	reader, err := archive.OpenFile(file.Name())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = reader.Close() })
	return reader
}

// write calls WriteTree with what stands in a tarball, as a master does.
func (r *rig) write(name string, from *archive.Reader) (*agentv1.WriteTreeResponse, error) {
	r.t.Helper()
	stream, err := r.tree.WriteTree(r.ctx())
	if err != nil {
		return nil, err
	}
	err = stream.Send(r.writeHeader(name, from.Format()))
	for f, readErr := range from.ReadFrames(r.ctx()) {
		if readErr != nil {
			r.t.Fatal(readErr)
		}
		if err == nil {
			err = stream.Send(writeFrame(&f))
		}
	}
	if err == nil {
		err = stream.Send(&agentv1.WriteTreeRequest{Message: &agentv1.WriteTreeRequest_End{End: &agentv1.StreamEnd{}}})
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return stream.CloseAndRecv()
}

func (r *rig) writeHeader(name string, format archive.Format) *agentv1.WriteTreeRequest {
	return &agentv1.WriteTreeRequest{Message: &agentv1.WriteTreeRequest_Header{Header: &agentv1.WriteTreeHeader{
		Site: r.ref(name), Task: task, Format: string(format),
	}}}
}

func writeFrame(f *archive.Frame) *agentv1.WriteTreeRequest {
	return &agentv1.WriteTreeRequest{Message: &agentv1.WriteTreeRequest_Frame{Frame: wire.FrameToProto(f)}}
}

// plant makes a site with all sorts of entries, of about 3 MB.
func (r *rig) plant(name string) {
	r.t.Helper()
	dir := r.www + "/" + name
	var list []error
	do := func(err error) { list = append(list, err) }
	do(os.MkdirAll(dir+"/files/deep", 0o750))
	for i := range 200 {
		do(os.WriteFile(fmt.Sprintf("%s/files/deep/%03d.php", dir, i), []byte(strings.Repeat(fmt.Sprintf("<?php echo %d;\n", i), 20)), 0o644))
	}
	big := make([]byte, 3<<20)
	state := uint64(1)
	for i := range big { // does not compress
		state = state*6364136223846793005 + 1442695040888963407
		big[i] = byte(state >> 56)
	}
	do(os.WriteFile(dir+"/files/big.bin", big, 0o600))
	do(os.WriteFile(dir+"/empty", nil, 0o444))
	do(os.WriteFile(dir+"/ sp\xff\n", []byte("odd"), 0o640))
	do(os.Symlink("../outside", dir+"/link"))
	do(os.Link(dir+"/empty", dir+"/same"))
	do(os.Mkdir(dir+"/.sitekeep-OTHER", 0o700))
	do(os.WriteFile(dir+"/.sitekeep-OTHER/x", nil, 0o600))
	old := time.Unix(1_600_000_000, 123456789)
	do(os.Chtimes(dir+"/files/big.bin", old, old))
	do(os.Chmod(dir, 0o2755))
	if err := errors.Join(list...); err != nil {
		r.t.Fatal(err)
	}
}

// fingerprint tells all of a tree: names, types, modes, owners, times, links and contents. Staging directories are
// left out.
func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".sitekeep-") {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		rel, _ := filepath.Rel(dir, path)
		fmt.Fprintf(&out, "%q %v %d:%d", rel, info.Mode(), st.Uid, st.Gid)
		switch {
		case info.Mode().IsRegular():
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(text)
			fmt.Fprintf(&out, " %d %s %s n%d", info.Size(), hex.EncodeToString(sum[:4]), info.ModTime().UTC(), st.Nlink)
		case info.Mode().Type() == fs.ModeSymlink:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, " -> %s", to)
		}
		out.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// staging lists what there is of staging directories below www.
func (r *rig) staging() []string {
	r.t.Helper()
	names, err := filepath.Glob(r.www + "/.sitekeep-*")
	if err != nil {
		r.t.Fatal(err)
	}
	return names
}

// eventually waits for something that happens after a call has ended.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(soon); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}
