package agent_test

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

type deltaStream = agentv1.TreeService_WriteDeltaClient

var deltaEnd = &agentv1.WriteDeltaRequest{Message: &agentv1.WriteDeltaRequest_End{End: &agentv1.StreamEnd{}}}

func (r *rig) deltaHeader(from *archive.Reader) *agentv1.WriteDeltaRequest {
	return &agentv1.WriteDeltaRequest{Message: &agentv1.WriteDeltaRequest_Header{Header: &agentv1.WriteDeltaHeader{
		Site: r.ref("x"), Task: task, Format: string(from.Format()), WalkStartedAt: timestamppb.New(from.WalkStarted()),
	}}}
}

// sendIndex sends the index without its end.
func (r *rig) sendIndex(s deltaStream, from *archive.Reader) error {
	for f, err := range from.BaseFrames(0) {
		if err != nil {
			r.t.Fatal(err)
		}
		index := &agentv1.BaseIndex{Frames: []*agentv1.BaseFrame{wire.BaseFrameToProto(&f)}}
		if err := s.Send(&agentv1.WriteDeltaRequest{Message: &agentv1.WriteDeltaRequest_Index{Index: index}}); err != nil {
			return err
		}
	}
	return nil
}

// matched sends the whole index, and takes what the agent asks for.
func (r *rig) matched(s deltaStream, from *archive.Reader) ([]archive.FrameRun, error) {
	err := r.sendIndex(s, from)
	if err == nil {
		err = s.Send(deltaEnd)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var runs []archive.FrameRun
	for {
		m, err := s.Recv()
		if err != nil || m.GetMatched() != nil {
			return runs, err
		}
		runs = archive.AddRun(runs, archive.FrameRun{First: m.GetNeed().GetFirst(), Count: m.GetNeed().GetCount()})
	}
}

// sendRest sends frames and then directories and links, without the last end mark.
func (r *rig) sendRest(s deltaStream, from *archive.Reader, runs []archive.FrameRun) error {
	for f, err := range from.ReadRuns(r.ctx(), runs) {
		if err != nil {
			r.t.Fatal(err)
		}
		if err := s.Send(&agentv1.WriteDeltaRequest{Message: &agentv1.WriteDeltaRequest_Frame{Frame: wire.FrameToProto(&f)}}); err != nil {
			return err
		}
	}
	var others []archive.Entry
	for e, err := range from.OtherEntries() {
		if err != nil {
			r.t.Fatal(err)
		}
		others = append(others, e)
	}
	list := &agentv1.EntryList{Entries: wire.EntriesToProto(others)}
	return errors.Join(s.Send(deltaEnd), s.Send(&agentv1.WriteDeltaRequest{Message: &agentv1.WriteDeltaRequest_Others{Others: list}}))
}

// writeDelta calls WriteDelta as a master does.
func (r *rig) writeDelta(from *archive.Reader) (*agentv1.WriteDeltaSummary, []archive.FrameRun, error) {
	r.t.Helper()
	s, err := r.tree.WriteDelta(r.ctx())
	if err != nil {
		return nil, nil, err
	}
	if err := s.Send(r.deltaHeader(from)); err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	runs, err := r.matched(s, from)
	if err != nil {
		return nil, runs, err
	}
	if err := errors.Join(r.sendRest(s, from, runs), s.Send(deltaEnd), s.CloseSend()); err != nil && !errors.Is(err, io.EOF) {
		return nil, runs, err
	}
	m, err := s.Recv()
	return m.GetSummary(), runs, err
}

// backedUp plants a site and makes a tarball of it.
func (r *rig) backedUp(format archive.Format) (tarball *archive.Reader, fingerprintThen string) {
	r.t.Helper()
	r.plant("x")
	got, err := r.read(&agentv1.ReadTreeHeader{Site: r.ref("x"), Format: string(format)})
	if err != nil {
		r.t.Fatal(err)
	}
	return r.assemble(format, got, nil), fingerprint(r.t, r.www+"/x")
}

// TestDeltaOfALiveSite: what is staged is what was backed up, and one that nothing is left of costs the same way.
func TestDeltaOfALiveSite(t *testing.T) {
	for _, format := range archive.Formats() {
		t.Run(string(format), func(t *testing.T) {
			r := newRig(t)
			tarball, want := r.backedUp(format)
			if err := errors.Join(os.WriteFile(r.www+"/x/files/deep/100.php", []byte("changed"), 0o644), os.Remove(r.www+"/x/link"),
				os.WriteFile(r.www+"/x/new", nil, 0o644)); err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct {
				live  func() error
				taken uint64
			}{{func() error { return nil }, 202}, {func() error { return os.RemoveAll(r.www + "/x") }, 1}} {
				if err := c.live(); err != nil {
					t.Fatal(err)
				}
				reply, runs, err := r.writeDelta(tarball)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, fingerprint(t, r.www+"/.sitekeep-T1/x")); diff != "" {
					t.Errorf("the staged tree differs (-want +got):\n%s", diff)
				}
				state, err := r.tree.InspectTree(r.ctx(), &agentv1.InspectTreeRequest{Site: r.ref("x"), Task: task})
				if err != nil || state.GetStagedInode() != reply.GetStagedInode() || reply.GetTakenFiles() != c.taken || len(runs) == 0 {
					t.Errorf("reply %v, asked for %v, state %v, %v", reply, runs, state, err)
				}
			}
		})
	}
}

