package webui

import (
	"fmt"
	"slices"
	"strings"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// The plot's size in the units of its viewBox.
const (
	plotWidth  = 640
	plotHeight = 120
	plotMargin = 4
)

// plot is the size of a site's backups over time.
type plot struct {
	Points      string // of an SVG polyline
	Area        string // of the polygon below it
	First, Last *sitekeepv1.Backup
	Most        int64
}

// newPlot draws backups, newest first; nil if there are too few for a line.
func newPlot(list []*sitekeepv1.Backup) *plot {
	if len(list) < 2 {
		return nil
	}
	p := &plot{First: list[len(list)-1], Last: list[0]}
	for _, b := range list {
		p.Most = max(p.Most, b.GetSize())
	}
	begin, end := p.First.GetCreatedAt().AsTime(), p.Last.GetCreatedAt().AsTime()
	length := max(end.Sub(begin).Seconds(), 1)
	var points []string
	for _, b := range slices.Backward(list) {
		x := b.GetCreatedAt().AsTime().Sub(begin).Seconds() / length * plotWidth
		y := plotHeight - float64(b.GetSize())/float64(max(p.Most, 1))*(plotHeight-2*plotMargin) - plotMargin
		points = append(points, fmt.Sprintf("%.1f,%.1f", x, y))
	}
	p.Points = strings.Join(points, " ")
	p.Area = fmt.Sprintf("0,%d %s %d,%d", plotHeight, p.Points, plotWidth, plotHeight)
	return p
}
