package main

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// many is the upper bound of a command that takes any number of arguments.
const many = math.MaxInt

// arguments accepts at least low and at most high of them.
func arguments(low, high int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < low:
			return usageError(cmd.CommandPath(), "an argument is missing: %s", cmd.UseLine())
		case len(args) > high:
			return usageError(cmd.CommandPath(), "unexpected argument %q: %s", args[high], cmd.UseLine())
		}
		return nil
	}
}

// first returns the first argument, or "" if there is none.
func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// outputFormat is the value of --output.
type outputFormat struct{ json bool }

func (o *outputFormat) String() string {
	if o.json {
		return "json"
	}
	return "table"
}

func (o *outputFormat) Type() string { return "format" }

func (o *outputFormat) Set(text string) error {
	switch text {
	case "table", "json":
		o.json = text == "json"
		return nil
	}
	return errors.New("it is table or json")
}

// duration is a flag's length of time: what Go takes (1h30m), and days and weeks (7d, 2w).
type duration struct {
	value time.Duration
	given bool
}

func (d *duration) String() string {
	if !d.given {
		return ""
	}
	return d.value.String()
}

func (d *duration) Type() string { return "duration" }

func (d *duration) Set(text string) error {
	value, err := parseDuration(text)
	if err != nil {
		return err
	}
	d.value, d.given = value, true
	return nil
}

func parseDuration(text string) (time.Duration, error) {
	bad := errors.New("it is a length of time such as 24h, 7d, 90m or 0s")
	var whole time.Duration
	rest := text
	for _, unit := range []struct {
		suffix string
		length time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		count, after, found := strings.Cut(rest, unit.suffix)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(count, 10, 31)
		if err != nil || time.Duration(n) > math.MaxInt64/unit.length-whole/unit.length-1 {
			return 0, bad
		}
		whole, rest = whole+time.Duration(n)*unit.length, after
	}
	if rest == "" && text != "" {
		return whole, nil
	}
	part, err := time.ParseDuration(rest)
	if err != nil || part < 0 || part > math.MaxInt64-whole {
		return 0, bad
	}
	return whole + part, nil
}
