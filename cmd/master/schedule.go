package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func newScheduleCmd(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "schedule",
		Short: "Schedules: backups and drills that happen by themselves",
		Example: `  sitekeep schedule set nightly --cron "0 3 * * *" --window 22:00-06:00 --zone Europe/Berlin --all
  sitekeep schedule list`,
	})
	cmd.AddCommand(newScheduleSetCmd(a), newScheduleListCmd(a), newScheduleShowCmd(a), newScheduleRemoveCmd(a))
	return cmd
}

func newScheduleSetCmd(a *app) *cobra.Command {
	s := &sitekeepv1.Schedule{}
	var spread duration
	cmd := &cobra.Command{
		Use:   `set NAME --cron "MIN HOUR DAY MONTH WEEKDAY" (--all | --client CUSTOMER | --site SITE...)`,
		Short: "Make a schedule, or replace the one of that name",
		Long: `Make a schedule, or replace the one of that name.

The cron expression goes by the wall clock of the time zone. Each site has its own moment after it, always the same, so
that not all begin at once: with a window their runs are spread over what is left of it, else over the --spread. No run
begins outside the window, which may cross midnight; a time that falls outside waits for it to open.

A run that did not begin in its time, because the master was away, is made up for once, or left out with --skip-missed.
Runs of one site never overlap. What did not happen is counted in "sitekeep schedule list" and in the master's log.`,
		Example: `  sitekeep schedule set nightly --cron "0 3 * * *" --window 22:00-06:00 --zone Europe/Berlin --all
  sitekeep schedule set shop --cron @hourly --site shop.example.com
  sitekeep schedule set weekdays --cron "0 12 * * *" --window "Mon-Fri 11:00-15:00" --client acme --spread 1h
  sitekeep schedule set monthly-drill --cron "0 1 1 * *" --kind drill --spread 48h --all`,
		Args:              arguments(1, 1),
		ValidArgsFunction: a.complete(scheduleNames),
	}
	flags := cmd.Flags()
	flags.StringVar(&s.Cron, "cron", "", "when: five `fields`, or @hourly, @daily, @weekly, @monthly, @yearly")
	flags.StringVar(&s.Zone, "zone", "", "whose wall clock it is: a time `zone` such as Europe/Berlin (default: UTC)")
	flags.StringVar(&s.Window, "window", "", "when runs may begin: `times` such as 22:00-06:00 or \"Mon-Fri 22:00-06:00\"")
	flags.Var(&spread, "spread", "over how `long` the sites' runs are spread (default: until the window closes)")
	flags.BoolVar(&s.SkipMissed, "skip-missed", false, "leave out runs that were missed, in place of making up for them once")
	flags.BoolVar(&s.Disabled, "disabled", false, "keep it, but run nothing")
	flags.BoolVar(&s.All, "all", false, "for all sites")
	flags.StringVar(&s.Client, "client", "", "for all sites of this `customer`")
	flags.StringArrayVar(&s.Sites, "site", nil, "for this `site` (repeat it)")
	flags.StringVar(&s.Kind, "kind", "", "what it begins: backup or drill (default backup)")
	flags.StringVar(&s.Format, "format", "", "tar.zst or tar.gz (default tar.zst)")
	cmd.PreRunE = func(_ *cobra.Command, args []string) error {
		if s.Cron == "" {
			return usageError("sitekeep schedule set", "say when %s comes: --cron", args[0])
		}
		return nil
	}
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		s.Name = args[0]
		if spread.given {
			s.Spread = durationpb.New(spread.value)
		}
		r, err := c.schedules.SetSchedule(ctx, &sitekeepv1.SetScheduleRequest{Schedule: s})
		if err != nil {
			return err
		}
		return a.printText(r.GetSchedule(), r.GetSchedule().GetName())
	})
	return cmd
}

func newScheduleListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List schedules, with their next runs and what did not happen", Args: arguments(0, 0),
		Example: "  sitekeep schedule list",
		RunE: a.call(func(ctx context.Context, c *client, _ []string) error {
			r, err := c.schedules.ListSchedules(ctx, &sitekeepv1.ListSchedulesRequest{})
			if err != nil {
				return err
			}
			return printList(a, r.GetSchedules(), "NAME|CRON|ZONE|WINDOW|FOR|SITES|NEXT|LAST|MISSED|KIND", func(s *sitekeepv1.Schedule) []string {
				t := s.GetStatus()
				next := localTime(t.GetNextAt())
				if s.GetDisabled() {
					next = "disabled"
				}
				return []string{s.GetName(), s.GetCron(), zoneText(s.GetZone()), orDash(s.GetWindow()), scopeText(s), fmt.Sprint(t.GetSites()),
					next, localTime(t.GetLastAt()), missedText(t), kindText(s.GetKind())}
			})
		}),
	}
}

func kindText(kind string) string {
	if kind == "" {
		return "backup"
	}
	return kind
}

func zoneText(zone string) string {
	if zone == "" {
		return "UTC"
	}
	return zone
}

func scopeText(s *sitekeepv1.Schedule) string {
	switch {
	case s.GetAll():
		return "all"
	case s.GetClient() != "":
		return "client " + s.GetClient()
	}
	return strings.Join(s.GetSites(), ",")
}

// missedText names the last run that did not happen.
func missedText(t *sitekeepv1.ScheduleStatus) string {
	if t.GetMissed() == 0 {
		return "0"
	}
	return fmt.Sprintf("%d, last %s %s: %s", t.GetMissed(), t.GetMissedSite(), localTime(t.GetMissedAt()), t.GetMissedWhy())
}

func newScheduleShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a schedule's sites: next and last run, and what did not happen", Args: arguments(1, 1),
		Example:           "  sitekeep schedule show nightly",
		ValidArgsFunction: a.complete(scheduleNames),
		RunE: a.call(func(ctx context.Context, c *client, args []string) error {
			r, err := c.schedules.ListSchedules(ctx, &sitekeepv1.ListSchedulesRequest{Name: args[0], Sites: true})
			if err != nil {
				return err
			}
			s := r.GetSchedules()[0]
			if a.output.json {
				return a.printText(s, "")
			}
			return printList(a, s.GetStatus().GetBySite(), "SITE|NEXT|LAST|TASK|MISSED|WHY", func(one *sitekeepv1.ScheduleSite) []string {
				return []string{one.GetSite(), localTime(one.GetNextAt()), localTime(one.GetLastAt()), orDash(one.GetTask()),
					fmt.Sprint(one.GetMissed()), orDash(one.GetMissedWhy())}
			})
		}),
	}
}

func newScheduleRemoveCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Aliases: []string{"rm"}, Short: "Remove a schedule; its backups stay", Args: arguments(1, 1),
		Example:           "  sitekeep schedule remove nightly",
		ValidArgsFunction: a.complete(scheduleNames),
		RunE: a.call(func(ctx context.Context, c *client, args []string) error {
			_, err := c.schedules.DeleteSchedule(ctx, &sitekeepv1.DeleteScheduleRequest{Name: args[0]})
			return err
		}),
	}
}

func scheduleNames(ctx context.Context, c *client) ([]string, error) {
	r, err := c.schedules.ListSchedules(ctx, &sitekeepv1.ListSchedulesRequest{})
	return names(r.GetSchedules(), (*sitekeepv1.Schedule).GetName), err
}
