package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

type backupOptions struct {
	taskFlags
	request sitekeepv1.CreateBackupsRequest
}

func newBackupCmd(a *app) *cobra.Command {
	o := &backupOptions{}
	cmd := &cobra.Command{
		Use:   "backup SITE... | - | --all | --client CUSTOMER",
		Short: "Back up sites",
		Long: `Back up sites. The id of each backup is printed alone on its line; in JSON the result is an array of backups, also
for a single site. With --detach it is the ids of the tasks, or an array of tasks.

Sites are named in full or by globs (quote them: *, ? and [a-z]); with - their names are read from standard input. All
tasks are queued at once, and the master's limits decide how many run. One that fails stops no other, and a summary comes
at the end. The exit status is 6 if some failed; if all failed for the same reason it is that one's. Ctrl-C leaves the
tasks to go on. Disabled sites are left out unless they are named in full.`,
		Example: `  sitekeep backup example.com -m "before the update"
  sitekeep backup --all --queue
  sitekeep backup '*.example.com' --detach
  sitekeep backup - < sites.txt
  id=$(sitekeep backup example.com)`,
		ValidArgsFunction: a.complete(siteNames),
		Args:              arguments(0, many),
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.request.All, "all", false, "all sites")
	flags.StringVar(&o.request.Client, "client", "", "all sites of this `customer`")
	flags.StringVarP(&o.request.Description, "message", "m", "", "the reason, for people (default \"Generated on request\")")
	flags.StringVar(&o.request.Format, "format", "", "tar.zst or tar.gz (default tar.zst)")
	flags.BoolVar(&o.request.Quiesce, "quiesce", false, "put the site into maintenance while it is read")
	flags.BoolVar(&o.request.Full, "full", false, "read everything anew, taking over nothing from the last backup")
	o.add(cmd, true)
	cmd.PreRunE = func(_ *cobra.Command, args []string) error { return o.check(args) }
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		var err error
		if o.request.Names, err = a.siteArguments(args); err != nil {
			return err
		}
		return a.backUp(ctx, c, o)
	})
	return cmd
}

// check wants exactly one way of naming sites.
func (o *backupOptions) check(args []string) error {
	ways := 0
	for _, given := range []bool{len(args) > 0, o.request.All, o.request.Client != ""} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return usageError("sitekeep backup", "name sites, or give one of --all and --client")
	}
	return nil
}

// siteArguments are the sites that were named, each once; "-" stands for those on standard input.
func (a *app) siteArguments(args []string) ([]string, error) {
	var all []string
	for _, arg := range args {
		if arg != "-" {
			all = append(all, arg)
			continue
		}
		lines := bufio.NewScanner(a.in)
		for lines.Scan() {
			all = append(all, strings.Fields(lines.Text())...)
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("read names of sites from standard input: %w", err)
		}
	}
	if len(args) > 0 && len(all) == 0 {
		return nil, errs.New(errs.Usage, "write them a line each", "there is no name of a site on standard input")
	}
	return unique(all), nil
}

func unique(names []string) []string {
	seen := make(map[string]bool, len(names))
	var once []string
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			once = append(once, name)
		}
	}
	return once
}

// single reports whether one site was named in full.
func (o *backupOptions) single() bool {
	return len(o.request.Names) == 1 && !strings.ContainsAny(o.request.Names[0], "*?[")
}

// backupRun is one call of the command: it starts and follows tasks, and prints results as they come.
type backupRun struct {
	app     *app
	client  *client
	options *backupOptions
	screen  display

	backups  *rows[*sitekeepv1.Backup]
	started  *rows[*sitekeepv1.Task]
	failures []error
	warnings []error
	done     int

	// What the run is about: backups, or drills.
	noun   string
	submit func(ctx context.Context) ([]*sitekeepv1.Task, error)   // starts the tasks; refusals are noted
	print  func(ctx context.Context, ended *sitekeepv1.Task) error // one that is done
	close  func() error                                            // ends what is printed
}

func (a *app) backUp(ctx context.Context, c *client, o *backupOptions) error {
	single := o.single()
	run, end := a.newBackupRun(c, o, !single)
	work := run.many
	if single {
		work = run.one
	}
	return end(work(ctx))
}

