package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"

	"github.com/sitekeep/sitekeep/internal/bytesize"
)

// bars shows a bar for each task at the bottom of a terminal, and lines above them.
type bars struct {
	container *mpb.Progress
	w         io.Writer
	now       func() time.Time
	brief     bool
}

const (
	barRefresh = 150 * time.Millisecond
	stepWidth  = 24
	labelWidth = 32
)

func newBars(w io.Writer, now func() time.Time, brief bool) *bars {
	return &bars{container: mpb.New(mpb.WithOutput(w), mpb.WithRefreshRate(barRefresh)), w: w, now: now, brief: brief}
}

func (b *bars) view(label string) view {
	v := &barView{bars: b, label: label}
	v.bar = b.container.AddBar(0,
		mpb.PrependDecorators(decor.Any(v.left)),
		mpb.AppendDecorators(decor.Any(v.right)))
	return v
}

// close waits until the last lines are on the terminal.
func (b *bars) close() { b.container.Wait() }

type barView struct {
	bars  *bars
	bar   *mpb.Bar
	label string

	mu    sync.Mutex // the container draws from a goroutine of its own
	meter meter
	now   *sitekeepv1.Progress
}

func (v *barView) line(l *sitekeepv1.LogLine) {
	if !v.bars.brief || needsAttention(l) {
		v.print(logText(v.label, l))
	}
}

func (v *barView) note(format string, args ...any) {
	v.print(plainLine(v.bars.now(), "note", labelled(v.label, fmt.Sprintf(format, args...))))
}

// print puts a line above the bars.
func (v *barView) print(text string) { fmt.Fprintln(v.bars.container, text) }

func (v *barView) progress(t *sitekeepv1.Task) {
	p := t.GetProgress()
	v.mu.Lock()
	v.now = p
	v.meter.update(v.bars.now(), p)
	v.mu.Unlock()
	v.bar.SetTotal(max(p.GetTotalBytes(), p.GetDoneBytes()+1), false)
	v.bar.SetCurrent(p.GetDoneBytes())
}

func (v *barView) end() {
	v.bar.Abort(true)
	v.bar.Wait()
}

func (v *barView) left(decor.Statistics) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	text := clip(printable(v.now.GetStep()), stepWidth)
	if v.label != "" {
		text = clip(v.label, labelWidth) + " " + text
	}
	return text
}

func (v *barView) right(decor.Statistics) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	text := bytesize.Text(v.now.GetDoneBytes())
	if total := v.now.GetTotalBytes(); total > 0 {
		text += " / " + bytesize.Text(total)
	}
	if rate := v.meter.rateText(); rate != "" {
		text += "  " + rate
	}
	if eta := v.meter.etaText(v.now); eta != "" {
		text += "  ETA " + eta
	}
	return text
}

// clip shortens text to width characters.
func clip(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return text
}
