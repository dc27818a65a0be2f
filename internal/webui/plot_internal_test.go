package webui

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func TestPlot(t *testing.T) {
	at := func(day int, size int64) *sitekeepv1.Backup {
		return &sitekeepv1.Backup{CreatedAt: timestamppb.New(time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC)), Size: size}
	}
	if newPlot([]*sitekeepv1.Backup{at(1, 5)}) != nil {
		t.Error("one backup makes no line")
	}
	p := newPlot([]*sitekeepv1.Backup{at(11, 6<<20), at(6, 3<<20), at(1, 0)})
	if p.Points != "0.0,160.0 320.0,80.0 640.0,0.0" || p.Area != "0,160 0.0,160.0 320.0,80.0 640.0,0.0 640,160" || p.Least != 0 || p.Most != 6<<20 || len(p.Dots) != 3 {
		t.Errorf("%+v", p)
	}
	if p := newPlot([]*sitekeepv1.Backup{at(1, 0), at(1, 0)}); p.Points != "0.0,160.0 0.0,160.0" {
		t.Errorf("nothing, twice at once: %+v", p)
	}
	for most, top := range map[int64]int64{0: 1, 1: 1, 3: 4, 7: 8, 9: 10, 1023: 2000, 1024: 1024, 15<<20 + 1: 20 << 20, 700 << 30: 800 << 30} {
		if got := niceTop(most); got != top {
			t.Errorf("the axis for %d ends at %d, want %d", most, got, top)
		}
	}
}

func TestLengths(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "7d": 7 * day, " 36h ": 36 * time.Hour, "1h30m": 90 * time.Minute, "10m": 10 * time.Minute, "20s": 20 * time.Second, "1h0m10s": time.Hour + 10*time.Second} {
		d, err := parseLength(text)
		if err != nil || d.AsDuration() != want {
			t.Errorf("%q: %v, %v", text, d.AsDuration(), err)
		}
		if back, err := parseLength(lengthText(durationpb.New(want))); err != nil || back.AsDuration() != want {
			t.Errorf("%v is written %q", want, lengthText(durationpb.New(want)))
		}
	}
	if got := lengthText(durationpb.New(36 * time.Hour)); got != "36h" {
		t.Errorf("36 hours are %q", got)
	}
	for _, text := range []string{"x", "7", "d", "-d", "999999999999999999999d", "7d7d"} {
		if d, err := parseLength(text); err == nil {
			t.Errorf("%q is %v", text, d.AsDuration())
		}
	}
}
