package main

import (
	"fmt"
	"slices"
)

// goal is a number that should not be larger than a limit.
type goal struct {
	text  string
	limit float64
	value func(r *row) (float64, error)
}

// ratio wants our figure against a peer's.
func ratio(figure, ours, peer string, limit float64) goal {
	return goal{
		text: fmt.Sprintf("%s, %s to %s", figure, ours, peer), limit: limit,
		value: func(r *row) (float64, error) {
			mine, err := r.median(ours, figure)
			if err != nil {
				return 0, err
			}
			theirs, err := r.median(peer, figure)
			if err == nil && theirs == 0 {
				err = fmt.Errorf("%s of %s is 0", figure, peer)
			}
			return mine / theirs, err
		},
	}
}

// within wants a figure itself.
func within(figure, side string, limit float64) goal {
	return goal{
		text: fmt.Sprintf("%s of %s", figure, side), limit: limit,
		value: func(r *row) (float64, error) { return r.median(side, figure) },
	}
}

// beyond wants what one side has more than another of a figure.
func beyond(figure, more, less string, limit float64) goal {
	return goal{
		text: fmt.Sprintf("%s, %s beyond %s", figure, more, less), limit: limit,
		value: func(r *row) (float64, error) {
			a, err := r.median(more, figure)
			if err != nil {
				return 0, err
			}
			b, err := r.median(less, figure)
			return a - b, err
		},
	}
}

// median is that of a side's figure; a figure that no run had is an error.
func (r *row) median(side, figure string) (float64, error) {
	values := r.values(side, figure)
	if len(values) == 0 {
		return 0, fmt.Errorf("no %s of %s was measured", figure, side)
	}
	return median(values), nil
}

func (r *row) values(side, figure string) []float64 {
	var values []float64
	for _, s := range r.results[side] {
		if v, ok := s[figure]; ok {
			values = append(values, v)
		}
	}
	return values
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// named adds to the goal's text under which condition it is one.
func (g goal) named(condition string) goal {
	g.text += " (" + condition + ")"
	return g
}
