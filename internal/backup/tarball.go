package backup

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/store"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// Tarball is an opened backup. Close it.
type Tarball struct {
	*archive.Reader
	blob store.Blob
}

// Facts are what a restore needs to know of a tarball.
type Facts struct {
	Digest             string // "sha256:" and hexadecimal
	TreeBytes          uint64 // of files
	DumpBytes          uint64
	Entries            uint64
	HasDump            bool
	Charset, Collation string
	Collations         []string
	Tables             []model.Table
	Site, Kind         string   // of the site that was backed up
	Root, Docroot      string   // its directories; empty where they are not recorded
	Blanked            []string // settings files whose password is empty: paths below the root
	PageStatus         int      // HTTP status; NoAnswer: it could not be asked; 0: not recorded
}

// NoAnswer is the PageStatus of a site whose page could not be asked when it was backed up.
const NoAnswer = -1

const labelNoAnswer = "none"

func pageStatus(label string) int {
	if label == labelNoAnswer {
		return NoAnswer
	}
	status, err := strconv.Atoi(label)
	if err != nil {
		return 0
	}
	return status
}

// OpenTarball opens a backup's tarball and compares its index with the digest
// that was recorded; errs.Corrupt if it is another one.
func OpenTarball(ctx context.Context, s Opener, b *model.Backup) (*Tarball, error) {
	blob, err := s.Open(ctx, b.ID, b.Format)
	if err != nil {
		return nil, err
	}
	reader, err := archive.Open(readerAt(blob), blob.Size())
	if err != nil {
		return nil, errors.Join(corrupt(b.ID, err), blob.Close())
	}
	t := &Tarball{Reader: reader, blob: blob}
	if got := "sha256:" + reader.Digest().String(); got != b.Digest {
		return nil, errors.Join(corrupt(b.ID, errors.New("its digest is "+got+", not "+b.Digest)), blob.Close())
	}
	return t, nil
}

// Opener is a store as readers need it.
type Opener interface {
	Open(ctx context.Context, id, format string) (store.Blob, error)
}

func corrupt(id string, err error) error {
	return errs.New(errs.Corrupt, "see how far the damage goes with: sitekeep check --read-data "+id+"; use another backup",
		"backup %s: %w", id, err)
}

// Close frees the tarball.
func (t *Tarball) Close() error { return t.blob.Close() }

// TreeFrames yields what an agent needs to make the tree.
func (t *Tarball) TreeFrames(ctx context.Context) iter.Seq2[*archive.Frame, error] {
	return pointers(t.ReadFrames(ctx))
}

// DumpFrames yields the frames of the dump.
func (t *Tarball) DumpFrames(ctx context.Context) iter.Seq2[*archive.Frame, error] {
	return pointers(t.ReadDump(ctx))
}

func pointers(frames iter.Seq2[archive.Frame, error]) iter.Seq2[*archive.Frame, error] {
	return func(yield func(*archive.Frame, error) bool) {
		for f, err := range frames {
			if !yield(&f, err) {
				return
			}
		}
	}
}

// Facts reads the manifest.
func (t *Tarball) Facts() Facts {
	m := t.Manifest()
	f := Facts{
		Digest: "sha256:" + t.Digest().String(), TreeBytes: m.GetTotals().GetBytes(), Entries: m.GetTotals().GetEntries(),
	}
	f.PageStatus = pageStatus(m.GetLabels()[LabelPageStatus])
	f.Site, f.Kind, f.Docroot = m.GetSite(), m.GetSiteKind(), m.GetLabels()[LabelDocroot]
	if blanked := m.GetLabels()[LabelBlanked]; blanked != "" {
		f.Blanked = strings.Split(blanked, "\n")
	}
	for _, s := range m.GetSources() {
		if s.GetRole() == string(model.RoleWeb) {
			f.Root = s.GetSubject()
		}
	}
	if m.Dump == nil {
		return f
	}
	f.HasDump, f.DumpBytes, f.Charset, f.Collation = true, m.Dump.Bytes, m.Dump.Charset, m.Dump.Collation
	f.Collations = strings.Fields(m.GetLabels()[LabelCollations])
	for _, d := range m.Dump.Tables {
		f.Tables = append(f.Tables, model.Table{Name: d.Name, View: d.Kind == "view", Rows: d.Rows, Checksum: recordedSum(d.Checksum), StructureOnly: d.StructureOnly})
	}
	return f
}
