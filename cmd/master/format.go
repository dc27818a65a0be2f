package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// printable makes text from elsewhere harmless on a terminal: whatever is not a graphic character or a plain space
// (control characters, marks that change the direction of writing, bytes that are no UTF-8) is shown as an escape.
func printable(text string) string {
	if !strings.ContainsFunc(text, hostile) && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < utf8.RuneSelf && hostile(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case hostile(r):
			fmt.Fprintf(&b, `\u{%x}`, r)
		default:
			b.WriteRune(r)
		}
		text = text[size:]
	}
	return b.String()
}

// escaped shows a name as "ls -b" does (GNU coreutils, quoting style "escape"): blanks and backslashes with a backslash,
// bytes that are no UTF-8 and characters that are not graphic in C's escapes and octal.
func escaped(name string) string {
	var b strings.Builder
	for len(name) > 0 {
		r, size := utf8.DecodeRuneInString(name)
		switch at := strings.IndexByte("\a\b\t\n\v\f\r \\", name[0]); {
		case at >= 0:
			b.WriteByte('\\')
			b.WriteByte("abtnvfr \\"[at])
		case r == utf8.RuneError && size == 1, hostile(r):
			for i := range size {
				fmt.Fprintf(&b, `\%03o`, name[i])
			}
		default:
			b.WriteRune(r)
		}
		name = name[size:]
	}
	return b.String()
}

func hostile(r rune) bool { return !unicode.IsPrint(r) }

// localTime gives a time in the local time zone; "-" if it is not set.
func localTime(ts *timestamppb.Timestamp) string {
	if !ts.IsValid() {
		return "-"
	}
	return ts.AsTime().Local().Format(time.DateTime)
}

// clockText gives a length of time as a clock does: 0:07, 12:30, 1:02:03.
func clockText(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// orDash stands for what is not there.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// yesNo is for tables.
func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// plural counts things: 1 backup, 2 backups.
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
