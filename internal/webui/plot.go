package webui

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// The plot's size in the units of its viewBox. It is stretched to its place: nothing in it is text.
const (
	plotWidth  = 640
	plotHeight = 160
)

// plot is the size of a site's backups over time.
type plot struct {
	Points      string // of an SVG polyline
	Area        string // of the polygon below it
	Dots        []dot
	First, Last *sitekeepv1.Backup
	Least, Most int64   // bytes
	Ticks       []int64 // of the axis, from the top
}

// dot is one backup.
type dot struct {
	X, Y   string
	Backup *sitekeepv1.Backup
}

// newPlot draws backups, newest first; nil if there are too few for a line.
func newPlot(list []*sitekeepv1.Backup) *plot {
	if len(list) < 2 {
		return nil
	}
	p := &plot{First: list[len(list)-1], Last: list[0], Least: math.MaxInt64}
	for _, b := range list {
		p.Least, p.Most = min(p.Least, b.GetSize()), max(p.Most, b.GetSize())
	}
	top := niceTop(p.Most)
	p.Ticks = []int64{top, top / 2, 0}
	var points []string
	for _, b := range slices.Backward(list) {
		d := dot{X: p.across(b.GetCreatedAt().AsTime()), Y: fmt.Sprintf("%.1f", plotHeight-float64(b.GetSize())/float64(top)*plotHeight), Backup: b}
		p.Dots = append(p.Dots, d)
		points = append(points, d.X+","+d.Y)
	}
	p.Points = strings.Join(points, " ")
	p.Area = fmt.Sprintf("0,%d %s %d,%d", plotHeight, p.Points, plotWidth, plotHeight)
	return p
}

// across is where a moment lies between the first backup and the last.
func (p *plot) across(at time.Time) string {
	begin := p.First.GetCreatedAt().AsTime()
	length := max(p.Last.GetCreatedAt().AsTime().Sub(begin).Seconds(), 1)
	return fmt.Sprintf("%.1f", at.Sub(begin).Seconds()/length*plotWidth)
}

// niceTop is the end of an axis for sizes up to most: 1, 2, 4, 6 or 8 times a power of ten of a binary unit.
func niceTop(most int64) int64 {
	unit := int64(1)
	for most/unit >= 1024 {
		unit *= 1024
	}
	for power := unit; ; power *= 10 {
		for _, n := range []int64{1, 2, 4, 6, 8} {
			if n*power >= most && n*power > 0 {
				return n * power
			}
		}
	}
}
