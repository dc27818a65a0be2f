package intake

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// input counts what comes in, and tells its own failure from that of what unpacks it.
type input struct {
	r    io.Reader
	size int64
	err  error
}

// Read reads and counts.
func (in *input) Read(p []byte) (int, error) {
	n, err := in.r.Read(p)
	in.size += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		in.err = err
	}
	return n, err
}

// blame returns the input's own error if it has failed, and else err as damage of what came.
func (in *input) blame(what string, err error) error {
	var known *errs.Error
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case in.err != nil:
		return in.err
	case errors.Is(err, archive.ErrUnsafe), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, archive.ErrIncomplete):
		return errs.New(errs.Corrupt, hintCut, "%s is cut off, or damaged: %w", what, err)
	}
	return errs.New(errs.Corrupt, hintCut, "%s is damaged, or not what it should be: %w", what, err)
}

// receive reads tarball and dump to their ends, into scratch files.
func (j *job) receive(ctx context.Context, up Upload) error {
	if err := j.room.need(ctx, j.q.Size); err != nil {
		return err
	}
	if err := j.receiveTarball(ctx, up.Tarball); err != nil {
		return err
	}
	if j.q.Size > 0 && j.in.size != j.q.Size {
		return errs.New(errs.Corrupt, hintCut, "%d bytes came instead of %d", j.in.size, j.q.Size)
	}
	if up.Dump == nil {
		return nil
	}
	name, r, err := up.Dump()
	if err != nil || r == nil {
		return err
	}
	beside, err := j.newSpool(ctx)
	if err != nil {
		return err
	}
	if _, err := io.Copy(beside, r); err != nil {
		return err
	}
	j.dump = &dumpSource{name: name, data: io.NewSectionReader(beside.file, 0, beside.size)}
	return nil
}

func (j *job) receiveTarball(ctx context.Context, r io.Reader) (err error) {
	if j.content, err = j.newSpool(ctx); err != nil {
		return err
	}
	if j.entries, err = j.newSorter(ctx); err != nil {
		return err
	}
	j.in = &input{r: r}
	raw := bufio.NewReaderSize(j.in, 1<<20)
	first, err := raw.Peek(longestMagic)
	if len(first) == 0 {
		return j.in.blame("the tarball", err)
	}
	packed := io.Reader(raw)
	var copied *spool
	if p := packingOf(first); p == gzipped || p == zstded { // it may be ours
		if copied, err = j.newSpool(ctx); err != nil {
			return err
		}
		packed = io.TeeReader(raw, copied)
	}
	if err := j.scan(ctx, bufio.NewReaderSize(packed, 1<<20)); err != nil {
		return j.in.blame("the tarball", err)
	}
	if n, err := io.Copy(io.Discard, raw); err != nil || n > 0 {
		return j.in.blame("the tarball", errors.Join(err, errors.New("there is something behind its end")))
	}
	if copied != nil {
		j.readIndex(copied)
	}
	return nil
}

// readIndex takes the manifest out of a tarball of ours. Nothing else of the index is believed.
func (j *job) readIndex(copied *spool) {
	if r, err := archive.Open(copied.file, copied.size); err == nil {
		j.manifest = r.Manifest()
	}
}

// scan puts the entries of a tarball into scratch files.
func (j *job) scan(ctx context.Context, packed *bufio.Reader) error {
	tar, _, err := unpack(ctx, packed)
	if err != nil {
		return err
	}
	defer tar.Close() //nolint:errcheck // it was read to its end, or is worthless
	number := int64(0)
	return archive.ScanForeign(ctx, tar, func(e archive.Entry, content io.Reader) error {
		number++
		r := record{entry: e, number: number, at: j.content.size}
		r.entry.Path, r.entry.SitePath = e.Name(), ""
		if err := checkLength(&r.entry); err != nil {
			return err
		}
		if e.Type == archive.TypeRegular {
			if err := j.keep(ctx, &r, content); err != nil {
				return err
			}
		}
		if e.SitePath == "" && len(j.maybe) < maxMaybe && mayBeDump(&r.entry) {
			j.maybe = append(j.maybe, r)
			return nil
		}
		return j.entries.add(r)
	})
}

// maxPath and maxName are what Linux takes, in bytes: PATH_MAX and NAME_MAX in linux/limits.h.
const (
	maxPath = 4095
	maxName = 255
)

func checkLength(e *archive.Entry) error {
	long := len(e.Path) > maxPath || len(e.LinkTarget) > maxPath
	for part := range strings.SplitSeq(e.Path, "/") {
		long = long || len(part) > maxName
	}
	if long {
		return fmt.Errorf("the name %.60q... is longer than a file system takes: %w", e.Path, archive.ErrUnsafe)
	}
	return nil
}

// keep copies a file's content, if there is room for what its header promises.
func (j *job) keep(ctx context.Context, r *record, content io.Reader) error {
	if err := j.room.need(ctx, r.entry.Size); err != nil {
		return fmt.Errorf("%q: %w", r.entry.Path, err)
	}
	n, err := io.CopyN(j.content, content, r.entry.Size)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%q: %w: it has %d bytes of %d", r.entry.Path, archive.ErrIncomplete, n, r.entry.Size)
	}
	return err
}

// contentOf returns a reader over a file's content.
func (j *job) contentOf(r *record) *io.SectionReader {
	return io.NewSectionReader(j.content.file, r.at, r.entry.Size)
}

const (
	// maxMaybe bounds how many files are looked at for being the dump.
	maxMaybe = 256
	// maxStrip is how many directories may lie above a site in its tarball.
	maxStrip = 4
)

// dumpSuffixes end the names of files that may be a dump.
var dumpSuffixes = []string{".sql", ".sql.gz", ".sql.bz2", ".sql.xz", ".sql.zst"}

func mayBeDump(e *archive.Entry) bool {
	return e.Type == archive.TypeRegular && strings.Count(e.Path, "/") <= maxStrip+1 && dumpSuffix(e.Path) != ""
}

// dumpSuffix returns the suffix of a dump's name; "" if it has none.
func dumpSuffix(name string) string {
	for _, s := range dumpSuffixes {
		if strings.HasSuffix(strings.ToLower(name), s) {
			return s
		}
	}
	return ""
}
