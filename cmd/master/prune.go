package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"

	"github.com/sitekeep/sitekeep/internal/bytesize"
)

func newPruneCmd(a *app) *cobra.Command {
	var dryRun bool
	how := taskFlags{}
	request := &sitekeepv1.PruneRequest{}
	plan := &sitekeepv1.PlanPruneRequest{}
	cmd := &cobra.Command{
		Use:   "prune [--dry-run [--site SITE | --client CUSTOMER]]",
		Short: "Remove the backups that retention lets go",
		Long: `Remove the backups that retention lets go, in one task. The master does it by itself every hour.

With --dry-run it changes nothing and says for each backup whether it stays or goes, and why. After a clock has jumped
nothing is removed for a day, unless you have looked at it and say --trust-clock.`,
		Example: `  sitekeep prune --dry-run
  sitekeep prune --dry-run --site example.com -o json
  sitekeep prune`,
		Args: arguments(0, 0),
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "change nothing; say why each backup stays or goes")
	cmd.Flags().StringVar(&plan.Site, "site", "", "with --dry-run: show this `site` only")
	cmd.Flags().StringVar(&plan.Client, "client", "", "with --dry-run: show the sites of this `customer` only")
	cmd.Flags().BoolVar(&request.TrustClock, "trust-clock", false, "remove although the clock seems to have been set")
	how.add(cmd, false)
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if !dryRun && (plan.Site != "" || plan.Client != "") {
			return usageError("sitekeep prune", "--site and --client go with --dry-run: budgets are over all sites, so all are pruned together")
		}
		return nil
	}
	cmd.RunE = a.call(func(ctx context.Context, c *client, _ []string) error {
		if dryRun {
			return a.planPrune(ctx, c, plan)
		}
		task, err := begin(ctx, func(ctx context.Context) (*sitekeepv1.PruneResponse, error) { return c.retentions.Prune(ctx, request) })
		if err != nil {
			return err
		}
		return a.finish(ctx, c, task, how.detach)
	})
	return cmd
}

// planPrune prints decisions as they come, and the summary on standard error.
func (a *app) planPrune(ctx context.Context, c *client, q *sitekeepv1.PlanPruneRequest) error {
	q.Packed = true
	stream, err := c.retentions.PlanPrune(ctx, q)
	if err != nil {
		return err
	}
	out := newRows(a, "BACKUP|SIZE|VERDICT|WHY", func(d *sitekeepv1.PruneDecision) []string {
		verdict := "goes"
		if d.GetKeep() {
			verdict = "stays"
		}
		return []string{d.GetId(), bytesize.Text(d.GetSize()), verdict, strings.Join(d.GetReasons(), ", ")}
	})
	var summary *sitekeepv1.PruneSummary
	packed := unpacker{}
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		decisions, err := packed.unpack(r.GetPacked())
		if err != nil {
			return err
		}
		if err := out.addAll(append(decisions, r.GetDecisions()...)); err != nil { // an older master packs none
			return err
		}
		summary = r.GetSummary()
	}
	if err := out.close(); err != nil {
		return err
	}
	if summary == nil {
		return errors.New("the plan is incomplete: its end is missing")
	}
	fmt.Fprintf(a.err, "%s would go and free %s; %s would stay\n",
		plural(summary.GetRemoved(), "backup"), bytesize.Text(summary.GetFreedBytes()), plural(summary.GetKept(), "backup"))
	notes := summary.GetExcess()
	if held := summary.GetHeld(); held != "" {
		notes = append(notes, held)
	}
	return a.warnings("this is the plan", notes)
}