// TestDeltasThatAreCutOff: however a stream ends before its time, nothing of it stays, and the live site is as it was.
func TestDeltasThatAreCutOff(t *testing.T) {
	r := newRig(t)
	tarball, _ := r.backedUp(archive.TarZstd)
	if err := os.WriteFile(r.www+"/x/files/deep/100.php", []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	want := fingerprint(t, r.www+"/x")
	matched := func(s deltaStream) []archive.FrameRun {
		runs, err := r.matched(s, tarball)
		if err != nil || len(runs) == 0 {
			t.Fatalf("asked for %v, %v", runs, err)
		}
		return runs
	}
	for name, c := range map[string]struct {
		send func(s deltaStream, vanish func())
		kind errs.Kind
	}{
		"vanishes in the index": {func(s deltaStream, vanish func()) {
			_ = r.sendIndex(s, tarball)
			eventually(t, "files are being written", func() bool { return len(r.staging()) > 0 })
			vanish()
		}, errs.Cancelled},
		"the index has no end":        {func(s deltaStream, _ func()) { _ = r.sendIndex(s, tarball) }, errs.Unreachable},
		"vanishes before the frames":  {func(s deltaStream, vanish func()) { matched(s); vanish() }, errs.Cancelled},
		"the frames do not come":      {func(s deltaStream, _ func()) { matched(s); _ = s.Send(deltaEnd) }, errs.Corrupt},
		"the frames have no end":      {func(s deltaStream, _ func()) { matched(s) }, errs.Unreachable},
		"directories do not come":     {func(s deltaStream, _ func()) { r.framesOnly(s, tarball, matched(s)); _ = s.Send(deltaEnd) }, errs.Corrupt},
		"the last end mark is absent": {func(s deltaStream, _ func()) { _ = r.sendRest(s, tarball, matched(s)) }, errs.Unreachable},
		"a second header":             {func(s deltaStream, _ func()) { _ = s.Send(r.deltaHeader(tarball)) }, errs.Usage},
		"a header among the frames":   {func(s deltaStream, _ func()) { matched(s); _ = s.Send(r.deltaHeader(tarball)) }, errs.Usage},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, vanish := context.WithCancel(r.ctx())
			defer vanish()
			s, err := r.tree.WriteDelta(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Send(r.deltaHeader(tarball)); err != nil {
				t.Fatal(err)
			}
			c.send(s, vanish)
			if ctx.Err() == nil { // who has vanished closes nothing: that could overtake the cancelling
				_ = s.CloseSend()
			}
			if err := r.lastOf(s); !errs.Is(err, c.kind) {
				t.Errorf("error = %v (%v), want kind %v", err, errs.KindOf(err), c.kind)
			}
			eventually(t, "the staging directory is gone", func() bool { return len(r.staging()) == 0 })
			if diff := cmp.Diff(want, fingerprint(t, r.www+"/x")); diff != "" {
				t.Errorf("the site differs:\n%s", diff)
			}
		})
	}
}

