package archive

import (
	"math"
	"slices"
	"time"
)

// unit is a run of base frames that stands or falls together: a group frame, or
// the slice frames of one file.
type unit struct {
	frames  []candidate
	plain   int64
	entries []Entry
}

// baseUnits reads a base unit by unit.
type baseUnits struct {
	next    func() (BaseFrame, error, bool)
	current *unit
	// loose are frames of a file whose entry never came: the base is unfinished.
	loose []candidate
}

// advance goes to the next unit; current is nil behind the last.
func (b *baseUnits) advance() error {
	b.current = nil
	if b.next == nil {
		return nil
	}
	var frames []candidate
	for {
		f, err, ok := b.next()
		if err != nil {
			return err
		}
		if !ok {
			b.loose, b.next = append(b.loose, frames...), nil
			return nil
		}
		frames = append(frames, candidate{f.Base, f.Number, f.PlainLength, f.PlainHash})
		if len(f.Entries) > 0 {
			b.settle(frames, f.Entries)
			return nil
		}
	}
}

// settle makes a unit of the frames that lead to entries, as many as those span.
func (b *baseUnits) settle(frames []candidate, entries []Entry) {
	entries = slices.Clone(entries) // their memory is the base's
	own := min(entries[0].Span+1, uint64(len(frames)))
	if own <= entries[0].Span {
		entries[0].ChangeTime = time.Time{} // frames are missing: it cannot be referred to
	}
	loose := frames[:uint64(len(frames))-own]
	b.loose = append(b.loose, loose...)
	b.current = &unit{frames: frames[len(loose):], entries: entries}
	for _, f := range b.current.frames {
		b.current.plain += f.plain
	}
}

// planner merges the walk with a base. It decides what is read and where frames
// begin, and puts that on the line.
type planner struct {
	opts   *SourceOptions
	line   *pipeline
	slicer *slicer
	again  *rereader // of large files
	base   baseUnits

	at     int     // entries of the base's unit that were met
	held   []*node // of that unit, met so far, if it is intact
	dirty  bool    // one of them changed
	other  bool    // one of them has another header, so that no frame of the base can have it
	broken bool    // it lost or gained an entry

	run    []*node // what the next group frame will hold
	weight int64
	recent []candidate // base frames that new ones may equal
	ref    *job        // reference that may grow
}

func (p *planner) warn(w Warning) error {
	return p.line.putDone(&job{warnings: []Warning{w}})
}

// visit takes the next node of the walk.
func (p *planner) visit(n *node) error {
	for {
		u := p.base.current
		if u == nil {
			return p.add(n)
		}
		c := ComparePaths(n.name(), u.entries[p.at].Name())
		if c < 0 && p.at == 0 {
			return p.add(n)
		}
		if c != 0 {
			if err := p.breakUnit(); err != nil {
				return err
			}
		}
		if c < 0 {
			return p.add(n)
		}
		if c == 0 {
			return p.meet(n, &u.entries[p.at])
		}
		if err := p.step(); err != nil {
			return err
		}
	}
}

// meet takes a node that the base's unit has too.
func (p *planner) meet(n *node, was *Entry) error {
	same := p.unchanged(&n.entry, was) && n.stores(was)
	if same && p.opts.ReadAll && !p.partial() {
		n.was, same = was, false
	}
	if p.broken {
		if err := p.add(n); err != nil {
			return err
		}
		return p.step()
	}
	p.held = append(p.held, n)
	p.dirty = p.dirty || !same
	p.other = p.other || !alike(&n.entry, was)
	return p.step()
}

// step goes on to the unit's next entry, or to the next unit.
func (p *planner) step() error {
	p.at++
	if p.at < len(p.base.current.entries) {
		return nil
	}
	if !p.broken {
		if err := p.complete(); err != nil {
			return err
		}
	}
	p.at, p.held, p.dirty, p.other, p.broken = 0, nil, false, false, false
	return p.base.advance()
}

// complete takes a unit that has the same members as before: as a reference if
// none of them changed, else as one new group with the same borders.
func (p *planner) complete() error {
	u := p.base.current
	fragment := p.weight > 0 && p.weight+u.plain < groupLeast
	if fragment || (p.dirty && !p.regroups()) {
		return p.breakUnit()
	}
	if err := p.flushRun(); err != nil {
		return err
	}
	if !p.dirty {
		return p.refer(u)
	}
	p.remember(u)
	p.run = p.held
	if !p.other && p.refers() && len(u.frames) == 1 {
		return p.flushRunOf(u)
	}
	return p.flushRun()
}

// regroups reports whether the held nodes can be a group frame again.
func (p *planner) regroups() bool {
	total := int64(0)
	for _, n := range p.held {
		if n.large() {
			return false
		}
		total += n.weight()
	}
	return total <= groupMost
}

// breakUnit gives up the unit's borders.
func (p *planner) breakUnit() error {
	if p.broken {
		return nil
	}
	p.broken = true
	p.remember(p.base.current)
	held := p.held
	p.held = nil
	for _, n := range held {
		if err := p.add(n); err != nil {
			return err
		}
	}
	return nil
}

