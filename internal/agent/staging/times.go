package staging

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// dirTime is when a directory was last changed, and where it is after a swap.
type dirTime struct {
	in *os.Root
	at time.Time
}

// swapTimes notes the times of both directories. XFS gives a directory another
// one when it gets another parent; what is inside has not changed.
func (a *area) swapTimes() ([]dirTime, error) {
	var times []dirTime
	for _, way := range [][2]*os.Root{{a.parent, a.dir}, {a.dir, a.parent}} {
		info, err := way[0].Lstat(a.site.Base())
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, fmt.Errorf("exchange of %s: %w", a.site.Root, err)
		default:
			times = append(times, dirTime{in: way[1], at: info.ModTime()})
		}
	}
	return times, nil
}

// setTimes gives swapped directories back the times that they have lost.
func (a *area) setTimes(times []dirTime) error {
	for _, t := range times {
		info, err := t.in.Lstat(a.site.Base())
		if err == nil && !info.ModTime().Equal(t.at) {
			err = t.in.Chtimes(a.site.Base(), time.Time{}, t.at)
		}
		if err != nil {
			return fmt.Errorf("exchange of %s: bring back its time: %w", a.site.Root, err)
		}
	}
	return nil
}
