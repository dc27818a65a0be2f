package agent_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// TestTreeGoesUpAndComesDown is the way of a site's files through a backup and a restore.
func TestTreeGoesUpAndComesDown(t *testing.T) {
	for _, format := range archive.Formats() {
		t.Run(string(format), func(t *testing.T) {
			r := newRig(t)
			r.plant("x")
			want := fingerprint(t, r.www+"/x")
			got, err := r.read(&agentv1.ReadTreeHeader{Site: r.ref("x"), Format: string(format)})
			if err != nil {
				t.Fatal(err)
			}
			if len(got.frames) < 4 || len(got.warnings) > 0 || got.summary == nil || got.summary.Files < 200 {
				t.Fatalf("%d frames, warnings %v, summary %+v", len(got.frames), got.warnings, got.summary)
			}
			tarball := r.assemble(format, got, nil)
			reply, err := r.write("x", tarball)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, fingerprint(t, r.www+"/.sitekeep-T1/x")); diff != "" {
				t.Errorf("the staged tree differs (-want +got):\n%s", diff)
			}
			r.exchange(t, reply, want)
		})
	}
}

// exchange swaps a staged tree in, and takes the old one away.
func (r *rig) exchange(t *testing.T, reply *agentv1.WriteTreeResponse, want string) {
	t.Helper()
	state, err := r.tree.InspectTree(r.ctx(), &agentv1.InspectTreeRequest{Site: r.ref("x"), Task: task})
	if err != nil {
		t.Fatal(err)
	}
	if state.GetStagedInode() != reply.GetStagedInode() || state.GetLiveInode() == 0 || state.GetFreeBytes() == 0 {
		t.Errorf("state = %v, reply = %v", state, reply)
	}
	if err := os.RemoveAll(r.www + "/x/files"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.tree.ExchangeTree(r.ctx(), &agentv1.ExchangeTreeRequest{
		Site: r.ref("x"), Task: task, LiveInode: state.GetLiveInode(), StagedInode: state.GetStagedInode(),
	}); err != nil {
		t.Fatal(err)
	}
	removed, err := r.tree.RemoveStaging(r.ctx(), &agentv1.RemoveStagingRequest{Site: r.ref("x"), Task: task, LiveInode: state.GetStagedInode()})
	if err != nil || !removed.GetExisted() {
		t.Errorf("remove staging: %v, %v", removed, err)
	}
	if diff := cmp.Diff(want, fingerprint(t, r.www+"/x")); diff != "" {
		t.Errorf("the site differs (-want +got):\n%s", diff)
	}
	if left := r.staging(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestUnchangedFramesAreReferences(t *testing.T) {
	r := newRig(t)
	r.plant("x")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(r.www+"/x/empty", old, old); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2100 * time.Millisecond) // entries younger than that are read again
	first, err := r.read(&agentv1.ReadTreeHeader{Site: r.ref("x"), Format: "tar.zst"})
	if err != nil {
		t.Fatal(err)
	}
	base := r.assemble(archive.TarZstd, first, nil)
	var frames []archive.BaseFrame
	for f, err := range base.BaseFrames(0) {
		if err != nil {
			t.Fatal(err)
		}
		f.Entries = slices.Clone(f.Entries)
		frames = append(frames, f)
	}
	if err := os.WriteFile(r.www+"/x/files/deep/100.php", []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	header := &agentv1.ReadTreeHeader{Site: r.ref("x"), Format: "tar.zst", BaseStartedAt: timestamppb.New(first.summary.StartedAt)}
	second, err := r.read(header, frames...)
	if err != nil {
		t.Fatal(err)
	}
	if second.summary.References == 0 || second.summary.ReadBytes > 1<<20 {
		t.Errorf("summary = %+v", second.summary)
	}
	want := fingerprint(t, r.www+"/x")
	if _, err := r.write("x", r.assemble(archive.TarZstd, second, base)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, fingerprint(t, r.www+"/.sitekeep-T1/x")); diff != "" {
		t.Errorf("the spliced tree differs (-want +got):\n%s", diff)
	}
}

func TestBaseThatIsCutOff(t *testing.T) {
	r := newRig(t)
	r.plant("x")
	stream, err := r.tree.ReadTree(r.ctx())
	if err != nil {
		t.Fatal(err)
	}
	header := &agentv1.ReadTreeHeader{Site: r.ref("x"), Format: "tar.zst", HasBase: true}
	if err := stream.Send(&agentv1.ReadTreeRequest{Message: &agentv1.ReadTreeRequest_Header{Header: header}}); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var got received
	for {
		m, err := stream.Recv()
		if err != nil {
			if !errs.Is(err, errs.Unreachable) || !strings.Contains(err.Error(), "end mark") {
				t.Errorf("error = %v (%v)", err, errs.KindOf(err))
			}
			break
		}
		r.take(&got, m)
	}
	if got.summary != nil {
		t.Error("the tree was closed as if it were complete")
	}
}

func TestSalvageOfAMissingRoot(t *testing.T) {
	r := newRig(t)
	header := &agentv1.ReadTreeHeader{Site: r.ref("gone"), Format: "tar.zst"}
	if _, err := r.read(header); !errs.Is(err, errs.NotFound) {
		t.Errorf("without salvage: error = %v", err)
	}
	header.Salvage = true
	got, err := r.read(header)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.warnings) != 1 || got.summary == nil || got.summary.Entries != 0 || got.summary.StartedAt.IsZero() {
		t.Fatalf("warnings %v, summary %+v", got.warnings, got.summary)
	}
	// An empty tree is a tree: it can be stored and brought back.
	if _, err := r.write("gone", r.assemble(archive.TarZstd, got, nil)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(r.www + "/.sitekeep-T1/gone")
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("staged tree: %v, %v", info, err)
	}
	// What is not allowed is not salvaged.
	header.Site.Root = "/etc/ssh"
	if _, err := r.read(header); !errs.Is(err, errs.Permission) {
		t.Errorf("a root outside: error = %v", err)
	}
}

func TestExcludes(t *testing.T) {
	r := newRig(t)
	r.plant("x")
	got, err := r.read(&agentv1.ReadTreeHeader{Site: r.ref("x"), Format: "tar.zst", Excludes: []string{"files/deep"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range got.frames {
		for _, e := range f.Entries {
			if strings.Contains(e.Path, "/deep/") || strings.Contains(e.Path, ".sitekeep-") {
				t.Errorf("%s was sent", e.Path)
			}
		}
	}
	_, err = r.read(&agentv1.ReadTreeHeader{Site: r.ref("x"), Format: "tar.zst", Excludes: []string{"[a"}})
	if !errs.Is(err, errs.Usage) {
		t.Errorf("a glob that is none: error = %v", err)
	}
	if _, err = r.read(&agentv1.ReadTreeHeader{Site: r.ref("x"), Format: "zip"}); !errs.Is(err, errs.Usage) {
		t.Errorf("a format that is none: error = %v", err)
	}
}

// TestCutTrees: however a stream ends before its time, nothing of it stays and it is not reported as good.
func TestCutTrees(t *testing.T) {
	r := newRig(t)
	r.plant("x")
	got, err := r.read(&agentv1.ReadTreeHeader{Site: r.ref("x"), Format: "tar.zst"})
	if err != nil {
		t.Fatal(err)
	}
	var frames []archive.Frame
	for f, err := range r.assemble(archive.TarZstd, got, nil).ReadFrames(r.ctx()) {
		if err != nil {
			t.Fatal(err)
		}
		f.Data = append([]byte(nil), f.Data...)
		frames = append(frames, f)
	}
	want := fingerprint(t, r.www+"/x")
	type stream = agentv1.TreeService_WriteTreeClient
	end := &agentv1.WriteTreeRequest{Message: &agentv1.WriteTreeRequest_End{End: &agentv1.StreamEnd{}}}
	for name, c := range map[string]struct {
		send func(stream, func()) error
		kind errs.Kind
	}{
		"vanishes after the header": {func(_ stream, vanish func()) error { vanish(); return nil }, errs.Cancelled},
		"vanishes in the middle": {func(s stream, vanish func()) error {
			for i := range frames[:len(frames)/2] {
				if err := s.Send(writeFrame(&frames[i])); err != nil {
					return err
				}
			}
			eventually(t, "files are being written", func() bool { return len(r.staging()) > 0 })
			vanish()
			return nil
		}, errs.Cancelled},
		"no end mark": {func(s stream, _ func()) error {
			for i := range frames {
				if err := s.Send(writeFrame(&frames[i])); err != nil {
					return err
				}
			}
			return nil
		}, errs.Unreachable},
		"end mark too early": {func(s stream, _ func()) error {
			if err := s.Send(writeFrame(&frames[0])); err != nil {
				return err
			}
			return s.Send(end)
		}, errs.Corrupt},
		"a frame is missing": {func(s stream, _ func()) error {
			for _, i := range append([]int{0}, seq(2, len(frames))...) {
				_ = s.Send(writeFrame(&frames[i])) // the agent may hang up in the middle
			}
			_ = s.Send(end)
			return nil
		}, errs.Corrupt},
		"a flipped bit": {func(s stream, _ func()) error {
			bad := frames[0]
			bad.Data = append([]byte(nil), bad.Data...)
			bad.Data[len(bad.Data)/2] ^= 1
			_ = s.Send(writeFrame(&bad))
			_ = s.Send(end)
			return nil
		}, errs.Corrupt},
		"a second header": {func(s stream, _ func()) error { return s.Send(r.writeHeader("x", archive.TarZstd)) }, errs.Usage},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, vanish := context.WithCancel(r.ctx())
			defer vanish()
			s, err := r.tree.WriteTree(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Send(r.writeHeader("x", archive.TarZstd)); err != nil {
				t.Fatal(err)
			}
			if err := c.send(s, vanish); err != nil {
				t.Fatal(err)
			}
			if reply, err := s.CloseAndRecv(); !errs.Is(err, c.kind) {
				t.Errorf("reply %v, error = %v (%v), want kind %v", reply, err, errs.KindOf(err), c.kind)
			}
			eventually(t, "the staging directory is gone", func() bool { return len(r.staging()) == 0 })
			if diff := cmp.Diff(want, fingerprint(t, r.www+"/x")); diff != "" {
				t.Errorf("the site differs:\n%s", diff)
			}
		})
	}
}

func seq(from, to int) []int {
	var list []int
	for i := from; i < to; i++ {
		list = append(list, i)
	}
	return list
}

// TestReadTreeTellsItsStart with the first message, by the agent's clock: a stream that breaks brings no summary.
func TestReadTreeTellsItsStart(t *testing.T) {
	r := newRig(t)
	r.now.advance(-time.Hour)
	if err := os.MkdirAll(r.www+"/x/sub", 0o755); err != nil {
		t.Fatal(err)
	}
	stream, err := r.tree.ReadTree(r.ctx())
	if err != nil {
		t.Fatal(err)
	}
	header := &agentv1.ReadTreeHeader{Site: r.ref("x"), Format: "tar.zst"}
	if err := stream.Send(&agentv1.ReadTreeRequest{Message: &agentv1.ReadTreeRequest_Header{Header: header}}); err != nil {
		t.Fatal(err)
	}
	m, err := stream.Recv()
	if at := m.GetStart().GetStartedAt().AsTime(); err != nil || at.After(r.now.Now()) || at.Before(r.now.Now().Add(-soon)) {
		t.Errorf("first message: %v, %v", m, err)
	}
	var summary *agentv1.StreamSummary
	for summary == nil && err == nil {
		m, err = stream.Recv()
		summary = m.GetSummary()
	}
	if err != nil || summary.GetStartedAt().AsTime().After(r.now.Now()) {
		t.Errorf("summary: %v, %v", summary, err)
	}
}

// TestCompareTreeOfChosenPaths tells of differences at and below them alone.
func TestCompareTreeOfChosenPaths(t *testing.T) {
	r := newRig(t)
	tarball, _ := r.backedUp(archive.TarZstd)
	if err := errors.Join(os.WriteFile(r.www+"/x/files/deep/100.php", []byte("changed"), 0o644), os.WriteFile(r.www+"/x/files/deep/new", nil, 0o644),
		os.Remove(r.www+"/x/files/big.bin"), os.WriteFile(r.www+"/x/other", nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	for want, paths := range map[string][]string{
		"+[] ~[./files/deep/100.php] -[./files/deep/new]":                        {"./files/deep"},
		"+[./files/big.bin] ~[] -[]":                                             {"./files/big.bin", "./fil"},
		"+[./files/big.bin] ~[./files/deep/100.php] -[./files/deep/new ./other]": nil,
	} {
		header := &agentv1.CompareTreeHeader{Site: r.ref("x"), MaxPaths: 9}
		for _, p := range paths {
			header.Select = append(header.Select, []byte(p))
		}
		got := r.compare(header, tarball)
		if text := fmt.Sprintf("+%v ~%v -%v", got.GetAdded().GetPaths(), got.GetChanged().GetPaths(), got.GetRemoved().GetPaths()); text != want {
			t.Errorf("%q: %s, want %s", paths, text, want)
		}
	}
}

func (r *rig) compare(header *agentv1.CompareTreeHeader, with *archive.Reader) *agentv1.CompareTreeResponse {
	r.t.Helper()
	s, err := r.tree.CompareTree(r.ctx())
	if err == nil {
		err = s.Send(&agentv1.CompareTreeRequest{Message: &agentv1.CompareTreeRequest_Header{Header: header}})
	}
	for f, ferr := range with.BaseFrames(0) {
		index := &agentv1.BaseIndex{Frames: []*agentv1.BaseFrame{wire.BaseFrameToProto(&f)}}
		err = errors.Join(err, ferr, s.Send(&agentv1.CompareTreeRequest{Message: &agentv1.CompareTreeRequest_Index{Index: index}}))
	}
	err = errors.Join(err, s.Send(&agentv1.CompareTreeRequest{Message: &agentv1.CompareTreeRequest_End{End: &agentv1.StreamEnd{}}}))
	if err != nil {
		r.t.Fatal(err)
	}
	out, err := s.CloseAndRecv()
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}
