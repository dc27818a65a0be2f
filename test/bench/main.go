// Command bench measures Sitekeep side by side with what people use today, on
// one made-up site, in one run, and prints ratios. It refuses to know how any of
// the tools work: each side is a sequence of programs, a check that it did its
// work, and what it cost.
//
//	go run ./test/bench                      every row, 3 rounds
//	go run ./test/bench -rows backup -rounds 5
//	go run ./test/bench -peers               without Sitekeep, for the machine's own numbers
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
)

type options struct {
	rounds int
	rows   *regexp.Regexp
	dir    string
	peers  bool
	list   bool
	strict bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.rounds, "rounds", 3, "how often each side runs; the median counts")
	rows := flags.String("rows", "", "run only rows whose name matches this regular expression")
	flags.StringVar(&o.dir, "dir", "", "work below this directory, which nobody can enter and 30 GB fit in (default: a temporary one)")
	flags.BoolVar(&o.peers, "peers", false, "leave Sitekeep's own sides out")
	flags.BoolVar(&o.list, "list", false, "print the rows and run nothing")
	flags.BoolVar(&o.strict, "strict", false, "fail when a goal is not reached")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if o.rounds < 1 || flags.NArg() > 0 {
		return nil, errors.New("usage: bench [-rounds N] [-rows REGEXP] [-dir DIR] [-peers] [-strict] [-list]")
	}
	var err error
	if o.rows, err = regexp.Compile(*rows); err != nil {
		return nil, fmt.Errorf("-rows: %w", err)
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	var chosen []rowEntry
	for _, r := range rows() {
		if o.rows.MatchString(r.name) {
			chosen = append(chosen, r)
		}
	}
	if o.list {
		for _, r := range chosen {
			fmt.Fprintf(stdout, "%-16s %s\n", r.name, r.what)
		}
		return nil
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no row matches %q; -list prints them", o.rows)
	}
	w, err := newWorld(ctx, o, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := printMachine(ctx, stdout, w); err != nil {
		return err
	}
	missed, err := measureRows(ctx, w, chosen, stdout)
	if err == nil && o.strict && missed > 0 {
		err = fmt.Errorf("%d goals were not reached", missed)
	}
	return err
}

func measureRows(ctx context.Context, w *world, chosen []rowEntry, stdout io.Writer) (missed int, err error) {
	for _, entry := range chosen {
		row, err := entry.build(ctx, w)
		if err != nil {
			return missed, fmt.Errorf("row %s: %w", entry.name, err)
		}
		if err := row.measure(ctx, w); err != nil {
			return missed, fmt.Errorf("row %s: %w", entry.name, err)
		}
		n, err := row.print(stdout, entry)
		if err != nil {
			return missed, err
		}
		missed += n
	}
	return missed, nil
}
