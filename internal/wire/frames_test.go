package wire_test

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
	archivev1 "github.com/sitekeep/sitekeep/proto/sitekeep/archive/v1"
)

func sampleEntry(path string) archive.Entry {
	return archive.Entry{
		Path: path, SitePath: "./x\xff", Type: archive.TypeRegular, Mode: 0o4755, UID: 1, GID: 2, Uname: "u", Gname: "g",
		Size: 7, ModTime: time.Unix(-5, 6).UTC(), ChangeTime: time.Unix(7, 8).UTC(), Inode: 9, Device: 10,
		Xattrs: []archive.Xattr{{Name: "user.a", Value: "\x00"}}, ContentHash: sha256.Sum256([]byte("c")), Sparse: true, Offset: 512,
	}
}

func sampleSection() archive.Section {
	return archive.Section{Kind: archive.SectionData, Name: "wp_\xfe", Offset: 1, Length: 2, Rows: 3}
}

func sampleFrame() archive.Frame {
	return archive.Frame{
		Kind: archive.KindTree, Data: []byte("data"), PlainLength: 99,
		Hash: sha256.Sum256([]byte("data")), PlainHash: sha256.Sum256([]byte("plain")),
		Entries: []archive.Entry{sampleEntry("./a\xff"), sampleEntry("./b")}, Sections: []archive.Section{sampleSection()},
	}
}

// through sends a message as gRPC would, so that what protobuf refuses or drops is seen.
func through[M proto.Message](t *testing.T, in, out M) M {
	t.Helper()
	b, err := proto.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(b, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("not what was sent (-sent +received):\n%s", diff)
	}
}

func TestFrameRoundTrip(t *testing.T) {
	for _, f := range []archive.Frame{sampleFrame(), {Kind: archive.KindGlue, Data: []byte{1}, Hash: sha256.Sum256([]byte{1})}} {
		got, err := wire.FrameFromProto(through(t, wire.FrameToProto(&f), &agentv1.Frame{}))
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, f)
	}
}

func TestFrameSharesData(t *testing.T) {
	f := sampleFrame()
	if m := wire.FrameToProto(&f); &m.Data[0] != &f.Data[0] {
		t.Error("the data was copied on the way out")
	}
	m := wire.FrameToProto(&f)
	got, err := wire.FrameFromProto(m)
	if err != nil {
		t.Fatal(err)
	}
	if &got.Data[0] != &m.Data[0] {
		t.Error("the data was copied on the way in")
	}
}

func TestReferenceRoundTrip(t *testing.T) {
	for _, r := range []archive.Reference{
		{Kind: archive.KindTree, Base: 1, First: 5, Count: 70},
		{Kind: archive.KindTree, First: 5, Count: 1, Override: true, Entries: []archive.Entry{sampleEntry("./a")}},
		{Kind: archive.KindDump, Base: 2, Count: 1, Sections: []archive.Section{sampleSection()}},
		{Kind: archive.KindTree, First: 3, Count: 1, Override: true},
	} {
		got, err := wire.ReferenceFromProto(through(t, wire.ReferenceToProto(&r), &agentv1.Reference{}))
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, r)
	}
}

func TestBaseRoundTrip(t *testing.T) {
	tree := archive.BaseFrame{Base: 1, Number: 2, PlainLength: 3, PlainHash: sha256.Sum256(nil), Entries: []archive.Entry{sampleEntry("./a")}}
	gotTree, err := wire.BaseFrameFromProto(through(t, wire.BaseFrameToProto(&tree), &agentv1.BaseFrame{}))
	if err != nil {
		t.Fatal(err)
	}
	same(t, gotTree, tree)
	dump := archive.BaseDumpFrame{Base: 1, Number: 2, PlainHash: sha256.Sum256(nil)}
	gotDump, err := wire.BaseDumpFrameFromProto(through(t, wire.BaseDumpFrameToProto(&dump), &agentv1.BaseFrame{}))
	if err != nil {
		t.Fatal(err)
	}
	same(t, gotDump, dump)
}

