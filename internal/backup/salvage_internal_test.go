package backup

import (
	"context"
	"iter"
	"os"
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/store"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// dumper sends one frame that the assembler does not take, and returns the error of sending it as an agent's call does.
type dumper struct{}

func (dumper) BriefInfo(context.Context) (model.AgentInfo, error) { return model.AgentInfo{}, nil }

func (dumper) Dump(ctx context.Context, _ model.DumpRequest, _ iter.Seq2[archive.BaseDumpFrame, error], emit Emit) (model.DumpSummary, archive.Summary, error) {
	err := emit(ctx, archive.Item{Frame: &archive.Frame{Kind: archive.KindDump}})
	return model.DumpSummary{}, archive.Summary{}, errs.New(errs.Failed, "", "agent of db1: %w", err)
}

type dumpers struct{ Agents }

func (dumpers) DB(context.Context, string) (DB, error) { return dumper{}, nil }

func (dumpers) Web(context.Context, string) (Web, error) {
	return nil, errs.New(errs.Unreachable, "", "there is none")
}

// TestOurOwnFailureIsNoDumpFailure: a dump that our side could not take must not be left out of a safety backup.
func TestOurOwnFailureIsNoDumpFailure(t *testing.T) {
	dir := t.TempDir()
	shelf, err := store.OpenLocal(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	pending, err := shelf.Create(t.Context(), "example.com-20261123.001336", store.TarZst, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pending.Abort() //nolint:errcheck // a test's own
	codec, err := archive.NewCodec("tar.zst", 0)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.CreateTemp(dir, "x")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	assembler, err := archive.NewAssembler(archive.AssemblerOptions{File: file, SpoolDir: dir, Codec: codec})
	if err != nil {
		t.Fatal(err)
	}
	defer assembler.Abort()
	j := &job{deps: Deps{Agents: dumpers{}}, pending: pending, assembler: assembler, counts: newCounts()}
	err = j.takeDump(t.Context())
	if err == nil || isDumpFailure(err) {
		t.Errorf("error = %v", err)
	}
}
