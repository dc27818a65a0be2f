package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"

	"github.com/sitekeep/sitekeep/internal/bytesize"
)

func newRetentionCmd(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "retention",
		Short: "Retention: which backups are kept",
		Example: `  sitekeep retention set --keep-daily 7 --keep-weekly 4 --keep-monthly 12
  sitekeep prune --dry-run`,
	})
	cmd.AddCommand(newRetentionSetCmd(a), newRetentionListCmd(a), newRetentionRemoveCmd(a))
	return cmd
}

func newRetentionSetCmd(a *app) *cobra.Command {
	r := &sitekeepv1.Retention{}
	var age, safety duration
	var size byteSize
	cmd := &cobra.Command{
		Use:   "set [--client CUSTOMER | --site SITE] --keep-last N --keep-daily N ...",
		Short: "Say which backups are kept of all sites, of a customer's, or of one",
		Long: `Say which backups are kept of all sites, of a customer's, or of one. What is set for a site takes the place of what is set
for its customer, and that of what is set for all; nothing is added up.

Each count keeps the newest backup of that many of the newest periods that have one. So days without a backup use up
nothing, and no backup goes only because time has passed. Without any count all are kept.

Whatever is set: a site's last good backup stays, and so does a pinned one; backups that restores take beforehand, and
incomplete ones, push out none. With --max-size the oldest go until the rest fits, but for those that nothing may remove.

Backups are removed every hour, in one task; "sitekeep prune --dry-run" says for each why it stays or goes.`,
		Example: `  sitekeep retention set --keep-last 3 --keep-daily 7 --keep-weekly 4 --keep-monthly 12 --max-size 2TiB
  sitekeep retention set --client acme --keep-daily 30 --max-size 500GiB
  sitekeep retention set --site shop.example.com --keep-hourly 24 --keep-daily 30`,
		Args: arguments(0, 0),
	}
	flags := cmd.Flags()
	flags.StringVar(&r.Client, "client", "", "for the sites of this `customer`")
	flags.StringVar(&r.Site, "site", "", "for this `site`")
	for _, f := range []struct {
		into *int32
		name string
		of   string
	}{
		{&r.KeepLast, "keep-last", "the newest `N`"}, {&r.KeepHourly, "keep-hourly", "one an hour, of `N` hours"},
		{&r.KeepDaily, "keep-daily", "one a day, of `N` days"}, {&r.KeepWeekly, "keep-weekly", "one a week, of `N` weeks"},
		{&r.KeepMonthly, "keep-monthly", "one a month, of `N` months"}, {&r.KeepYearly, "keep-yearly", "one a year, of `N` years"},
	} {
		flags.Int32Var(f.into, f.name, 0, f.of)
	}
	flags.Var(&age, "min-age", "nothing younger than this `age` goes")
	flags.Var(&safety, "keep-safety", "for how `long` the backups that restores take beforehand are kept (default 7d)")
	flags.StringVar(&r.Zone, "zone", "", "where days begin: a time `zone` such as Europe/Berlin (default: UTC)")
	flags.Var(&size, "max-size", "`bytes` that all backups, or a customer's, may take, such as 500GiB")
	cmd.RunE = a.call(func(ctx context.Context, c *client, _ []string) error {
		r.MaxSize = int64(size)
		if age.given {
			r.MinAge = durationpb.New(age.value)
		}
		if safety.given {
			r.KeepSafety = durationpb.New(safety.value)
		}
		got, err := c.retentions.SetRetention(ctx, &sitekeepv1.SetRetentionRequest{Retention: r})
		if err != nil {
			return err
		}
		return a.printText(got.GetRetention(), retentionFor(got.GetRetention()))
	})
	return cmd
}

// retentionFor says in words for what a setting is.
func retentionFor(r *sitekeepv1.Retention) string {
	switch {
	case r.GetSite() != "":
		return "site " + r.GetSite()
	case r.GetClient() != "":
		return "client " + r.GetClient()
	}
	return "all"
}

func newRetentionListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List what is kept", Args: arguments(0, 0),
		Example: "  sitekeep retention list",
		RunE: a.call(func(ctx context.Context, c *client, _ []string) error {
			got, err := c.retentions.ListRetentions(ctx, &sitekeepv1.ListRetentionsRequest{})
			if err != nil {
				return err
			}
			return printList(a, got.GetRetentions(), "FOR|LAST|HOURLY|DAILY|WEEKLY|MONTHLY|YEARLY|MIN AGE|SAFETY|MAX SIZE", func(r *sitekeepv1.Retention) []string {
				cells := []string{retentionFor(r)}
				for _, n := range []int32{r.GetKeepLast(), r.GetKeepHourly(), r.GetKeepDaily(), r.GetKeepWeekly(), r.GetKeepMonthly(), r.GetKeepYearly()} {
					cells = append(cells, fmt.Sprint(n))
				}
				return append(cells, ageText(r.GetMinAge(), "-"), ageText(r.GetKeepSafety(), "7d"), sizeText(r.GetMaxSize()))
			})
		}),
	}
}

func ageText(d *durationpb.Duration, none string) string {
	if d == nil {
		return none
	}
	return d.AsDuration().String()
}

func sizeText(n int64) string {
	if n == 0 {
		return "-"
	}
	return bytesize.Text(n)
}

func newRetentionRemoveCmd(a *app) *cobra.Command {
	q := &sitekeepv1.DeleteRetentionRequest{}
	cmd := &cobra.Command{
		Use: "remove [--client CUSTOMER | --site SITE]", Aliases: []string{"rm"}, Short: "Take a setting back", Args: arguments(0, 0),
		Example: "  sitekeep retention remove --site shop.example.com",
		RunE: a.call(func(ctx context.Context, c *client, _ []string) error {
			_, err := c.retentions.DeleteRetention(ctx, q)
			return err
		}),
	}
	cmd.Flags().StringVar(&q.Client, "client", "", "that of this `customer`")
	cmd.Flags().StringVar(&q.Site, "site", "", "that of this `site`")
	return cmd
}

// byteSize is a flag's number of bytes: 1500, 10KiB, 20MB, 5GiB, 2T.
type byteSize int64

func (b *byteSize) String() string {
	if *b == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*b), 10)
}

func (b *byteSize) Type() string { return "size" }

func (b *byteSize) Set(text string) error {
	n, err := parseSize(text)
	*b = byteSize(n)
	return err
}

// parseSize reads a size: KB, MB and so on are powers of 1000, K, KiB, M, MiB and so on powers of 1024.
func parseSize(text string) (int64, error) {
	bad := errors.New("it is a size such as 500GiB, 2TB or 1048576")
	digits := strings.TrimRight(text, "kKmMgGtTpPiIbB ")
	unit := strings.ToUpper(strings.TrimSpace(text[len(digits):]))
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || n < 0 || math.IsInf(n, 0) || math.IsNaN(n) {
		return 0, bad
	}
	base := 1024.0
	if len(unit) == 2 && unit[1] == 'B' {
		base = 1000
	}
	power := strings.Index(" KMGTP", strings.TrimSuffix(strings.TrimSuffix(unit, "B"), "I"))
	if unit == "" || unit == "B" {
		power = 0
	}
	if power < 0 || len(unit) > 3 || len(unit) == 2 && unit[1] == 'I' || strings.HasPrefix(unit, "I") {
		return 0, bad
	}
	if n *= math.Pow(base, float64(power)); n >= math.MaxInt64 {
		return 0, bad
	}
	return int64(n), nil
}
