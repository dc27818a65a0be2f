package archive

import (
	"context"
	"fmt"
	"iter"
	"os"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
)

// SourceOptions says how a [Source] reads a site.
type SourceOptions struct {
	// Codec compresses. It must be set.
	Codec Codec
	// Workers is how many goroutines read and compress; 0 means one a processor.
	Workers int
	// Exclude are globs. One without a slash matches a name at any depth, one with
	// a slash a whole path from the root; "**" stands for any number of
	// components, and a slash at the end means directories only.
	Exclude []string
	// CacheDirTags leaves out what is in directories that CACHEDIR.TAG marks.
	CacheDirTags bool
	// NoDump says that the tarball will hold no ./database.sql, so that a file of
	// the site with that name keeps it. Otherwise that file is called
	// ./database.sql~site in the tarball, and an [Extractor] gives it its name back.
	NoDump bool
	// Base, if not nil, is what an earlier tarball of the same format has, in its
	// order: see [Reader.BaseFrames] and [ResumeFrames].
	Base iter.Seq2[BaseFrame, error]
	// BaseStarted is the manifest's walk_started_at of that base. Entries that
	// changed after it, or so shortly before that a second change could have had
	// the same time, are read again.
	BaseStarted time.Time
	// Partial says that base 0 is what came of this very tarball before its stream
	// broke, as [ResumeFrames] yields it; base 1 is then the earlier tarball, to which
	// BaseStarted, ReadAll and SendAll apply. PartialStarted is when the first
	// walk began that the partial base has frames of, by this machine's clock;
	// zero if that is not known, and then nothing of it goes unread.
	Partial        bool
	PartialStarted time.Time
	// ReadAll reads every file, whether it seems unchanged or not, and warns of
	// those whose content differs from the base's although nothing else does.
	// What turns out to be the same is sent as references.
	ReadAll bool
	// SendAll refers to nothing of the base: it is only compared with.
	SendAll bool
	// Pause, if not nil, is called between two files and between two frames, from
	// several goroutines: it may take its time. Its error ends the run.
	Pause func(ctx context.Context) error
	// Instead has what is stored of some files in place of their content; what else
	// is known of a file stays. Each is smaller than [SmallFile].
	Instead []Instead
	// Clock, if not nil, takes the place of time.Now.
	Clock func() time.Time
}

// pause gives way, if that is asked for; it fails when ctx has ended.
func (o *SourceOptions) pause(ctx context.Context) error {
	if o.Pause == nil {
		return ctx.Err()
	}
	return o.Pause(ctx)
}

// Instead is what is stored of a file in place of its content. It holds for the
// path, whatever file has it when it is read, and for all names of the file.
type Instead struct {
	// Path is that of an [Entry] of the site, such as "./wp-config.php".
	Path          string
	Device, Inode uint64
	Content       []byte
}

// racyWindow is how much earlier than the walk an entry's last change must be
// for its times to prove that nothing came after. It covers the coarsest clock
// of a common file system, FAT's two seconds.
const racyWindow = 2 * time.Second

// Source walks a site's directory and turns it into frames.
type Source struct {
	root     *os.Root
	opts     SourceOptions
	excludes excludes
}

// NewSource returns a source that reads root, which stays the caller's to close.
// It fails if an option is not valid.
func NewSource(root *os.Root, opts SourceOptions) (*Source, error) {
	if _, err := ParseFormat(string(opts.Codec.format)); err != nil {
		return nil, err
	}
	rules, err := parseExcludes(opts.Exclude)
	if err != nil {
		return nil, err
	}
	for _, in := range opts.Instead {
		if len(in.Content) >= SmallFile {
			return nil, fmt.Errorf("what is to be stored in place of %q has %d bytes, and %d are too many", in.Path, len(in.Content), SmallFile)
		}
	}
	if opts.Workers <= 0 {
		opts.Workers = runtime.GOMAXPROCS(0)
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	return &Source{root: root, opts: opts, excludes: rules}, nil
}

// Run walks once and calls emit for each item, one at a time and in the order
// of the tarball. Frame.Data may be used until emit returns. Entries that cannot
// be read are warnings; an error of emit, of the base or of the root directory
// itself ends the run.
func (s *Source) Run(ctx context.Context, emit func(context.Context, Item) error) (Summary, error) {
	root, err := openBeneath(s.root)
	if err != nil {
		return Summary{}, err
	}
	defer root.close()
	started := s.opts.Clock()
	group, ctx := errgroup.WithContext(ctx)
	line := newPipeline(ctx, s.opts.Workers, SliceSize+sliceSlack)
	owners := newOwnerNames()
	group.Go(func() error { return s.plan(ctx, line, root, owners) })
	for range s.opts.Workers {
		group.Go(func() error { return s.work(line, root, owners) })
	}
	out := &emitter{emit: emit, line: line}
	group.Go(func() error { return out.run(ctx) })
	if err := group.Wait(); err != nil {
		return Summary{}, fmt.Errorf("read site: %w", err)
	}
	sum := out.summary
	sum.StartedAt, sum.FinishedAt = started, s.opts.Clock()
	return sum, nil
}

// plan walks, and puts jobs on the line.
func (s *Source) plan(ctx context.Context, line *pipeline, root *beneath, owners *ownerNames) error {
	defer line.end()
	p := &planner{opts: &s.opts, line: line, slicer: &slicer{line: line, root: root, owners: owners}, again: newRereader(root, owners)}
	defer p.again.close()
	if s.opts.Base != nil {
		next, stop := iter.Pull2(s.opts.Base)
		defer stop()
		p.base.next = next
	}
	w := &walker{
		ctx: ctx, root: root, opts: &s.opts, excludes: s.excludes, owners: owners,
		visit: p.visit, warn: p.warn, links: map[inode]*firstName{}, limits: usualLimits(),
	}
	if err := p.base.advance(); err != nil {
		return err
	}
	if err := w.walk(); err != nil {
		return err
	}
	return p.finish()
}

// work builds and compresses until the line ends.
func (s *Source) work(line *pipeline, root *beneath, owners *ownerNames) error {
	c, err := newCompressor(s.opts.Codec, SliceSize+sliceSlack)
	if err != nil {
		return err
	}
	b, again := newGrouper(line, root, owners, s.opts.Codec.format), newRereader(root, owners)
	defer b.close()
	defer again.close()
	return line.work(c, func(j *job) {
		if s.opts.pause(line.ctx) != nil {
			return // the whole run has ended
		}
		if !again.group(j) && j.nodes != nil {
			b.build(j)
		}
	})
}
