package wire

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
	archivev1 "github.com/sitekeep/sitekeep/proto/sitekeep/archive/v1"
)

const updateHint = "install the same version of Sitekeep on both sides"

// FrameToProto returns f as a message, which carries the entries encoded: they are
// on the wire, and not in the message's Entries. Data and the hashes are shared,
// not copied: f must stay as it is until the message was sent.
func FrameToProto(f *archive.Frame) *agentv1.Frame {
	p := &agentv1.Frame{
		Kind: archivev1.FrameKind(f.Kind), Data: f.Data, PlainLength: uint64(f.PlainLength),
		Hash: f.Hash[:], PlainHash: f.PlainHash[:], Sections: sectionsToProto(f.Sections),
	}
	putEntries(p, entriesOfFrame, f.Entries)
	return p
}

// FrameFromProto is the reverse; Data is shared with the message. A message
// that no writer of ours makes is an error of kind errs.Corrupt. Whether Data
// has its hash is left to those who use it.
func FrameFromProto(p *agentv1.Frame) (archive.Frame, error) {
	f := archive.Frame{Kind: archive.Kind(p.GetKind()), Data: p.GetData(), PlainLength: int64(p.GetPlainLength())}
	switch {
	case f.Kind < archive.KindTree || f.Kind > archive.KindGlue:
		return f, malformed("frame of kind %d", p.GetKind())
	case len(f.Data) == 0 || len(f.Data) > archive.MaxDataLength:
		return f, malformed("frame of %d bytes", len(f.Data))
	case f.PlainLength < 0 || f.PlainLength > archive.MaxPlainLength:
		return f, malformed("frame with a plain length of %d", p.GetPlainLength())
	}
	if err := setHash(&f.Hash, p.GetHash()); err != nil {
		return f, err
	}
	if err := setHash(&f.PlainHash, p.GetPlainHash()); err != nil {
		return f, err
	}
	var err error
	if f.Entries, err = entriesOf(p, entriesOfFrame, p.GetEntries()); err != nil {
		return f, err
	}
	f.Sections, err = sectionsFromProto(p.GetSections())
	return f, err
}

// ReferenceToProto returns r as a message, which carries the entries as FrameToProto's does.
func ReferenceToProto(r *archive.Reference) *agentv1.Reference {
	p := &agentv1.Reference{
		Kind: archivev1.FrameKind(r.Kind), Base: r.Base, First: r.First, Count: r.Count,
		Override: r.Override, Sections: sectionsToProto(r.Sections),
	}
	putEntries(p, entriesOfReference, r.Entries)
	return p
}

// ReferenceFromProto is the reverse, with errors like FrameFromProto's.
func ReferenceFromProto(p *agentv1.Reference) (archive.Reference, error) {
	r := archive.Reference{Kind: archive.Kind(p.GetKind()), Base: p.GetBase(), First: p.GetFirst(), Count: p.GetCount(), Override: p.GetOverride()}
	if r.Kind != archive.KindTree && r.Kind != archive.KindDump {
		return r, malformed("reference to frames of kind %d", p.GetKind())
	}
	if r.Count == 0 || r.First+r.Count < r.First {
		return r, malformed("reference to %d frames from %d on", r.Count, r.First)
	}
	var err error
	if r.Entries, err = entriesOf(p, entriesOfReference, p.GetEntries()); err != nil {
		return r, err
	}
	if r.Sections, err = sectionsFromProto(p.GetSections()); err != nil {
		return r, err
	}
	if r.Entries != nil && !r.Override {
		return r, malformed("reference with entries that override nothing")
	}
	if r.Count != 1 && (r.Override || r.Sections != nil) {
		return r, malformed("reference to %d frames with entries or sections of its own", r.Count)
	}
	return r, nil
}

// WarningToProto returns w as a message. Bytes of a path that are not UTF-8 become \xNN.
func WarningToProto(w *archive.Warning) *agentv1.Warning {
	return &agentv1.Warning{Subject: ValidText(w.Path), Text: ValidText(w.Detail), Kind: string(w.Kind)}
}

// WarningFromProto is the reverse, but for bytes that are not UTF-8.
func WarningFromProto(p *agentv1.Warning) archive.Warning {
	return archive.Warning{Kind: archive.WarningKind(p.GetKind()), Path: p.GetSubject(), Detail: p.GetText()}
}

// BaseFrameToProto returns f as a message, which carries the entries as FrameToProto's
// does. PlainHash is shared, not copied.
func BaseFrameToProto(f *archive.BaseFrame) *agentv1.BaseFrame {
	p := &agentv1.BaseFrame{Base: f.Base, Number: f.Number, PlainLength: uint64(f.PlainLength), PlainHash: f.PlainHash[:]}
	putEntries(p, entriesOfBaseFrame, f.Entries)
	return p
}