func (r *rig) framesOnly(s deltaStream, from *archive.Reader, runs []archive.FrameRun) {
	for f, err := range from.ReadRuns(r.ctx(), runs) {
		if err == nil {
			err = s.Send(&agentv1.WriteDeltaRequest{Message: &agentv1.WriteDeltaRequest_Frame{Frame: wire.FrameToProto(&f)}})
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	_ = s.Send(deltaEnd)
}

// lastOf reads a stream to its end.
func (r *rig) lastOf(s deltaStream) error {
	for {
		m, err := s.Recv()
		if err != nil {
			return err
		}
		if m.GetSummary() != nil {
			return errors.New("the tree was closed as if it were complete")
		}
	}
}

// TestDeltaOfATreeThatIsBeingWritten: a write that comes in between is never in what is staged.
func TestDeltaOfATreeThatIsBeingWritten(t *testing.T) {
	r := newRig(t)
	tarball, want := r.backedUp(archive.TarZstd)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := byte(0); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			f, err := os.OpenFile(r.www+"/x/files/big.bin", os.O_WRONLY, 0)
			if err != nil {
				return
			}
			_, _ = f.WriteAt([]byte{n}, int64(n)*1000)
			_ = f.Close()
			time.Sleep(time.Millisecond)
		}
	}()
	for range 3 {
		if _, _, err := r.writeDelta(tarball); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, fingerprint(t, r.www+"/.sitekeep-T1/x")); diff != "" {
			t.Errorf("the staged tree differs (-want +got):\n%s", diff)
		}
	}
	close(stop)
	<-stopped
}

// TestDeltaThatIsResumed: what came before the connection broke is not asked for again, and nothing of it is lost. A call
// that does not ask for that begins anew.
func TestDeltaThatIsResumed(t *testing.T) {
	r := newRig(t)
	tarball, want := r.backedUp(archive.TarZstd)
	if err := os.RemoveAll(r.www + "/x"); err != nil {
		t.Fatal(err)
	}
	cut := func(resume bool) (asked uint64) {
		ctx, vanish := context.WithCancel(r.ctx())
		defer vanish()
		s, err := r.tree.WriteDelta(ctx)
		if err != nil {
			t.Fatal(err)
		}
		header := r.deltaHeader(tarball)
		header.GetHeader().Resume = resume
		if err := s.Send(header); err != nil {
			t.Fatal(err)
		}
		runs, err := r.matched(s, tarball)
		if err != nil {
			t.Fatal(err)
		}
		for _, run := range runs {
			asked += run.Count
		}
		r.framesOnly(s, tarball, runs) // and then the directories and links do not come
		eventually(t, "files have come", func() bool { return len(r.staging()) > 0 })
		vanish()
		if err := r.lastOf(s); !errs.Is(err, errs.Cancelled) {
			t.Errorf("error = %v", err)
		}
		return asked
	}
	first, second := cut(true), cut(true)
	if first == 0 || second >= first {
		t.Errorf("asked for %d frames, and then for %d", first, second)
	}
	state, err := r.tree.InspectTree(r.ctx(), &agentv1.InspectTreeRequest{Site: r.ref("x"), Task: task})
	if err != nil || state.GetStagedInode() != 0 {
		t.Errorf("a tree that was not finished passes for a staged one: %v, %v", state, err)
	}
	if again := cut(false); again != first {
		t.Errorf("asked for %d frames of %d anew", again, first)
	}
	cut(true)
	if _, _, err := r.writeDelta(tarball); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, fingerprint(t, r.www+"/.sitekeep-T1/x")); diff != "" {
		t.Errorf("the staged tree differs (-want +got):\n%s", diff)
	}
	cut(true)
	if _, err := r.tree.RemoveStaging(r.ctx(), &agentv1.RemoveStagingRequest{Site: r.ref("x"), Task: task}); err != nil || len(r.staging()) > 0 {
		t.Errorf("what was broken off cannot be removed: %v, %q", err, r.staging())
	}
}
