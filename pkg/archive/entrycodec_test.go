package archive

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	archivev1 "github.com/sitekeep/sitekeep/proto/sitekeep/archive/v1"
)

// someEntry has each field at random: empty, small, or as large as it may be.
func someEntry(r *rand.Rand) Entry {
	text := func() string {
		b := make([]byte, []int{0, 0, 3, 40, 300}[r.IntN(5)])
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return string(b)
	}
	number := func() uint64 { return []uint64{0, 1, 127, 128, r.Uint64() >> 1}[r.IntN(5)] }
	at := func() time.Time {
		return []time.Time{time.Unix(0, 0), time.Unix(-3, 5), time.Unix(1_790_000_000, 999_999_999), time.Unix(1, 0)}[r.IntN(4)].UTC()
	}
	e := Entry{
		Path: "./" + text(), SitePath: text(), Type: EntryType(1 + r.IntN(4)), Mode: r.Uint32N(0o10000),
		UID: uint32(number()), GID: uint32(number()), Uname: text(), Gname: text(), Size: int64(number()),
		ModTime: at(), Inode: number(), Device: number(), LinkTarget: text(), Sparse: r.IntN(2) == 0,
		Offset: r.Int64N(MaxPlainLength + 1), Span: number(),
	}
	if e.ChangeTime = at(); e.ChangeTime.Unix() == 0 {
		e.ChangeTime = time.Time{}
	}
	for range r.IntN(3) {
		e.Xattrs = append(e.Xattrs, Xattr{Name: text(), Value: text()})
	}
	if r.IntN(2) == 0 {
		e.ContentHash[r.IntN(len(e.ContentHash))] = 1
	}
	return e
}

// TestEntriesAreEncodedAsProtobufDoes in both directions: a digest is over these bytes.
func TestEntriesAreEncodedAsProtobufDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var decoder EntryDecoder
	got := someEntry(r)
	for range 2000 {
		e := someEntry(r)
		want := must[[]byte](t)(proto.MarshalOptions{Deterministic: true}.Marshal(EntryToProto(&e)))
		if b := AppendEntry([]byte("x"), &e); !bytes.Equal(b[1:], want) {
			t.Fatalf("%+v\nis encoded as %x\nand not as    %x", e, b[1:], want)
		}
		buf := bytes.Clone(want)
		check(t, decoder.Decode(buf, &got))
		clear(buf)
		if !reflect.DeepEqual(got, e) {
			t.Fatalf("%+v\ncomes back as %+v", e, got)
		}
	}
}

// sameDecoding compares what the decoder makes of b with what protobuf does.
func sameDecoding(t *testing.T, b []byte) {
	var p archivev1.Entry
	want, wantErr := Entry{}, proto.Unmarshal(b, &p)
	if wantErr == nil {
		want, wantErr = EntryFromProto(&p)
	}
	var got Entry
	err := new(EntryDecoder).Decode(b, &got)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%x: %v, and protobuf: %v", b, err, wantErr)
	}
	if err == nil && !reflect.DeepEqual(got, want) {
		t.Fatalf("%x:\n%+v, and protobuf:\n%+v", b, got, want)
	}
}

// TestDamagedEntriesAreDecodedAsProtobufDoes flips and cuts; fields come twice, or with another type.
func TestDamagedEntriesAreDecodedAsProtobufDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		e, other := someEntry(r), someEntry(r)
		b := AppendEntry(AppendEntry(nil, &e), &other)
		for range r.IntN(4) {
			b[r.IntN(len(b))] = byte(r.Uint32())
		}
		sameDecoding(t, b[:r.IntN(len(b)+1)])
	}
}

func FuzzEntry(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 8 {
		e := someEntry(r)
		f.Add(AppendEntry(nil, &e))
	}
	f.Fuzz(func(t *testing.T, b []byte) { sameDecoding(t, b) })
}

// TestEntriesCostOneAllocation is why the codec is there: the path is all that is made anew.
func TestEntriesCostOneAllocation(t *testing.T) {
	e := Entry{Path: "./a/b.php", Type: TypeRegular, Mode: 0o644, Uname: "www-data", Gname: "www-data", Size: 12, ModTime: time.Unix(1, 2).UTC()}
	var decoder EntryDecoder
	var b []byte
	var got Entry
	allocs := testing.AllocsPerRun(100, func() {
		b = AppendEntry(b[:0], &e)
		if decoder.Decode(b, &got) != nil {
			t.Error("it cannot be decoded")
		}
	})
	if allocs > 1 {
		t.Errorf("%v allocations", allocs)
	}
}

// TestIndexNamesEntriesThatItCannotDecode is what an operator sees of a damaged index.
func TestIndexNamesEntriesThatItCannotDecode(t *testing.T) {
	e := Entry{Path: "./a", Type: TypeRegular, Span: 3}
	for name, rec := range map[string]record{
		"span": {frame: 2, body: AppendEntry(nil, &e)}, "garbage": {body: []byte{0xff}}, "no path": {body: AppendEntry(nil, &Entry{Type: TypeRegular})},
	} {
		var corrupt *CorruptError
		if err := rec.entry(new(EntryDecoder), &e); !errors.As(err, &corrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
