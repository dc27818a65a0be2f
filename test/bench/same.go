package main

import (
	"context"
	"fmt"
	"regexp"

	"github.com/sitekeep/sitekeep/test/bed"
)

// sameSite compares a restored tree, and tables unless database is empty, with
// the live site.
func (w *world) sameSite(ctx context.Context, tree, database string) error {
	want, err := bed.Tree(w.site, anySettings)
	if err != nil {
		return err
	}
	got, err := bed.Tree(tree, anySettings)
	if err != nil {
		return err
	}
	if d := coarse(want).Diff(coarse(got)); d != "" {
		return fmt.Errorf("the restored tree differs:\n%s", d)
	}
	if database == "" {
		return nil
	}
	return w.sameTables(ctx, database)
}

// sameTables compares a database with the site's.
func (w *world) sameTables(ctx context.Context, database string) error {
	live, err := w.database()
	if err != nil {
		return err
	}
	tables, err := w.db.Tables(ctx, live)
	if err != nil {
		return err
	}
	restored, err := w.db.Tables(ctx, database)
	if err != nil {
		return err
	}
	if d := tables.Diff(restored); d != "" {
		return fmt.Errorf("the restored tables differ:\n%s", d)
	}
	return nil
}

// coarse leaves out what a peer does not bring back: times of directories, and
// fractions of a second, which GNU tar's own format has no room for.
func coarse(p bed.Print) bed.Print {
	out := make(bed.Print, len(p))
	for i, line := range p {
		out[i] = fraction.ReplaceAllString(directoryTime.ReplaceAllString(line, "$1"), "$1")
	}
	return out
}

var (
	// A directory's mode begins with 04 (stat(2), S_IFDIR).
	directoryTime = regexp.MustCompile(`^(".*" 04\d{4} \S+) .*`)
	fraction      = regexp.MustCompile(`^(".*" \d{6} \S+ \d+)\.\d{9}`)
)