// newBackupRun prepares a run; end ends its output, and gives the error that the command returns.
func (a *app) newBackupRun(c *client, o *backupOptions, many bool) (run *backupRun, end func(error) error) {
	out, release := a.besideBars()
	run = &backupRun{app: a, client: c, options: o, screen: a.newDisplay(many), noun: "backup",
		backups: newRowsTo(out, a, func(b *sitekeepv1.Backup) []string { return []string{b.GetId()} }),
		started: newRowsTo(out, a, func(t *sitekeepv1.Task) []string { return []string{t.GetId()} })}
	run.submit, run.print, run.close = run.submitBackups, run.printBackup, run.closeBackups
	return run, func(err error) error {
		run.screen.close()
		if printed := errors.Join(run.close(), release()); printed != nil {
			return printed
		}
		return err
	}
}

// one backs up the only site.
func (r *backupRun) one(ctx context.Context) error {
	q := &r.options.request
	task, err := begin(ctx, func(ctx context.Context) (*sitekeepv1.CreateBackupResponse, error) {
		return r.client.backups.CreateBackup(ctx, &sitekeepv1.CreateBackupRequest{
			Site: q.Names[0], Description: q.Description, Format: q.Format, Full: q.Full, Queue: r.options.queue, Quiesce: q.Quiesce,
			Detached: r.options.detach})
	})
	switch {
	case ctx.Err() != nil && errs.Is(err, errs.Cancelled):
		return &interrupted{}
	case err != nil:
		return err
	case r.options.detach:
		return emit(r.started, task)
	}
	show := r.screen.view("")
	task, err = r.app.follower(r.client, show).follow(ctx, task.GetId())
	show.end()
	if err != nil {
		return err
	}
	return r.ended(ctx, task)
}

// ended prints what the task has made, if it has, and returns what else the task's end stands for.
func (r *backupRun) ended(ctx context.Context, task *sitekeepv1.Task) error {
	end := outcome(task)
	var warning *warned
	if end != nil && !errors.As(end, &warning) {
		return end
	}
	if err := r.print(ctx, task); err != nil {
		return err
	}
	r.done++
	return end
}

func (r *backupRun) printBackup(ctx context.Context, task *sitekeepv1.Task) error {
	backup, err := r.made(ctx, task)
	if err != nil {
		return err
	}
	return emit(r.backups, backup)
}

// made returns the backup that a task has made.
func (r *backupRun) made(ctx context.Context, task *sitekeepv1.Task) (*sitekeepv1.Backup, error) {
	if task.GetBackup() == "" {
		return nil, errs.New(errs.Failed, "see: sitekeep backups "+task.GetSite(), "%s ended without naming a backup", taskName(task))
	}
	if !r.app.output.json {
		return &sitekeepv1.Backup{Id: task.GetBackup()}, nil // all that is printed
	}
	got, err := r.client.backups.GetBackup(ctx, &sitekeepv1.GetBackupRequest{Id: task.GetBackup()})
	return got.GetBackup(), err
}

func (r *backupRun) closeBackups() error {
	if r.options.detach {
		return r.started.close()
	}
	return r.backups.close()
}

// emit prints one result at once.
func emit[T proto.Message](out *rows[T], item T) error {
	if err := out.add(item); err != nil {
		return err
	}
	return out.flush()
}

func (r *backupRun) note(err error) {
	var warning *warned
	switch {
	case err == nil:
	case errors.As(err, &warning):
		r.warnings = append(r.warnings, err)
	default:
		r.failures = append(r.failures, err)
	}
}

// result is what all sites together amount to; cut is the error that ended it early, if one did.
func (r *backupRun) result(cut error) error {
	all := slices.Concat(r.failures, r.warnings)
	if cut != nil {
		return &several{each: append(all, cut), as: cut}
	}
	if len(all) == 0 {
		return nil
	}
	summary := &warned{
		text: fmt.Sprintf("%s done, %d of them with warnings; %d failed", plural(int64(r.done), r.noun), len(r.warnings), len(r.failures)),
	}
	return &several{each: append(all, summary), as: r.amount(summary)}
}

// amount is the error that gives the exit status: a warning if something was done, else the kind that all failures have
// in common.
func (r *backupRun) amount(summary error) error {
	if r.done > 0 {
		return summary
	}
	for _, err := range r.failures {
		if errs.KindOf(err) != errs.KindOf(r.failures[0]) {
			return errs.New(errs.Failed, "", "%s", summary)
		}
	}
	return r.failures[0]
}