func TestSummaryRoundTrip(t *testing.T) {
	full := archive.Summary{
		Totals: archive.Totals{Entries: 1, Files: 2, Directories: 3, Symlinks: 4, Hardlinks: 5, Bytes: 6},
		Frames: 7, References: 8, PlainBytes: 9, SentBytes: 10, ReadBytes: 11, Sections: 12, Rows: 13, Warnings: 14,
		DumpHash:  sha256.Sum256([]byte("d")),
		StartedAt: time.Unix(15, 16).UTC(), FinishedAt: time.Unix(17, 18).UTC(),
	}
	for _, s := range []archive.Summary{full, {}} {
		same(t, wire.SummaryFromProto(through(t, wire.SummaryToProto(&s), &agentv1.StreamSummary{})), s)
	}
}

func TestWarningRoundTrip(t *testing.T) {
	w := archive.Warning{Kind: archive.WarnVanished, Path: "./über", Detail: "gone"}
	same(t, wire.WarningFromProto(through(t, wire.WarningToProto(&w), &agentv1.Warning{})), w)
	odd := archive.Warning{Kind: archive.WarnChanged, Path: "./a\xffb\uFFFD", Detail: "\xfe"}
	got := wire.WarningFromProto(through(t, wire.WarningToProto(&odd), &agentv1.Warning{}))
	same(t, got, archive.Warning{Kind: archive.WarnChanged, Path: "./a\\xffb\uFFFD", Detail: `\xfe`})
}

func TestMalformedMessages(t *testing.T) {
	spoil := func(f func(*agentv1.Frame)) error {
		good := sampleFrame()
		m := wire.FrameToProto(&good)
		f(m)
		_, err := wire.FrameFromProto(m)
		return err
	}
	reference := func(r *agentv1.Reference) error { _, err := wire.ReferenceFromProto(r); return err }
	base := func(b *agentv1.BaseFrame) error { _, err := wire.BaseFrameFromProto(b); return err }
	hash := make([]byte, sha256.Size)
	for i, err := range []error{
		spoil(func(m *agentv1.Frame) { m.Kind = 0 }),
		spoil(func(m *agentv1.Frame) { m.Kind = 99 }),
		spoil(func(m *agentv1.Frame) { m.Data = nil }),
		spoil(func(m *agentv1.Frame) { m.Data = make([]byte, archive.MaxDataLength+1) }),
		spoil(func(m *agentv1.Frame) { m.PlainLength = archive.MaxPlainLength + 1 }),
		spoil(func(m *agentv1.Frame) { m.PlainLength = 1 << 63 }),
		spoil(func(m *agentv1.Frame) { m.Hash = m.Hash[:31] }),
		spoil(func(m *agentv1.Frame) { m.PlainHash = nil }),
		spoil(func(m *agentv1.Frame) { m.Entries = []*archivev1.Entry{{Path: []byte("x")}} }),
		spoil(func(m *agentv1.Frame) { m.Sections[0].Length = 1 << 63 }),
		reference(&agentv1.Reference{}),
		reference(&agentv1.Reference{Kind: archivev1.FrameKind_FRAME_KIND_TREE, Count: 2, Override: true}),
		reference(&agentv1.Reference{Kind: archivev1.FrameKind_FRAME_KIND_TREE}),
		reference(&agentv1.Reference{Kind: archivev1.FrameKind_FRAME_KIND_GLUE, Count: 1}),
		reference(&agentv1.Reference{Kind: archivev1.FrameKind_FRAME_KIND_TREE, First: 1<<64 - 1, Count: 2}),
		reference(&agentv1.Reference{Kind: archivev1.FrameKind_FRAME_KIND_DUMP, Count: 2, Sections: []*archivev1.Section{{}}}),
		base(&agentv1.BaseFrame{PlainHash: hash[:1]}),
		base(&agentv1.BaseFrame{PlainHash: hash, PlainLength: 1 << 40}),
		base(&agentv1.BaseFrame{PlainHash: hash, Entries: []*archivev1.Entry{{}}}),
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			if !errs.Is(err, errs.Corrupt) {
				t.Errorf("error = %v, want one of the kind corrupt", err)
			}
		})
	}
}
