package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/store"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// Inventory is a catalogue that backups are put back into.
type Inventory interface {
	HasBackup(ctx context.Context, id string) (bool, error)
	InsertBackup(ctx context.Context, b model.Backup) error
	Site(ctx context.Context, name string) (model.Site, error)
}

// Shelves is a store that a catalogue is made from.
type Shelves interface {
	Opener
	Acknowledged(ctx context.Context, visit func(e store.Entry, marked bool) error) error
	Sidecar(ctx context.Context, id string) ([]byte, error)
}

// Rebuilt is what came out of a rebuild.
type Rebuilt struct {
	Added, Known int
	// Warnings name what was not listed, and why.
	Warnings []string
	// Unknown are sites that have backups and are not in the inventory.
	Unknown []string
}

// Rebuild lists every backup of the store that the catalogue lacks: from its sidecar, or where that is missing or is
// another's, from the manifest in the tarball. It removes nothing and changes nothing that is listed. A tarball whose
// index cannot be read is not listed. added is called for each that was.
func Rebuild(ctx context.Context, to Inventory, from Shelves, added func(model.Backup)) (Rebuilt, error) {
	r := &rebuild{to: to, from: from, added: added}
	err := from.Acknowledged(ctx, func(e store.Entry, marked bool) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return r.visit(ctx, e, marked)
	})
	return r.Rebuilt, err
}

type rebuild struct {
	Rebuilt
	to    Inventory
	from  Shelves
	added func(model.Backup)
}

func (r *rebuild) visit(ctx context.Context, e store.Entry, marked bool) error {
	listed, err := r.to.HasBackup(ctx, e.ID)
	if err != nil {
		return err
	}
	if listed {
		r.Known++
		return r.site(ctx, e.ID)
	}
	if marked {
		r.warn("%s is left out: it was being made, or removed, when the master ended", e.ID)
		return nil
	}
	b, err := r.read(ctx, e)
	if errs.Is(err, errs.Corrupt) {
		r.warn("%s is left out: %v; tar may still read what is in it", e.ID, err)
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.to.InsertBackup(ctx, *b); err != nil {
		return err
	}
	r.Added++
	r.added(*b)
	return r.site(ctx, e.ID)
}

func (r *rebuild) warn(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

// site notes a site that the inventory does not know.
func (r *rebuild) site(ctx context.Context, id string) error {
	name, _, err := model.ParseBackupID(id)
	if err != nil || slices.Contains(r.Unknown, name) {
		return err
	}
	_, err = r.to.Site(ctx, name)
	if errs.Is(err, errs.NotFound) {
		r.Unknown = append(r.Unknown, name)
		return nil
	}
	return err
}

// read gives what is to be listed of a tarball. The sidecar is believed where it is about this very one.
func (r *rebuild) read(ctx context.Context, e store.Entry) (*model.Backup, error) {
	own, err := r.manifest(ctx, e)
	if err != nil {
		return nil, err
	}
	text, err := r.from.Sidecar(ctx, e.ID)
	switch {
	case errs.Is(err, errs.NotFound):
		r.warn("%s has no sidecar; whether it was pinned is not known", e.ID)
		return own, nil
	case errs.Is(err, errs.Corrupt):
		text = nil
	case err != nil:
		return nil, err
	}
	b, err := ParseSidecar(text)
	if err != nil || b.ID != own.ID || b.Site != own.Site || b.Format != own.Format || b.Size != own.Size || b.Digest != own.Digest {
		r.warn("the sidecar of %s is damaged or another's; whether it was pinned is not known", e.ID)
		return own, nil
	}
	return b, nil
}

// manifest gives what the tarball itself says.
func (r *rebuild) manifest(ctx context.Context, e store.Entry) (*model.Backup, error) {
	t, err := openAny(ctx, r.from, e)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	site, at, err := model.ParseBackupID(e.ID)
	if err != nil {
		return nil, err
	}
	m := t.Manifest()
	if m.GetBackupId() != e.ID || m.GetSite() != site {
		return nil, errs.New(errs.Corrupt, "give the file its name back", "its manifest is that of %s", m.GetBackupId())
	}
	if m.GetCreatedAt().IsValid() {
		at = m.GetCreatedAt().AsTime()
	}
	b := &model.Backup{
		ID: e.ID, Site: site, CreatedAt: at.UTC().Truncate(time.Second), Description: m.GetDescription(), Format: e.Format,
		Size: e.Size, NewBytes: e.Size, PlainSize: t.Counts().PlainBytes, Files: int64(m.GetTotals().GetEntries()),
		Digest: "sha256:" + t.Digest().String(), Origin: model.Origin(m.GetLabels()[LabelOrigin]), Warnings: m.GetWarnings(),
	}
	for _, table := range m.GetDump().GetTables() {
		b.Tables++
		b.Rows += int64(table.GetRows())
	}
	return b, nil
}

// openAny opens a tarball of which nothing is recorded.
func openAny(ctx context.Context, s Opener, e store.Entry) (*Tarball, error) {
	blob, err := s.Open(ctx, e.ID, e.Format)
	if err != nil {
		return nil, err
	}
	reader, err := archive.Open(readerAt(blob), blob.Size())
	if err != nil {
		return nil, errors.Join(errs.New(errs.Corrupt, "use another backup", "%w", err), blob.Close())
	}
	return &Tarball{Reader: reader, blob: blob}, nil
}
