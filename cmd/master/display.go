package main

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"

	"github.com/sitekeep/sitekeep/internal/bytesize"
)

// view shows one task while it is followed.
type view interface {
	line(*sitekeepv1.LogLine)     // each line of the log once, in order
	progress(*sitekeepv1.Task)    // how far it is
	note(format string, a ...any) // what the command itself has to say
	end()
}

// display makes views; close ends it when all of them have ended.
type display interface {
	view(label string) view
	close()
}

const plainProgressEvery = 30 * time.Second

// newDisplay gives bars on a terminal and plain lines elsewhere. With brief, views show only what needs attention.
func (a *app) newDisplay(brief bool) display {
	if isTerminal(a.err) {
		return newBars(a.err, a.now, brief)
	}
	return &plainDisplay{w: a.err, now: a.now, brief: brief}
}

// besideBars is where results go while a display is open. Bars would wipe them out if both were on one terminal, so
// there they are held back until release.
func (a *app) besideBars() (out io.Writer, release func() error) {
	if !isTerminal(a.err) || !isTerminal(a.out) {
		return a.out, func() error { return nil }
	}
	var held bytes.Buffer
	return &held, func() error {
		_, err := held.WriteTo(a.out)
		return err
	}
}

// plainDisplay writes lines. Views of it may be used at the same time.
type plainDisplay struct {
	mu    sync.Mutex
	w     io.Writer
	now   func() time.Time
	brief bool
}

func (d *plainDisplay) view(label string) view {
	return &plainView{display: d, label: label, last: d.now()}
}

func (d *plainDisplay) close() {}

func (d *plainDisplay) print(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintln(d.w, text)
}

type plainView struct {
	display *plainDisplay
	label   string
	meter   meter
	last    time.Time // when progress was shown
}

func (v *plainView) line(l *sitekeepv1.LogLine) {
	if !v.display.brief || needsAttention(l) {
		v.display.print(logText(v.label, l))
	}
}

func (v *plainView) progress(t *sitekeepv1.Task) {
	now := v.display.now()
	p := t.GetProgress()
	v.meter.update(now, p)
	if v.display.brief || p.GetDoneBytes() == 0 || now.Sub(v.last) < plainProgressEvery {
		return
	}
	v.last = now
	v.display.print(plainLine(now, "progress", labelled(v.label, progressText(p, &v.meter))))
}

func (v *plainView) note(format string, args ...any) {
	v.display.print(plainLine(v.display.now(), "note", labelled(v.label, fmt.Sprintf(format, args...))))
}

func (v *plainView) end() {}

func needsAttention(l *sitekeepv1.LogLine) bool { return l.GetLevel() != "info" }

// logText is a line of a task's log as it is shown: the time in UTC, the level, the text.
func logText(label string, l *sitekeepv1.LogLine) string {
	return plainLine(l.GetTime().AsTime(), printable(l.GetLevel()), labelled(label, printable(l.GetText())))
}

func plainLine(at time.Time, level, text string) string {
	return fmt.Sprintf("%s %-8s %s", at.UTC().Format(time.RFC3339), level, text)
}

func labelled(label, text string) string {
	if label == "" {
		return text
	}
	return label + ": " + text
}

// progressText is how far a task is, for a line of its own.
func progressText(p *sitekeepv1.Progress, m *meter) string {
	text := bytesize.Text(p.GetDoneBytes())
	if total := p.GetTotalBytes(); total > 0 {
		text += fmt.Sprintf(" of %s (%d %%)", bytesize.Text(total), percent(p.GetDoneBytes(), total))
	}
	if rate := m.rateText(); rate != "" {
		text += ", " + rate
	}
	if eta := m.etaText(p); eta != "" {
		text += ", " + eta + " left"
	}
	return labelled(printable(p.GetStep()), text)
}

func percent(done, total int64) int64 {
	return int64(float64(min(done, total)) / float64(total) * 100)
}
