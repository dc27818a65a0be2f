package main

import (
	"fmt"

	"github.com/spf13/cobra"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// dryRunFlag is that of commands that make or move a site.
func dryRunFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "dry-run", false, "print the plan and change nothing")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "detach")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "queue")
}

// preview prints what a command would do; warnings of it make it end with 6.
func (a *app) preview(plan *sitekeepv1.PlanRestoreResponse) error {
	if a.output.json {
		if err := writeJSON(a.out, plan); err != nil {
			return err
		}
	} else {
		if err := a.printPlan(plan); err != nil {
			return err
		}
		if name := plan.GetNewDatabase(); name != "" {
			fmt.Fprintf(a.out, "new database and user: %s (its last letters will be others)\n", printable(name))
		}
	}
	return a.warnings("nothing was changed", plan.GetWarnings())
}
