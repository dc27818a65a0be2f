package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/sitekeep/sitekeep/proto/sitekeep/v1"

	"github.com/sitekeep/sitekeep/internal/bytesize"
)

func TestPrintable(t *testing.T) {
	rows := map[string]string{
		"plain name": "plain name", "ümläut 日本": "ümläut 日本", "": "",
		"a\x1b[2Jb": `a\x1b[2Jb`, "a\nb\tc\rd": `a\nb\tc\x0dd`, "\x7f": `\x7f`, "\xff\xfe": `\xff\xfe`,
		"\u009b31m": `\u{9b}31m`, "\u202egnp.exe": `\u{202e}gnp.exe`, "\u2028": `\u{2028}`, "a\u00a0b": `a\u{a0}b`, "\ufffd": "\ufffd",
	}
	for text, want := range rows {
		if got := printable(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\x1b\xff\u202e")
	f.Fuzz(func(t *testing.T, text string) {
		shown := printable(text)
		if strings.ContainsFunc(shown, hostile) || !utf8.ValidString(shown) {
			t.Fatalf("%q is shown as %q", text, shown)
		}
	})
}

func TestBytesText(t *testing.T) {
	rows := map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1.0 MiB", 121 << 20: "121.0 MiB",
		5 << 30: "5.0 GiB", 1 << 62: "4.0 EiB", -2048: "-2.0 KiB"}
	for n, want := range rows {
		if got := bytesize.Text(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

func TestDurations(t *testing.T) {
	const day = 24 * time.Hour
	good := map[string]time.Duration{"24h": day, "0s": 0, "0": 0, "7d": 7 * day, "2w": 14 * day, "1w2d3h": 9*day + 3*time.Hour, "0d": 0,
		"90m": 90 * time.Minute, "1d30s": day + 30*time.Second, "106750d": 106750 * day}
	for text, want := range good {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%q is %v (%v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "5", "x", "-1h", "-1d", "1.5d", "d", "1d-1h", "1h1d", "2d1w", "106752d", "99999999999d", "2000000000w", "106750d48h", "9999999h"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q passes as %v", text, got)
		}
	}
}

func TestClockText(t *testing.T) {
	rows := map[time.Duration]string{0: "0:00", 7400 * time.Millisecond: "0:07", 12*time.Minute + 30*time.Second: "12:30", time.Hour + 2*time.Minute + 3*time.Second: "1:02:03"}
	for d, want := range rows {
		if got := clockText(d); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
	if localTime(nil) != "-" || localTime(&timestamppb.Timestamp{Nanos: -1}) != "-" {
		t.Error("a time that is not set must be a dash")
	}
}

func TestMeter(t *testing.T) {
	begin := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	const mib = 1 << 20
	var m meter
	at := func(seconds float64, step string, done int64) *pb.Progress {
		p := &pb.Progress{Step: step, DoneBytes: done * mib, TotalBytes: 100 * mib}
		m.update(begin.Add(time.Duration(seconds*float64(time.Second))), p)
		return p
	}
	p := at(0, "push", 10)
	if m.rateText() != "" || m.etaText(p) != "" {
		t.Errorf("one count gives a rate: %q, %q", m.rateText(), m.etaText(p))
	}
	p = at(1, "push", 20)
	if m.rateText() != "10.0 MiB/s" || m.etaText(p) != "0:08" {
		t.Errorf("10 MiB in a second are %q, %q left", m.rateText(), m.etaText(p))
	}
	at(1.01, "push", 90) // too soon to tell
	if m.rateText() != "10.0 MiB/s" {
		t.Errorf("a burst of 10 ms changed the rate to %q", m.rateText())
	}
	for s := 2.0; s <= 60; s++ {
		at(s, "push", 91)
	}
	if m.rate > mib/100 {
		t.Errorf("a minute of silence leaves %q", m.rateText())
	}
	at(61, "import", 50)
	if m.rateText() != "" {
		t.Errorf("a new step begins with %q", m.rateText())
	}
	at(62, "import", 40) // begun again
	if m.rate != 0 {
		t.Errorf("a count that falls back gives %q", m.rateText())
	}
	at(63, "import", 100)
	if got := m.etaText(&pb.Progress{DoneBytes: 1, TotalBytes: 0}); got != "" {
		t.Errorf("an unknown total has %q left", got)
	}
}