// BaseFrameFromProto is the reverse, with errors like FrameFromProto's.
func BaseFrameFromProto(p *agentv1.BaseFrame) (archive.BaseFrame, error) {
	f := archive.BaseFrame{Base: p.GetBase(), Number: p.GetNumber(), PlainLength: int64(p.GetPlainLength())}
	if f.PlainLength < 0 || f.PlainLength > archive.MaxPlainLength {
		return f, malformed("frame %d of the base with a plain length of %d", f.Number, p.GetPlainLength())
	}
	err := setHash(&f.PlainHash, p.GetPlainHash())
	if err == nil {
		f.Entries, err = entriesOf(p, entriesOfBaseFrame, p.GetEntries())
	}
	return f, err
}

// BaseDumpFrameToProto returns f as a message. PlainHash is shared, not copied.
func BaseDumpFrameToProto(f *archive.BaseDumpFrame) *agentv1.BaseFrame {
	return &agentv1.BaseFrame{Base: f.Base, Number: f.Number, PlainHash: f.PlainHash[:]}
}

// BaseDumpFrameFromProto is the reverse, with errors like FrameFromProto's.
func BaseDumpFrameFromProto(p *agentv1.BaseFrame) (archive.BaseDumpFrame, error) {
	f := archive.BaseDumpFrame{Base: p.GetBase(), Number: p.GetNumber()}
	return f, setHash(&f.PlainHash, p.GetPlainHash())
}

// SummaryToProto returns s as a message. DumpHash is shared, not copied.
func SummaryToProto(s *archive.Summary) *agentv1.StreamSummary {
	p := &agentv1.StreamSummary{
		Entries: s.Entries, Files: s.Files, Directories: s.Directories, Symlinks: s.Symlinks, Hardlinks: s.Hardlinks,
		Bytes: s.Bytes, Frames: s.Frames, References: s.References, PlainBytes: s.PlainBytes, SentBytes: s.SentBytes,
		ReadBytes: s.ReadBytes, Sections: s.Sections, Rows: s.Rows, Warnings: s.Warnings,
		StartedAt: TimeToProto(s.StartedAt), FinishedAt: TimeToProto(s.FinishedAt),
	}
	if !s.DumpHash.IsZero() {
		p.DumpHash = s.DumpHash[:]
	}
	return p
}

// SummaryFromProto is the reverse. A dump_hash that is none is taken for absent.
func SummaryFromProto(p *agentv1.StreamSummary) archive.Summary {
	s := archive.Summary{
		Totals: archive.Totals{
			Entries: p.GetEntries(), Files: p.GetFiles(), Directories: p.GetDirectories(),
			Symlinks: p.GetSymlinks(), Hardlinks: p.GetHardlinks(), Bytes: p.GetBytes(),
		},
		Frames: p.GetFrames(), References: p.GetReferences(), PlainBytes: p.GetPlainBytes(), SentBytes: p.GetSentBytes(),
		ReadBytes: p.GetReadBytes(), Sections: p.GetSections(), Rows: p.GetRows(), Warnings: p.GetWarnings(),
		StartedAt: TimeFromProto(p.GetStartedAt()), FinishedAt: TimeFromProto(p.GetFinishedAt()),
	}
	if len(p.GetDumpHash()) == len(s.DumpHash) {
		copy(s.DumpHash[:], p.GetDumpHash())
	}
	return s
}

// TimeToProto returns t as a message; the zero time is an absent one.
func TimeToProto(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// TimeFromProto is the reverse.
func TimeFromProto(p *timestamppb.Timestamp) time.Time {
	if p == nil {
		return time.Time{}
	}
	return p.AsTime()
}

// EntriesToProto returns entries as messages.
func EntriesToProto(entries []archive.Entry) []*archivev1.Entry {
	if len(entries) == 0 {
		return nil
	}
	out := make([]*archivev1.Entry, len(entries))
	for i := range entries {
		out[i] = archive.EntryToProto(&entries[i])
	}
	return out
}

// EntriesFromProto is the reverse, with errors like FrameFromProto's.
func EntriesFromProto(list []*archivev1.Entry) ([]archive.Entry, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out := make([]archive.Entry, len(list))
	for i, p := range list {
		var err error
		if out[i], err = archive.EntryFromProto(p); err != nil {
			return nil, malformed("%w", err)
		}
	}
	return out, nil
}

func sectionsToProto(sections []archive.Section) []*archivev1.Section {
	if len(sections) == 0 {
		return nil
	}
	out := make([]*archivev1.Section, len(sections))
	for i := range sections {
		out[i] = archive.SectionToProto(&sections[i])
	}
	return out
}

func sectionsFromProto(list []*archivev1.Section) ([]archive.Section, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out := make([]archive.Section, len(list))
	for i, p := range list {
		var err error
		if out[i], err = archive.SectionFromProto(p); err != nil {
			return nil, malformed("%w", err)
		}
	}
	return out, nil
}

func setHash(h *archive.Hash, b []byte) error {
	if len(b) != len(h) {
		return malformed("hash of %d bytes", len(b))
	}
	copy(h[:], b)
	return nil
}

func malformed(format string, args ...any) error {
	return errs.New(errs.Corrupt, updateHint, "malformed message: %w", fmt.Errorf(format, args...))
}

// ValidText makes what protobuf accepts as a string, and keeps what a person needs to find a file.
func ValidText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		if _, size := utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, `\x%02x`, s[i])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
