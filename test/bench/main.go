// Command bench measures Sitekeep side by side with what people use today, on
// one made-up site, in one run, and prints ratios and whether the project's
// goals are reached. It refuses to know how any of the tools work: each side is
// a sequence of programs, a check that it did its work, and what it cost.
//
//	go run ./test/bench                      the usual rows, 5 rounds
//	go run ./test/bench -quick               2 rounds
//	go run ./test/bench -rows '^first$' -rounds 7
//	go run ./test/bench -rows million        one of the rows that run only when named
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
	rows   *regexp.Regexp // nil: the usual ones
	dir    string
	save   string
	json   bool
	peers  bool
	list   bool
	strict bool
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == driveArg {
		exit(drive(context.Background(), os.Args[2], os.Stdin, os.Stdout))
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	exit(err)
}

func exit(err error) {
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

const usage = "usage: bench [-quick | -rounds N] [-rows REGEXP] [-dir DIR] [-o table|json] [-save FILE] [-peers] [-strict] [-list]"

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.rounds, "rounds", 5, "how often each side runs at most; the median counts")
	quick := flags.Bool("quick", false, "2 rounds")
	rows := flags.String("rows", "", "run the rows whose name matches this regular expression (default: the usual ones, see -list)")
	output := flags.String("o", "table", "table, or json for one object on standard output")
	flags.StringVar(&o.save, "save", "", "write the JSON into this file, after each row")
	flags.StringVar(&o.dir, "dir", "", "work below this directory, which nobody can enter and 40 GB fit in (default: a temporary one)")
	flags.BoolVar(&o.peers, "peers", false, "leave Sitekeep's own sides out")
	flags.BoolVar(&o.list, "list", false, "print the rows and run nothing")
	flags.BoolVar(&o.strict, "strict", false, "fail when a goal is not reached")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if o.rounds < 1 || flags.NArg() > 0 || *output != "table" && *output != "json" {
		return nil, errors.New(usage)
	}
	if *quick {
		o.rounds = 2
	}
	o.json = *output == "json"
	if *rows == "" {
		return o, nil
	}
	var err error
	if o.rows, err = regexp.Compile(*rows); err != nil {
		return nil, fmt.Errorf("-rows: %w", err)
	}
	return o, nil
}

// chosen are the rows to be run.
func (o *options) chosen() []rowEntry {
	var out []rowEntry
	for _, r := range rows() {
		if o.rows == nil && !r.extra || o.rows != nil && o.rows.MatchString(r.name) {
			out = append(out, r)
		}
	}
	return out
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.list {
		return list(stdout)
	}
	chosen := o.chosen()
	if len(chosen) == 0 {
		return fmt.Errorf("no row matches %q; -list prints them", o.rows)
	}
	if err := ownMounts(); err != nil {
		return err
	}
	w, err := newWorld(ctx, o, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	r := &report{}
	if r.Machine, err = lookAtMachine(ctx, w); err != nil {
		return err
	}
	return w.measure(ctx, r, chosen, stdout)
}

func list(out io.Writer) error {
	for _, r := range rows() {
		what := r.what
		if r.extra {
			what += " (only when named)"
		}
		if _, err := fmt.Fprintf(out, "%-16s %s\n", r.name, what); err != nil {
			return err
		}
	}
	return nil
}
