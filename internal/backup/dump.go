package backup

import (
	"context"
	"iter"
	"slices"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// dump is the stream of the site's database. After a break it comes anew, from another snapshot: frames that came
// already are known by their hashes.
type dump struct {
	stream
	received *archive.Reader // what came before the stream broke; nil: nothing
}

// takeDump takes the dump, in as many attempts as it needs. It marks as a dumpFailure what is the database's own fault: a
// store without room is not, nor an agent or a database server that is away, which may come back.
func (j *job) takeDump(ctx context.Context) error {
	d := &dump{stream: stream{j: j, what: "database", server: j.q.Site.DBServer, bases: []*archive.Reader{j.earlier()}}}
	d.call, d.keep = d.read, d.suspend
	err := d.run(ctx)
	switch {
	case err == nil:
		return j.storeError(j.assembler.CloseDump(j.sql))
	case d.ours != nil:
		return d.ours
	case errs.Is(err, errs.Unreachable) || errs.Is(err, errs.Cancelled):
		return err
	}
	return dumpFailure{err}
}

func (d *dump) read(ctx context.Context) error {
	j := d.j
	db, err := j.deps.Agents.DB(ctx, d.server)
	if err != nil {
		return err
	}
	info, err := db.BriefInfo(ctx)
	if err != nil {
		return err
	}
	j.software[1] = info.Version
	request := model.DumpRequest{
		Database: j.q.Site.Database.Name, Format: j.q.Format, Level: j.level(), Salvage: j.q.Salvage, Gentle: j.q.Gentle,
		StructureOnly: j.structureOnly(ctx), Begun: d.begin,
	}
	j.dump, j.sql, err = db.Dump(ctx, request, d.known(), d.emit)
	return err
}

// structureOnly returns the patterns of the tables whose rows stay out: those of the site's record, and those that the site
// makes again by itself. Of a site whose settings cannot be read, that is not known, and its caches are in the backup too.
func (j *job) structureOnly(ctx context.Context) []string {
	if j.q.Site.AllRows {
		return nil
	}
	web, err := j.deps.Agents.Web(ctx, j.source)
	if err != nil {
		return j.q.Site.StructureOnly
	}
	settings, err := web.ReadSettings(ctx, j.q.Site.Ref(), "")
	if err != nil || settings == nil {
		return j.q.Site.StructureOnly
	}
	return slices.Concat(j.q.Site.StructureOnly, settings.RebuiltTables)
}

func (d *dump) begin() { d.began = true }

// known yields the frames that need not be sent; nil if there are none.
func (d *dump) known() iter.Seq2[archive.BaseDumpFrame, error] {
	old := d.j.earlier()
	if old != nil && (d.j.q.Full || d.j.base.Manifest().GetDump() == nil) {
		old = nil
	}
	switch {
	case d.received == nil && old == nil:
		return nil
	case d.received == nil:
		return old.BaseDumpFrames(0)
	case old == nil:
		return d.received.BaseDumpFrames(0)
	}
	return both(d.received.BaseDumpFrames(0), old.BaseDumpFrames(1))
}

// both yields the one and then, if nothing was wrong, the other.
func both[V any](a, b iter.Seq2[V, error]) iter.Seq2[V, error] {
	return func(yield func(V, error) bool) {
		for v, err := range a {
			if !yield(v, err) || err != nil {
				return
			}
		}
		b(yield)
	}
}

func (d *dump) suspend() error {
	received, err := d.j.assembler.SuspendDump()
	if err != nil {
		return err
	}
	d.received, d.bases = received, []*archive.Reader{received, d.j.earlier()}
	return nil
}
