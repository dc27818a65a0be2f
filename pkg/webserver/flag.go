package webserver

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	flagSuffix = ".maintenance"
	passMark   = ".maintenance-"
	flagTemp   = ".maintenance.sitekeep-tmp"
)

// flag is what stands in NAME.maintenance, as JSON. A file that is not such
// JSON was made by hand and is held by ByHand.
type flag struct {
	// Pass is what a probe sends to see the site; a file NAME.maintenance-PASS
	// stands for it, because the web server can test for files only.
	Pass    string   `json:"pass"`
	Holders []holder `json:"holders"`
	// Switch is what NoteSwitch was given.
	Switch json.RawMessage `json:"switch,omitempty"`
}

type holder struct {
	Owner string    `json:"owner"`
	Begun time.Time `json:"begun"`
	// Until is zero for a lease without end.
	Until time.Time `json:"until,omitzero"`
}

func (f *flag) holds(owner string) bool {
	return slices.ContainsFunc(f.Holders, func(h holder) bool { return h.Owner == owner })
}

// hold adds an owner, or changes the end of its lease.
func (f *flag) hold(owner string, now, until time.Time) {
	for i := range f.Holders {
		if f.Holders[i].Owner == owner {
			f.Holders[i].Until = until
			return
		}
	}
	f.Holders = append(f.Holders, holder{Owner: owner, Begun: now.UTC(), Until: until})
}

// release drops the holders that match and returns them.
func (f *flag) release(match func(holder) bool) (dropped []holder) {
	f.Holders = slices.DeleteFunc(f.Holders, func(h holder) bool {
		if match(h) {
			dropped = append(dropped, h)
			return true
		}
		return false
	})
	return dropped
}

// loadFlag reads a site's flag; one that is not there is fs.ErrNotExist.
func loadFlag(d *vhostDir, name string) (flag, error) {
	data, err := d.read(name + flagSuffix)
	if err != nil {
		return flag{}, err
	}
	var f flag
	if err := json.Unmarshal(data, &f); err != nil || !validPass(f.Pass) || len(f.Holders) == 0 {
		return flag{Holders: []holder{{Owner: ByHand}}}, nil
	}
	return f, nil
}

func validPass(pass string) bool {
	return len(pass) >= 20 && len(pass) <= 64 && tokenPattern.MatchString(pass)
}

// store writes the flag, or removes it when it has no holder left. The pass
// comes before the flag and goes after it.
func (f *flag) store(d *vhostDir, name string) error {
	if len(f.Holders) == 0 {
		return errors.Join(d.remove(name+flagSuffix), d.sync(), dropPasses(d, name))
	}
	if f.Pass == "" {
		f.Pass = rand.Text()
	}
	if err := d.replace(name+passMark+f.Pass, name+flagTemp, nil, flagMode); err != nil {
		return err
	}
	data, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	return d.replace(name+flagSuffix, name+flagTemp, append(data, '\n'), flagMode)
}

// dropPasses removes the passes of a site that is out of maintenance, those
// of an interrupted call too.
func dropPasses(d *vhostDir, name string) error {
	files, err := d.names()
	errs := []error{err}
	for _, file := range files {
		if strings.HasPrefix(file, name+passMark) {
			errs = append(errs, d.remove(file))
		}
	}
	return errors.Join(errs...)
}
