package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/archive"
	archivev1 "github.com/sitekeep/sitekeep/proto/sitekeep/archive/v1"
)

// finish closes the tarball, puts it into the store and lists it, in this order.
func (j *job) finish(ctx context.Context) (*model.Backup, error) {
	bytes, files := j.counts.sum()
	j.log.Progress("closing the tarball", bytes, bytes, files)
	m := j.manifest()
	result, err := j.assembler.Finish(ctx, m)
	if err != nil {
		return nil, j.storeError(err)
	}
	b := j.entry(m, result)
	sidecar, err := Sidecar(b, m)
	if err != nil {
		return nil, err
	}
	err = j.pending.Commit(ctx, sidecar, func(ctx context.Context) error {
		return j.deps.Catalogue.InsertBackup(ctx, *b)
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

func (j *job) entry(m *archivev1.Manifest, r archive.Result) *model.Backup {
	b := &model.Backup{
		ID: j.pending.ID(), Site: j.q.Site.Name, CreatedAt: j.started.UTC().Truncate(time.Second), Description: j.q.Description,
		Format: j.q.Format, Size: r.Size, NewBytes: r.NewBytes, PlainSize: r.PlainBytes, Files: j.tree.Entries,
		Digest: "sha256:" + r.Digest.String(), Origin: j.q.Origin, Warnings: m.Warnings, TaskID: j.q.Task,
		Pinned: j.q.PinReason != "", PinReason: j.q.PinReason,
	}
	for _, t := range m.GetDump().GetTables() {
		b.Tables++
		b.Rows += int64(t.Rows)
	}
	return b
}

func (j *job) dumpManifest() *archivev1.Dump {
	d := &archivev1.Dump{
		Database: j.q.Site.Database.Name, Charset: j.dump.Charset, Collation: j.dump.Collation, ServerVersion: j.dump.Server,
	}
	for _, t := range j.dump.Tables {
		kind := "table"
		if t.View {
			kind = "view"
		}
		d.Tables = append(d.Tables, &archivev1.Table{
			Name: t.Name, Kind: kind, Rows: t.Rows, Checksum: manifestSum(t.Checksum), StructureOnly: t.StructureOnly,
		})
	}
	return d
}

// sidecar is the file beside a tarball, from which the catalogue can be built
// anew. It says nothing that the tarball does not, but for what became known
// with its last byte.
type sidecar struct {
	Backup   model.Backup    `json:"backup"`
	Manifest json.RawMessage `json:"manifest"`
}

// Sidecar returns the contents of the file beside a tarball: JSON.
func Sidecar(b *model.Backup, m *archivev1.Manifest) ([]byte, error) {
	manifest, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("manifest of %s: %w", b.ID, err)
	}
	out, err := json.MarshalIndent(sidecar{Backup: *b, Manifest: manifest}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("manifest of %s: %w", b.ID, err)
	}
	return append(out, '\n'), nil
}

// ParseSidecar reads what Sidecar writes.
func ParseSidecar(data []byte) (*model.Backup, error) {
	var s sidecar
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return &s.Backup, nil
}

// collations joins the names for the manifest's label.
func collations(names []string) string { return strings.Join(names, " ") }
