package backup

import (
	"context"
	"errors"
	"io"
	"path"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// NamedTables returns the tables, views and sequences of the dump, in its order. Without a dump there are none.
func (t *Tarball) NamedTables(ctx context.Context) ([]archive.Table, error) {
	all, err := t.Tables(ctx)
	var out []archive.Table
	for _, table := range all {
		if table.Name != "" {
			out = append(out, table)
		}
	}
	return out, err
}

// SelectTables returns those of the dump's tables whose names are given, or match one of the globs (path.Match). One
// that matches none is errs.NotFound.
func (t *Tarball) SelectTables(ctx context.Context, id string, patterns []string) ([]archive.Table, error) {
	all, err := t.NamedTables(ctx)
	if err != nil {
		return nil, err
	}
	hit := map[string]bool{}
	for _, p := range patterns {
		found, err := matchTables(all, p)
		if err != nil {
			return nil, errs.New(errs.Usage, "write it as in a shell: *, ?, [a-z]", "the pattern %q: %w", p, err)
		}
		if len(found) == 0 {
			return nil, errs.New(errs.NotFound, "see what is there with: sitekeep ls --tables "+id, "no table of backup %s matches %q", id, p)
		}
		for _, name := range found {
			hit[name] = true
		}
	}
	var out []archive.Table
	for _, table := range all {
		if hit[table.Name] {
			out = append(out, table)
		}
	}
	return out, nil
}

// matchTables: a name is itself before it is a pattern.
func matchTables(all []archive.Table, pattern string) (found []string, err error) {
	for _, table := range all {
		if table.Name == pattern {
			return []string{pattern}, nil
		}
	}
	for _, table := range all {
		ok, err := path.Match(pattern, table.Name)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, table.Name)
		}
	}
	return found, nil
}

// OpenTables opens the SQL of tables: with the head and the tail of the dump, so that it can be imported.
func (t *Tarball) OpenTables(ctx context.Context, tables []archive.Table) (io.ReadCloser, error) {
	type part struct{ offset, length int64 }
	chosen := map[part]bool{}
	for _, table := range tables {
		for _, s := range table.Sections {
			chosen[part{s.Offset, s.Length}] = true
		}
	}
	return t.OpenSections(ctx, func(s *archive.Section) bool {
		return s.Kind == archive.SectionHead || s.Kind == archive.SectionTail || chosen[part{s.Offset, s.Length}]
	})
}

// TableFrames yields the SQL of tables as frames of its own. Frames of the tarball may hold other tables too, so these
// are made anew.
func (t *Tarball) TableFrames(ctx context.Context, tables []archive.Table) func(func(*archive.Frame, error) bool) {
	return func(yield func(*archive.Frame, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		frames := make(chan *archive.Frame)
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error {
			defer close(frames)
			return t.reframe(ctx, tables, frames)
		})
		for f := range frames {
			if !yield(f, nil) {
				cancel()
				_ = g.Wait() // it was told to stop
				return
			}
		}
		if err := g.Wait(); err != nil {
			yield(nil, err)
		}
	}
}

// errStopped says that nobody takes frames any longer.
var errStopped = errors.New("stopped")

func (t *Tarball) reframe(ctx context.Context, tables []archive.Table, frames chan<- *archive.Frame) error {
	sql, err := t.OpenTables(ctx, tables)
	if err != nil {
		return err
	}
	defer sql.Close()
	codec, err := archive.NewCodec(t.Format(), 1)
	if err != nil {
		return err
	}
	framer, err := archive.NewDumpFramer(ctx, archive.DumpOptions{Codec: codec, Workers: 1}, func(ctx context.Context, it archive.Item) error {
		f := *it.Frame
		f.Data = append([]byte(nil), f.Data...) // it is the framer's again when this returns
		select {
		case frames <- &f:
			return nil
		case <-ctx.Done():
			return errStopped
		}
	})
	if err != nil {
		return err
	}
	defer framer.Abort()
	if _, err := io.Copy(struct{ io.Writer }{framer}, sql); err != nil {
		return err
	}
	_, err = framer.Close()
	return err
}

// TableNames joins names for a sentence.
func TableNames(tables []archive.Table) string {
	names := make([]string, len(tables))
	for i := range tables {
		names[i] = tables[i].Name
	}
	return strings.Join(names, ", ")
}
