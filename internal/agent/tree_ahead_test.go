package agent_test

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// pass calls WriteDelta as a migration does, for the tree that comes ahead or the one that takes its place. With cut the
// connection breaks before the frames come.
func (r *rig) pass(from *archive.Reader, ahead, cut bool) (*agentv1.WriteDeltaSummary, []archive.FrameRun, error) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.ctx())
	defer cancel()
	s, err := r.tree.WriteDelta(ctx)
	if err != nil {
		return nil, nil, err
	}
	header := r.deltaHeader(from)
	header.GetHeader().Resume, header.GetHeader().Ahead = true, ahead
	if err := s.Send(header); err != nil {
		return nil, nil, err
	}
	runs, err := r.matched(s, from)
	if err != nil || cut {
		return nil, runs, err
	}
	if err := errors.Join(r.sendRest(s, from, runs), s.Send(deltaEnd), s.CloseSend()); err != nil && !errors.Is(err, io.EOF) {
		return nil, runs, err
	}
	m, err := s.Recv()
	return m.GetSummary(), runs, err
}

func framesIn(runs []archive.FrameRun) (n uint64) {
	for _, r := range runs {
		n += r.Count
	}
	return n
}

// TestWhatCameAheadIsNotSent: the second tree is the second backup's, whether or not the connection broke or the answer got
// lost meanwhile, and little of it is asked for.
func TestWhatCameAheadIsNotSent(t *testing.T) {
	r := newRig(t)
	r.plant("x")
	backUp := func() (*archive.Reader, string) {
		got, err := r.read(&agentv1.ReadTreeHeader{Site: r.ref("x"), Format: "tar.zst"})
		if err != nil {
			t.Fatal(err)
		}
		return r.assemble(archive.TarZstd, got, nil), fingerprint(t, r.www+"/x")
	}
	first, _ := backUp()
	if err := errors.Join(os.WriteFile(r.www+"/x/files/deep/100.php", []byte("changed"), 0o644), os.Remove(r.www+"/x/link"),
		os.Remove(r.www+"/x/files/deep/007.php"), os.WriteFile(r.www+"/x/new", []byte("new"), 0o644)); err != nil {
		t.Fatal(err)
	}
	second, want := backUp()
	if err := os.Rename(r.www+"/x", r.www+"/elsewhere"); err != nil { // it is not on this server
		t.Fatal(err)
	}
	_, all, err := r.pass(first, false, false)
	if err != nil || framesIn(all) < 5 {
		t.Fatalf("ahead %d frames were sent, %v", framesIn(all), err)
	}
	if _, _, err := r.pass(second, true, true); err != nil {
		t.Fatal(err)
	}
	for _, again := range []string{"after a broken connection", "after a lost answer"} {
		summary, runs, err := r.pass(second, true, false)
		if err != nil || framesIn(runs) > 2 || summary.GetTakenFiles() < 190 {
			t.Errorf("%s: %d of %d frames were sent, %v; %v", again, framesIn(runs), framesIn(all), summary, err)
		}
		if got := fingerprint(t, r.www+"/.sitekeep-"+task+"/x"); got != want {
			t.Errorf("%s there is\n%s\nwant\n%s", again, got, want)
		}
		if left, err := os.ReadDir(r.www + "/.sitekeep-" + task); err != nil || len(left) != 1 {
			t.Errorf("%s there are %v, %v", again, left, err)
		}
		if err := os.MkdirAll(r.www+"/.sitekeep-"+task+"/.ahead/left", 0o755); err != nil { // by an agent that died before the answer
			t.Fatal(err)
		}
	}
}