// remember makes a unit's frames candidates for what is built next.
func (p *planner) remember(u *unit) {
	const most = 8
	if len(u.frames) > 1 || u.entries[0].Size >= SmallFile || !p.refers() {
		return
	}
	p.recent = append(p.recent, u.frames...)
	if extra := len(p.recent) - most; extra > 0 {
		p.recent = append([]candidate(nil), p.recent[extra:]...)
	}
}

// unchanged reports whether a node is so surely what it was that it need not be read.
func (p *planner) unchanged(e, was *Entry) bool {
	return was.settledBefore(p.started()) && sameState(e, was)
}

// partial reports whether the base's unit came before this tarball's stream broke.
func (p *planner) partial() bool {
	u := p.base.current
	return p.opts.Partial && u != nil && u.frames[0].base == 0
}

// refers reports whether references to the base's unit are wanted.
func (p *planner) refers() bool { return !p.opts.SendAll || p.partial() }

// started returns when the walk began that met the base's unit.
func (p *planner) started() time.Time {
	if p.partial() {
		return p.opts.PartialStarted
	}
	return p.opts.BaseStarted
}

// sameState reports whether all that a stat tells of two entries is the same.
func sameState(e, was *Entry) bool {
	return alike(e, was) && e.ChangeTime.Equal(was.ChangeTime) && e.Inode == was.Inode
}

// alike reports whether all that a stat tells of two entries and a tar header
// holds is the same.
func alike(e, was *Entry) bool {
	return e.Path == was.Path && e.Type == was.Type && e.Size == was.Size && e.ModTime.Equal(was.ModTime) &&
		e.Mode == was.Mode && e.UID == was.UID && e.GID == was.GID && e.Uname == was.Uname && e.Gname == was.Gname &&
		(e.Type != TypeHardlink || e.LinkTarget == was.LinkTarget)
}

// add takes a node that is to be read.
func (p *planner) add(n *node) error {
	if n.large() {
		return p.slice(n)
	}
	w := n.weight()
	if p.weight > 0 && p.weight+w > groupMost {
		if err := p.flushRun(); err != nil {
			return err
		}
	}
	p.run = append(p.run, n)
	p.weight += w
	if p.weight >= groupLeast && isBorder(n.entry.Path, w) {
		return p.flushRun()
	}
	return nil
}

// isBorder reports whether a group may end behind a path. It is the more likely
// the heavier the entry, so that borders are evenly far apart in bytes.
func isBorder(path string, weight int64) bool {
	if weight >= groupMean {
		return true
	}
	return pathHash(path) < uint64(weight)*(math.MaxUint64/groupMean)
}

// pathHash is FNV-1a with the finalizer of MurmurHash3, which spreads it over
// the high bits.
func pathHash(path string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(path) {
		h = (h ^ uint64(path[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// flushRun ends the group frame.
func (p *planner) flushRun() error { return p.flushRunOf(nil) }

// flushRunOf ends the group frame. had, if not nil, is a unit of one frame with the
// same entries, which may be unchanged but for their inodes and change times.
func (p *planner) flushRunOf(had *unit) error {
	if len(p.run) == 0 {
		return nil
	}
	if err := p.flushReference(); err != nil {
		return err
	}
	j := &job{kind: KindTree, nodes: p.run, had: had, candidates: append([]candidate(nil), p.recent...)}
	p.run, p.weight = nil, 0
	return p.line.put(j)
}

// slice takes a large file, which is compared slice by slice with what the base
// has of it.
func (p *planner) slice(n *node) error {
	if err := p.flushRun(); err != nil {
		return err
	}
	if err := p.flushReference(); err != nil {
		return err
	}
	var known [][]candidate
	if len(p.base.loose) > 0 {
		known = append(known, p.base.loose)
		p.base.loose = nil
	}
	if u := p.base.current; u != nil && u.entries[0].Name() == n.name() && p.refers() {
		if taken, err := p.reread(n); taken || err != nil {
			return err
		}
		known = append(known, u.frames)
	}
	return p.slicer.slice(n, known)
}

// maxReferences is how many frames one reference stands for, so that progress shows.
const maxReferences = 1024

// refer takes a whole unit from the base.
func (p *planner) refer(u *unit) error {
	first := u.frames[0]
	if p.ref != nil && !p.ref.extends(first) {
		if err := p.flushReference(); err != nil {
			return err
		}
	}
	if p.ref == nil {
		p.ref = &job{reference: &Reference{Kind: KindTree, Base: first.base, First: first.number}}
	}
	p.ref.reference.Count += uint64(len(u.frames))
	p.ref.skipped += u.plain
	for i := range u.entries {
		p.ref.totals.add(&u.entries[i])
	}
	return nil
}

// extends reports whether a frame comes directly behind a reference's.
func (j *job) extends(c candidate) bool {
	r := j.reference
	return r.Base == c.base && r.First+r.Count == c.number && r.Count < maxReferences
}

func (p *planner) flushReference() error {
	if p.ref == nil {
		return nil
	}
	j := p.ref
	p.ref = nil
	return p.line.putDone(j)
}

// finish takes what is left when the walk has ended.
func (p *planner) finish() error {
	if p.base.current != nil && p.at > 0 {
		if err := p.breakUnit(); err != nil {
			return err
		}
	}
	if err := p.flushRun(); err != nil {
		return err
	}
	return p.flushReference()
}
