package intake

import (
	"context"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/sitekeep/sitekeep/pkg/archive"
)

const (
	setUID = 0o4000
	setGID = 0o2000
	// dirMode is that of directories that no entry describes.
	dirMode = 0o755
	// capability lets a program act as root; it is dropped like a set-id bit.
	capability = "security.capability"
)

// packing of the site's files: what is unsafe is refused here at the latest, by the packer.
type treePacker struct {
	job    *job
	packer *archive.Packer
	above  []string // directories of the last entry, from the root on
	last   string
}

// packTree turns the site's files into frames.
func (j *job) packTree(ctx context.Context, codec archive.Codec) error {
	opts := archive.PackerOptions{Codec: codec, NoDump: j.dump == nil, Clock: j.deps.Now}
	packer, err := archive.NewPacker(ctx, opts, func(ctx context.Context, it archive.Item) error {
		if it.Frame == nil {
			return nil
		}
		if err := j.room.take(ctx, int64(len(it.Frame.Data))); err != nil {
			return err
		}
		return j.assembler.Append(ctx, *it.Frame)
	})
	if err != nil {
		return err
	}
	defer packer.Abort()
	t := &treePacker{job: j, packer: packer}
	for r, err := range j.entries.last(j.warnTwice) {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = t.take(j.tree.links.of(r))
		}
		if err != nil {
			return err
		}
	}
	if err := t.ensure(root); err != nil { // if nothing else was there
		return err
	}
	if j.result, err = packer.Close(); err != nil {
		return err
	}
	return j.assembler.CloseTree(j.result)
}

func (j *job) warnTwice(r record) {
	if r.entry.Type != archive.TypeDirectory {
		j.warn.add("%q is in it more than once: the last one counts", r.entry.Path)
	}
}

// take packs one entry, under its name in the site.
func (t *treePacker) take(r record) error {
	e, ok := r.entry, false
	content := t.job.contentOf(&r)
	if e.Path, ok = t.job.tree.inSite(e.Path); !ok {
		return nil // a directory above the site's
	}
	if e.Type == archive.TypeHardlink {
		if e.LinkTarget, ok = t.job.tree.inSite(e.LinkTarget); !ok {
			return fmt.Errorf("the hard link %q names a file beside the site: %w", e.Path, archive.ErrUnsafe)
		}
	}
	if e.Path != root {
		if err := t.ensure(parentOf(e.Path)); err != nil {
			return err
		}
	}
	t.job.disarm(&e)
	return t.add(e, content)
}

func (t *treePacker) add(e archive.Entry, content io.Reader) error {
	if err := t.packer.Add(e, content); err != nil {
		return err
	}
	t.last = e.Path
	if e.Type == archive.TypeDirectory {
		t.above = append(t.above, e.Path)
	}
	return nil
}

// ensure makes a directory that no entry describes, and those above it.
func (t *treePacker) ensure(dir string) error {
	for n := len(t.above); n > 0; n = len(t.above) {
		if was := t.above[n-1]; was == dir || was == root || strings.HasPrefix(dir, was+"/") {
			break
		}
		t.above = t.above[:n-1]
	}
	if n := len(t.above); n > 0 && t.above[n-1] == dir {
		return nil
	}
	if dir == t.last {
		return fmt.Errorf("there is something in %q, which is not a directory: %w", dir, archive.ErrUnsafe)
	}
	if dir != root {
		if err := t.ensure(parentOf(dir)); err != nil {
			return err
		}
	}
	return t.add(archive.Entry{Path: dir, Type: archive.TypeDirectory, Mode: dirMode, ModTime: t.job.started.UTC()}, nil)
}

// disarm drops what lets a file act as somebody else, and names links that lead out of the site.
func (j *job) disarm(e *archive.Entry) {
	drop := uint32(setUID | setGID)
	if e.Type == archive.TypeDirectory {
		drop = setUID // on a directory, set-gid only passes the group on
	}
	if e.Type != archive.TypeSymlink && e.Mode&drop != 0 {
		j.warn.add("%q: set-id bits of mode %04o were dropped", e.Path, e.Mode)
		e.Mode &^= drop
	}
	kept := e.Xattrs[:0:0]
	for _, x := range e.Xattrs {
		if x.Name == capability {
			j.warn.add("%q: capabilities were dropped", e.Path)
			continue
		}
		kept = append(kept, x)
	}
	e.Xattrs = kept
	if e.Type == archive.TypeSymlink && leadsOut(e) {
		j.warn.add("%q is a link that leads out of the site: to %q", e.Path, e.LinkTarget)
	}
}

func leadsOut(e *archive.Entry) bool {
	if path.IsAbs(e.LinkTarget) {
		return true
	}
	end := path.Join(path.Dir(strings.TrimPrefix(e.Path, root)), e.LinkTarget)
	return end == ".." || strings.HasPrefix(end, "../")
}
