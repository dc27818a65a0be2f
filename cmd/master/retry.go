package main

import (
	"context"

	"github.com/spf13/cobra"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func newTaskRetryCmd(a *app) *cobra.Command {
	o := &taskFlags{}
	cmd := &cobra.Command{
		Use:   "retry ID",
		Short: "Run a task again that did not succeed",
		Long: `Run a task again that did not succeed. One that needs an operator goes on itself: run the commands at the end of its
log first. One that failed or was cancelled is submitted once more, as a new task.`,
		Example:           "  sitekeep task retry 01KACQ4J7XK0VJ7N3YH2M3T5QZ",
		Args:              arguments(1, 1),
		ValidArgsFunction: a.complete(taskIDs),
	}
	o.add(cmd, true)
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		task, err := begin(ctx, func(ctx context.Context) (*sitekeepv1.RetryTaskResponse, error) {
			return c.tasks.RetryTask(ctx, &sitekeepv1.RetryTaskRequest{Id: args[0], Queue: o.queue})
		})
		if err != nil {
			return err
		}
		return a.finish(ctx, c, task, o.detach)
	})
	return cmd
}
