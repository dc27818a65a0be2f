package archive

import "iter"

// listedFrame is a frame with the entries that end in it.
type listedFrame struct {
	FrameInfo
	Entries []Entry
}

// listed yields frames with their entries, from number first on. Entries are
// valid until the next frame.
func (r *Reader) listed(first uint64) iter.Seq2[listedFrame, error] {
	return func(yield func(listedFrame, error) bool) {
		var (
			cur     listedFrame
			decoder EntryDecoder
			have    bool
		)
		for rec, err := range r.index.records(r.index.blockOfFrame(first)) {
			if err == nil && rec.field == fieldFrame {
				if have && !yield(cur, nil) {
					return
				}
				cur.Entries, have = cur.Entries[:0], rec.frame >= first
				cur.FrameInfo, err = decodeIf(rec, nil, (*record).frameInfo)
			} else if err == nil && rec.field == fieldEntry && have {
				cur.Entries = append(cur.Entries, Entry{})
				err = rec.entry(&decoder, &cur.Entries[len(cur.Entries)-1])
			}
			if err != nil {
				yield(listedFrame{}, err)
				return
			}
		}
		if have {
			yield(cur, nil)
		}
	}
}

// BaseFrames yields the tree frames with their entries, for a [Source]. base is
// copied into each. Entries are valid until the next frame.
func (r *Reader) BaseFrames(base uint32) iter.Seq2[BaseFrame, error] {
	return func(yield func(BaseFrame, error) bool) {
		for f, err := range r.listed(0) {
			if err != nil {
				yield(BaseFrame{}, err)
				return
			}
			if f.Kind != KindTree {
				return
			}
			b := BaseFrame{
				Base: base, Number: f.Number, PlainLength: f.PlainLength, PlainHash: f.PlainHash,
				Entries: f.Entries,
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

// BaseDumpFrames yields the dump frames, for a [DumpFramer].
func (r *Reader) BaseDumpFrames(base uint32) iter.Seq2[BaseDumpFrame, error] {
	return func(yield func(BaseDumpFrame, error) bool) {
		for f, err := range r.Frames() {
			if err == nil && f.Kind != KindDump {
				continue
			}
			if !yield(BaseDumpFrame{Base: base, Number: f.Number, PlainHash: f.PlainHash}, err) || err != nil {
				return
			}
		}
	}
}

// ResumeFrames yields what a Source needs after a broken stream: the frames of
// partial as base 0, then those of old, if not nil, that lie wholly behind them
// as base 1: see SourceOptions.Partial. Whoever wants to resume notes when a walk
// begins, by the clock of its machine, because a broken stream brings no summary.
func ResumeFrames(partial, old *Reader) iter.Seq2[BaseFrame, error] {
	return func(yield func(BaseFrame, error) bool) {
		last := ""
		for b, err := range partial.BaseFrames(0) {
			if !yield(b, err) || err != nil {
				return
			}
			if n := len(b.Entries); n > 0 {
				last = b.Entries[n-1].Name()
			}
		}
		if old == nil {
			return
		}
		for b, err := range old.behind(last) {
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// behind yields the tree frames that lie wholly behind the entry called name, as
// base 1. The frames of a sliced file are held back until its entry is known.
func (r *Reader) behind(name string) iter.Seq2[BaseFrame, error] {
	return func(yield func(BaseFrame, error) bool) {
		skipping := name != ""
		var held []BaseFrame
		for b, err := range r.BaseFrames(1) {
			if err != nil {
				yield(b, err)
				return
			}
			if skipping && len(b.Entries) == 0 {
				held = append(held, b)
				continue
			}
			if skipping && ComparePaths(b.Entries[0].Name(), name) <= 0 {
				held = held[:0]
				continue
			}
			skipping = false
			for _, b := range append(held, b) {
				if !yield(b, nil) {
					return
				}
			}
			held = nil
		}
	}
}
