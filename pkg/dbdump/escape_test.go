package dbdump

import (
	"bytes"
	"strings"
	"testing"
)

// checkEscapes holds both ways of escaping, and of hexadecimal, against each other,
// with s alone in its array and with more bytes behind it.
func checkEscapes(t *testing.T, s []byte) {
	t.Helper()
	want, digits := string(appendLookedUp([]byte("x"), s)), string(appendHex(nil, s))
	behind := append(bytes.Clone(s), "'\\\x00\n quotes and more that are none of its business"...)
	for _, s := range [][]byte{bytes.Clone(s)[:len(s):len(s)], behind[:len(s)]} {
		if got := string(appendEscaped([]byte("x"), s)); got != want {
			t.Fatalf("%q is escaped as %q, want %q", s, got, want)
		}
		if got := string(appendHex([]byte{}, s)); got != digits || got != strings.ToUpper(got) || len(got) != 2*len(s) {
			t.Fatalf("%q has the digits %q, want %q", s, got, digits)
		}
	}
	for i, c := range s {
		if digits[2*i] != "0123456789ABCDEF"[c>>4] || digits[2*i+1] != "0123456789ABCDEF"[c&15] {
			t.Fatalf("digits %q of %q", digits, s)
		}
	}
}

func FuzzEscape(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("plain text of more than sixteen bytes"))
	f.Add([]byte("\x00\n\r\x1a\"'\\\x00\n\r\x1a\"'\\\x00\n\r\x1a\"'\\"))
	f.Fuzz(checkEscapes)
}

// Every byte at every place of every length up to three blocks, among plain bytes and among special ones.
func TestEscapeBlocks(t *testing.T) {
	for _, filler := range []byte{'a', '\'', 0xff} {
		for n := range 3*16 + 2 {
			s := bytes.Repeat([]byte{filler}, n)
			checkEscapes(t, s)
			for at := range n {
				for c := range 256 {
					s[at] = byte(c)
					if got, want := appendEscaped(nil, s), appendLookedUp(nil, s); !bytes.Equal(got, want) {
						t.Fatalf("%q is escaped as %q, want %q", s, got, want)
					}
				}
				s[at] = filler
			}
		}
	}
}

// A buffer that is nearly full grows; what is behind the text in a larger one is not relied on.
func TestEscapeRoom(t *testing.T) {
	s := bytes.Repeat([]byte("'"), 100)
	for room := range 250 {
		b := append(make([]byte, 0, 3+room), "abc"...)
		if got := appendEscaped(b, s); string(got) != "abc"+strings.Repeat(`\'`, 100) {
			t.Fatalf("room for %d bytes: %q", room, got)
		}
	}
}

func BenchmarkEscape(b *testing.B) {
	for name, s := range map[string]string{
		"short": "4711:3", "name": "a:3:{s:5:\"width\";i:12;}", "text": strings.Repeat("The quick brown fox isn't \"lazy\", says the dog who sleeps.\n", 20),
		"plain": strings.Repeat("nothing in it that is special ", 40),
	} {
		text, buf := []byte(s), make([]byte, 0, 2*len(s)+16)
		for how, f := range map[string]func(b, s []byte) []byte{"looked-up": appendLookedUp, "appended": appendEscaped} {
			b.Run(name+"/"+how, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					f(buf, text)
				}
			})
		}
	}
}
