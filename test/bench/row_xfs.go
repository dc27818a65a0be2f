package main

import "context"

// Figures of a store on a file system that shares blocks.
const (
	per10000  = "s per 10,000 files"
	newBlocks = "new blocks %" // of what a first backup takes, as df sees it
)

// Sides of the row.
const (
	xfsUnchanged = "sitekeep, unchanged"
	xfsChanged   = "sitekeep, 1 % changed"
)

// xfsSize holds a first backup, and some more if blocks should not be shared.
const xfsSize = 8 << 30

func rowXFS(ctx context.Context, w *world) (*row, error) {
	r := newRow(per10000, newBlocks)
	if w.options.peers {
		return r, nil
	}
	x, err := newXFSStore(ctx, w)
	if err != nil {
		return nil, err
	}
	r.add(xfsUnchanged, x.side(settle), nil)
	r.add(xfsChanged, x.side(func(ctx context.Context) error { return w.change(ctx, scattered) }), nil)
	r.want(within(per10000, xfsUnchanged, 0.3), within(newBlocks, xfsChanged, 6))
	return r, nil
}

// xfsStore is a master whose store lies on XFS, with a first backup in it.
type xfsStore struct {
	s     *sitekeep
	dir   string
	first int64 // bytes that the first backup took
}

func newXFSStore(ctx context.Context, w *world) (*xfsStore, error) {
	s, err := w.ownSitekeep(ctx, "xfs", func(ctx context.Context, on string) error { return w.mountXFS(ctx, on, xfsSize) })
	if err != nil {
		return nil, err
	}
	x := &xfsStore{s: s, dir: s.store()}
	if err := s.addFiles(ctx, w.files, w.site); err != nil {
		return nil, err
	}
	x.first, err = x.growth(func() error { return s.backupFull(ctx, newMeter(), w.files) })
	return x, err
}

// growth is what df shows more after f than before it.
func (x *xfsStore) growth(f func() error) (int64, error) {
	before, err := usedBytes(x.dir)
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := usedBytes(x.dir)
	return after - before, err
}

func (x *xfsStore) side(prepare func(context.Context) error) *side {
	var before int64
	files := x.s.w.files
	return &side{
		prepare: func(ctx context.Context) (err error) {
			if err := prepare(ctx); err != nil {
				return err
			}
			before, err = usedBytes(x.dir)
			return err
		},
		work: func(ctx context.Context, m *meter) error { return x.s.backup(ctx, m, files) },
		check: func(ctx context.Context, m *meter) error {
			after, err := usedBytes(x.dir)
			if err != nil {
				return err
			}
			m.note(newBlocks, percent(after-before, x.first))
			m.note(per10000, m.figures[wall]/float64(x.s.w.corpus.Files)*10_000)
			return x.s.checked(ctx, m, files)
		},
	}
}
