// Command chaos breaks restores in every way that can be thought of, and holds
// what they leave behind against one strict check: the site is wholly the old
// one or the new one, whichever the task says, and nothing is left over. It
// refuses to know how a restore works: it kills, cuts, fills and cancels from
// outside, and watches the journal only to choose its moments.
//
//	go run ./test/chaos                         everything, an hour
//	go run ./test/chaos -short                  what make test runs
//	go run ./test/chaos -seed 7 -only 'cancel'  what a report asks for
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"
)

type options struct {
	seed   uint64
	only   *regexp.Regexp
	short  bool
	factor float64
	lanes  int
	dir    string
	limit  time.Duration
}

func main() {
	os.Exit(apart(func(ctx context.Context) int {
		err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
		if err != nil && !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "chaos:", err)
			return 1
		}
		return 0
	}))
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Uint64Var(&o.seed, "seed", uint64(time.Now().Unix()), "of all that is random; it is printed")
	only := flags.String("only", "", "strike only faults whose name matches this regular expression")
	flags.BoolVar(&o.short, "short", false, "the short form: some sixty faults")
	flags.Float64Var(&o.factor, "factor", 1, "so many times the faults of the full form")
	flags.IntVar(&o.lanes, "lanes", 3, "how many sites are struck at the same time")
	flags.StringVar(&o.dir, "dir", "", "work below this directory, which nobody can enter (default: a temporary one)")
	flags.DurationVar(&o.limit, "for", 0, "begin no further fault after this time; 0: strike them all")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 || o.lanes < 1 || o.factor <= 0 {
		return nil, errors.New("usage: chaos [-seed N] [-only REGEXP] [-short] [-factor F] [-lanes N] [-for TIME] [-dir DIR]")
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return nil, fmt.Errorf("-only: %w", err)
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	c := &campaign{seed: o.seed, short: o.short, dir: o.dir, lanes: o.lanes, limit: o.limit, out: stderr}
	if c.dir == "" {
		if c.dir, err = os.MkdirTemp("", "sk-chaos-"); err != nil {
			return err
		}
		if err := os.Chmod(c.dir, 0o755); err != nil {
			return err
		}
	}
	order := c.list(o.factor, o.only)
	if len(c.faults) == 0 {
		return errors.New("no fault matches -only")
	}
	c.logf("seed %d, %d faults, in %s", c.seed, len(c.faults), c.dir)
	mixed, err := c.run(ctx)
	if o.dir == "" {
		_ = os.Remove(c.dir) // what a failure has left stays
	}
	fmt.Fprintf(stdout, "seed %d, %.0f s\n", c.seed, time.Since(c.began).Seconds())
	if err := errors.Join(err, c.print(stdout, order)); err != nil {
		return err
	}
	if mixed > 0 {
		return fmt.Errorf("%d of %d strikes left a site that is neither the old nor the new one", mixed, c.sum())
	}
	return nil
}
