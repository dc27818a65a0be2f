package archive

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
)

// read reads a frame's compressed bytes into dst's array if that is large enough,
// and checks their hash.
func (r *Reader) read(dst []byte, f *FrameInfo) ([]byte, error) {
	src := r.data
	if f.Kind == KindDump {
		src = r.dump
	}
	dst = grow(dst, int(f.Length))[:f.Length]
	if _, err := io.ReadFull(io.NewSectionReader(src, f.Offset, f.Length), dst); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return dst, corruptFrame(*f, "the file ends in it")
		}
		return dst, fmt.Errorf("read frame %d: %w", f.Number, err)
	}
	if sha256.Sum256(dst) != f.Hash {
		return dst, corruptFrame(*f, "its bytes differ from their hash")
	}
	return dst, nil
}

// ReadFrames yields the frames of the site, without the dump, and the end of the
// tar stream: what an [Extractor] takes. Data is checked against its hash, and
// valid until the next frame.
func (r *Reader) ReadFrames(ctx context.Context) iter.Seq2[Frame, error] {
	last := uint64(r.counts.Frames - 1)
	return r.frames(ctx, func(f *listedFrame) bool { return f.Kind == KindTree || f.Number == last })
}

// ReadAllFrames yields every frame of the tarball.
func (r *Reader) ReadAllFrames(ctx context.Context) iter.Seq2[Frame, error] {
	return r.frames(ctx, func(*listedFrame) bool { return true })
}

// ReadDump yields the dump frames with their data: what a [PlainReader] takes.
func (r *Reader) ReadDump(ctx context.Context) iter.Seq2[Frame, error] {
	return r.frames(ctx, func(f *listedFrame) bool { return f.Kind == KindDump })
}

// frames yields the frames that want is true for. It asks in their order.
func (r *Reader) frames(ctx context.Context, want func(*listedFrame) bool) iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		var data []byte
		for f, err := range r.listed(0) {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil && !want(&f) {
				continue
			}
			if err == nil {
				data, err = r.read(data, &f.FrameInfo)
			}
			if err != nil {
				yield(Frame{}, withPaths(err, f.Entries))
				return
			}
			if !yield(f.frame(data), nil) {
				return
			}
		}
	}
}

func (f *listedFrame) frame(data []byte) Frame {
	return Frame{
		Kind: f.Kind, Data: data, PlainLength: f.PlainLength,
		Hash: f.Hash, PlainHash: f.PlainHash, Entries: f.Entries,
	}
}

// withPaths adds what is known of a damaged frame's entries to its error.
func withPaths(err error, entries []Entry) error {
	var c *CorruptError
	if errors.As(err, &c) && len(c.Paths) == 0 {
		for i := range entries {
			c.Paths = append(c.Paths, entries[i].Name())
		}
	}
	return err
}

// SelectFrames yields the frames that hold entries for which match is true, and
// then the end of the tar stream: what an [Extractor] with the same selection
// takes. Files that matching hard links name are among them; the Extractor needs
// those in its selection too, see [Reader.LinkTargets]. It reads the index before
// it yields the first frame.
func (r *Reader) SelectFrames(ctx context.Context, match func(Entry) bool) iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		wanted, err := r.selected(ctx, match)
		if err != nil {
			yield(Frame{}, err)
			return
		}
		last := uint64(r.counts.Frames - 1)
		r.frames(ctx, func(f *listedFrame) bool { return wanted.has(f.Number) || f.Number == last })(yield)
	}
}

// frameRanges is a list of runs of frames, ascending, that is asked in order.
type frameRanges struct{ runs [][2]uint64 }

func (f *frameRanges) add(first, last uint64) {
	if n := len(f.runs); n > 0 && first <= f.runs[n-1][1]+1 {
		f.runs[n-1][1] = max(f.runs[n-1][1], last)
		return
	}
	f.runs = append(f.runs, [2]uint64{first, last})
}

func (f *frameRanges) has(n uint64) bool {
	for len(f.runs) > 0 && f.runs[0][1] < n {
		f.runs = f.runs[1:]
	}
	return len(f.runs) > 0 && f.runs[0][0] <= n
}

func (r *Reader) selected(ctx context.Context, match func(Entry) bool) (*frameRanges, error) {
	targets, err := r.linkTargets(match)
	if err != nil {
		return nil, err
	}
	wanted := new(frameRanges)
	for e, err := range r.Entries() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		if match(e) || targets[e.Path] != "" {
			wanted.add(e.Frame, e.Frame+e.Span)
		}
	}
	return wanted, nil
}

// LinkTargets returns the paths in the site of the files that matching hard
// links name and that do not match themselves.
func (r *Reader) LinkTargets(match func(Entry) bool) ([]string, error) {
	targets, err := r.linkTargets(match)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(targets))
	for _, name := range targets {
		names = append(names, name)
	}
	return names, nil
}

// linkTargets maps the paths of such files to their names in the site.
func (r *Reader) linkTargets(match func(Entry) bool) (map[string]string, error) {
	targets := map[string]string{}
	for e, err := range r.Entries() {
		if err != nil {
			return nil, err
		}
		if e.Type == TypeHardlink && match(e) {
			targets[e.LinkTarget] = e.LinkTarget
		}
	}
	for path := range targets {
		e, err := r.Lookup(path)
		if err != nil {
			return nil, fmt.Errorf("target of a hard link: %w", err)
		}
		targets[path] = e.Name()
		if match(e) {
			delete(targets, path)
		}
	}
	return targets, nil
}

// FrameRun is a run of consecutive frames.
type FrameRun struct{ First, Count uint64 }

// AddRun adds a run to a list, as a part of the last one if it follows that directly.
func AddRun(runs []FrameRun, run FrameRun) []FrameRun {
	if n := len(runs); n > 0 && runs[n-1].First+runs[n-1].Count == run.First {
		runs[n-1].Count += run.Count
		return runs
	}
	return append(runs, run)
}

// ReadRuns yields the frames of the site that are in one of the runs, which are
// in any order, and then the end of the tar stream: what [Delta.Extract] takes.
// Frames of the dump are never among them. Without runs it yields nothing.
func (r *Reader) ReadRuns(ctx context.Context, runs []FrameRun) iter.Seq2[Frame, error] {
	if len(runs) == 0 {
		return func(func(Frame, error) bool) {}
	}
	wanted, last := mergeRuns(runs), uint64(r.counts.Frames-1)
	return r.frames(ctx, func(f *listedFrame) bool {
		return f.Kind == KindTree && wanted.has(f.Number) || f.Number == last
	})
}

func mergeRuns(runs []FrameRun) *frameRanges {
	sorted := slices.SortedFunc(slices.Values(runs), func(a, b FrameRun) int { return cmp.Compare(a.First, b.First) })
	merged := new(frameRanges)
	for _, run := range sorted {
		if run.Count > 0 && run.First+run.Count > run.First {
			merged.add(run.First, run.First+run.Count-1)
		}
	}
	return merged
}

// OtherEntries yields the entries of the site that are no regular files, in the
// order of the tarball: what [Delta.Finish] takes.
func (r *Reader) OtherEntries() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for e, err := range r.Entries() {
			if err == nil && e.Type == TypeRegular {
				continue
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}
