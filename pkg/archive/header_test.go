package archive

import (
	"archive/tar"
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestHeadersAreReadBack writes headers of random entries and reads them with
// Go's tar.
func TestHeadersAreReadBack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 3000 {
		e := randomEntry(r)
		f := Formats()[r.IntN(2)]
		b := appendHeader(nil, &e, e.Size, f)
		if len(b)%blockSize != 0 {
			t.Fatalf("%+v: %d bytes of header", e, len(b))
		}
		h, err := tar.NewReader(bytes.NewReader(b)).Next()
		check(t, err)
		if diff := compareHeader(h, &e); diff != "" {
			t.Fatalf("%s of %+v comes back in %+v", diff, e, h)
		}
		if _, site := readComment(h.PAXRecords["comment"], e.Type, uint32(h.Mode)); site != e.SitePath {
			t.Fatalf("comment is %q", h.PAXRecords["comment"])
		}
		hardened := f == TarGzip && e.Type == TypeDirectory && e.Mode&ownerWrite == 0
		if hardened != (h.Mode != int64(e.Mode)) || hardened && h.Mode != int64(e.Mode|ownerWrite) {
			t.Fatalf("in a %s %+v has mode %o", f, e, h.Mode)
		}
	}
}

func randomEntry(r *rand.Rand) Entry {
	e := Entry{
		Path: "./" + randomPath(r), Type: EntryType(1 + r.IntN(4)), Mode: r.Uint32N(0o10000),
		UID: r.Uint32() >> r.IntN(32), GID: r.Uint32() >> r.IntN(32), Uname: randomName(r, 40), Gname: randomName(r, 40),
		ModTime: time.Unix(r.Int64N(1<<35)-1<<33, r.Int64N(1e9)*int64(r.IntN(2))).UTC(),
	}
	switch e.Type {
	case TypeRegular:
		e.Size = r.Int64() >> (1 + r.IntN(62))
	case TypeSymlink, TypeHardlink:
		e.LinkTarget = randomPath(r)
	}
	if r.IntN(8) == 0 {
		e.SitePath = "./database.sql"
	}
	if r.IntN(4) == 0 {
		e.Xattrs = []Xattr{{"user.a", randomName(r, 300)}, {"user.b", "\x00\n=x"}}
	}
	return e
}

func randomPath(r *rand.Rand) string {
	parts := make([]string, 1+r.IntN(5))
	for i := range parts {
		parts[i] = "x" + randomName(r, 120)
	}
	return strings.Join(parts, "/")
}

// randomName returns any bytes that a name may have; many are not UTF-8.
func randomName(r *rand.Rand, most int) string {
	b := make([]byte, r.IntN(most))
	alphabet := [][2]int{{'a', 26}, {1, 255}}[r.IntN(2)]
	for i := range b {
		if b[i] = byte(alphabet[0] + r.IntN(alphabet[1])); b[i] == '/' {
			b[i] = '_'
		}
	}
	return string(b)
}

// TestLongNames stand where FORMAT.md says.
func TestLongNames(t *testing.T) {
	for name, want := range map[string]string{
		"./" + strings.Repeat("a", 98):                                  "0",
		"./" + strings.Repeat("\xff", 98):                               "0",
		"./" + strings.Repeat("a", 100) + "/" + strings.Repeat("b", 90): "0",
		"./" + strings.Repeat("a", 101):                                 "x0",
		"./" + strings.Repeat("\xff", 101):                              "L0",
		"./" + strings.Repeat("ü", 200):                                 "x0",
		"./" + strings.Repeat("a/", 130):                                "x0",
	} {
		e := Entry{Path: strings.TrimSuffix(name, "/"), Type: TypeRegular, ModTime: time.Unix(1, 0)}
		b := appendHeader(nil, &e, 0, TarZstd)
		flags := ""
		for at := 0; at < len(b); at += blockSize {
			if string(b[at+257:at+262]) == "ustar" {
				flags += string(b[at+156])
			}
		}
		if flags != want {
			t.Errorf("%.20s… of %d bytes has headers %q", name, len(name), flags)
		}
	}
}

// TestPaxTime writes seconds and fractions on both sides of 1970.
func TestPaxTime(t *testing.T) {
	for want, at := range map[string]time.Time{
		"0": time.Unix(0, 0), "1": time.Unix(1, 0), "-1": time.Unix(-1, 0), "0.5": time.Unix(0, 5e8), "-0.5": time.Unix(-1, 5e8),
		"-1.25": time.Unix(-2, 75e7), "1.000000001": time.Unix(1, 1), "-0.000000001": time.Unix(-1, 999999999),
		"8589934592": time.Unix(1<<33, 0),
	} {
		if got := paxTime(at.Unix(), at.Nanosecond()); got != want {
			t.Errorf("%v is %s, not %s", at, got, want)
		}
	}
}

// TestPaxLengths counts a record's own length, also where that has one digit more.
func TestPaxLengths(t *testing.T) {
	for n := range 1100 {
		var p paxRecords
		p.add("k", strings.Repeat("v", n))
		length, _, _ := strings.Cut(string(p), " ")
		if itoa(int64(len(p))) != length {
			t.Fatalf("a record of %d bytes says %s", len(p), length)
		}
	}
}

// TestACLText turns the kernel's ACL into acl(5)'s words.
func TestACLText(t *testing.T) {
	if got, ok := aclText(string(testACL())); !ok || got != "user::rw-,user:33:r--,group::r--,mask::r--,other::r--" {
		t.Errorf("%q, %v", got, ok)
	}
	for _, bad := range []string{"", "\x01\x00\x00\x00", "\x02\x00\x00\x00abc", "\x02\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00"} {
		if _, ok := aclText(bad); ok {
			t.Errorf("%q is an ACL", bad)
		}
	}
}

// TestCommentsThatAreNotOurs change no mode: those of anything but a directory, and those that do not fit the header's.
func TestCommentsThatAreNotOurs(t *testing.T) {
	for _, c := range []struct {
		text   string
		kind   EntryType
		header uint32
		mode   uint32
		site   string
	}{
		{"SITEKEEP.mode=0555", TypeDirectory, 0o755, 0o555, ""},
		{"SITEKEEP.mode=2555 SITEKEEP.path=./a b", TypeDirectory, 0o2755, 0o2555, "./a b"},
		{"SITEKEEP.mode=0555", TypeRegular, 0o755, 0o755, ""},
		{"SITEKEEP.mode=4555", TypeDirectory, 0o755, 0o755, ""},
		{"SITEKEEP.mode=0777", TypeDirectory, 0o755, 0o755, ""},
		{"SITEKEEP.mode=x", TypeDirectory, 0o755, 0o755, ""},
		{"SITEKEEP.mode=77777", TypeDirectory, 0o755, 0o755, ""},
		{"a word", TypeDirectory, 0o755, 0o755, ""},
		{"", TypeDirectory, 0o555, 0o555, ""},
	} {
		if mode, site := readComment(c.text, c.kind, c.header); mode != c.mode || site != c.site {
			t.Errorf("%q: %o %q", c.text, mode, site)
		}
	}
}
