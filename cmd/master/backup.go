package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// maxFollowed is how many tasks one command starts and follows at the same time.
const maxFollowed = 8

type backupOptions struct {
	taskFlags
	request sitekeepv1.CreateBackupRequest
	all     bool
	client  string
}

func newBackupCmd(a *app) *cobra.Command {
	o := &backupOptions{}
	cmd := &cobra.Command{
		Use:   "backup SITE... | --all | --client CUSTOMER",
		Short: "Back up sites",
		Long: `Back up sites. The id of each backup is printed alone on its line; in JSON the result is an array of backups, also
for a single site. With --detach it is the ids of the tasks, or an array of tasks.

Of several sites, up to 8 are followed at a time, one that fails stops no other, and a summary comes at the end. The exit
status is 6 if some failed; if all failed for the same reason it is that one's.`,
		Example: `  sitekeep backup example.com -m "before the update"
  sitekeep backup --all --queue
  id=$(sitekeep backup example.com)`,
		ValidArgsFunction: a.complete(siteNames),
		Args:              arguments(0, many),
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.all, "all", false, "all sites")
	flags.StringVar(&o.client, "client", "", "all sites of this `customer`")
	flags.StringVarP(&o.request.Description, "message", "m", "", "the reason, for people (default \"Generated on request\")")
	flags.StringVar(&o.request.Format, "format", "", "tar.zst or tar.gz (default tar.zst)")
	flags.BoolVar(&o.request.Quiesce, "quiesce", false, "put the site into maintenance while it is read")
	flags.BoolVar(&o.request.Full, "full", false, "read everything anew, taking over nothing from the last backup")
	o.add(cmd, true)
	cmd.PreRunE = func(_ *cobra.Command, args []string) error { return o.check(args) }
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		sites, err := o.sites(ctx, c, args)
		if err != nil {
			return err
		}
		return a.backUp(ctx, c, o, sites)
	})
	return cmd
}

// check wants exactly one way of naming sites.
func (o *backupOptions) check(args []string) error {
	ways := 0
	for _, given := range []bool{len(args) > 0, o.all, o.client != ""} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return usageError("sitekeep backup", "name sites, or give one of --all and --client")
	}
	return nil
}

// sites are those that were asked for, each once.
func (o *backupOptions) sites(ctx context.Context, c *client, args []string) ([]string, error) {
	if len(args) == 0 {
		r, err := c.sites.ListSites(ctx, &sitekeepv1.ListSitesRequest{Client: o.client})
		if err != nil {
			return nil, err
		}
		for _, site := range r.GetSites() {
			args = append(args, site.GetName())
		}
	}
	if len(args) == 0 {
		return nil, errs.New(errs.NotFound, "see: sitekeep site list", "there is no such site to back up")
	}
	return unique(args), nil
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

// backupRun is one call of the command: it starts and follows tasks, and prints results as they come.
type backupRun struct {
	app     *app
	client  *client
	options *backupOptions
	screen  display
	single  bool

	mu       sync.Mutex
	backups  *rows[*sitekeepv1.Backup]
	started  *rows[*sitekeepv1.Task]
	failures []error
	warnings []error
	done     int
	unbegun  int // sites that an interruption came before
}

func (a *app) backUp(ctx context.Context, c *client, o *backupOptions, sites []string) error {
	single := len(sites) == 1
	out, release := a.besideBars()
	run := &backupRun{app: a, client: c, options: o, single: single, screen: a.newDisplay(!single),
		backups: newRowsTo(out, a, func(b *sitekeepv1.Backup) []string { return []string{b.GetId()} }),
		started: newRowsTo(out, a, func(t *sitekeepv1.Task) []string { return []string{t.GetId()} })}
	var workers errgroup.Group
	workers.SetLimit(maxFollowed)
	for _, site := range sites {
		workers.Go(func() error { return run.site(ctx, site) })
	}
	err := workers.Wait() // only of printing: what a site meets is in failures
	run.screen.close()
	if err = errors.Join(err, run.close(), release()); err != nil {
		return err
	}
	return run.result()
}

// site does one site and notes what came of it. Its error is that of printing the result.
func (r *backupRun) site(ctx context.Context, site string) error {
	task, err := r.start(ctx, site)
	if err == nil && r.options.detach {
		return r.print(func() error { r.done++; return emit(r.started, task) })
	}
	var backup *sitekeepv1.Backup
	if err == nil {
		backup, err = r.follow(ctx, site, task)
	}
	return r.print(func() error {
		r.note(err)
		if backup == nil {
			return nil
		}
		r.done++
		return emit(r.backups, backup)
	})
}

func (r *backupRun) start(ctx context.Context, site string) (*sitekeepv1.Task, error) {
	request := proto.CloneOf(&r.options.request)
	request.Site, request.Queue = site, r.options.queue
	task, err := begin(ctx, func(ctx context.Context) (*sitekeepv1.CreateBackupResponse, error) {
		return r.client.backups.CreateBackup(ctx, request)
	})
	if ctx.Err() != nil && errs.Is(err, errs.Cancelled) {
		return nil, &interrupted{}
	}
	if err != nil && !r.single {
		return nil, fmt.Errorf("backup of %s: %w", site, err)
	}
	return task, err
}

// follow returns the backup, if there is one, and what else the task's end stands for.
func (r *backupRun) follow(ctx context.Context, site string, task *sitekeepv1.Task) (*sitekeepv1.Backup, error) {
	label := site
	if r.single {
		label = ""
	}
	show := r.screen.view(label)
	task, err := r.app.follower(r.client, show).follow(ctx, task.GetId())
	show.end()
	if err != nil {
		return nil, err
	}
	var warning *warned
	if err := outcome(task); err != nil && !errors.As(err, &warning) {
		return nil, err
	}
	backup, err := r.made(ctx, task)
	if err != nil {
		return nil, err
	}
	return backup, outcome(task)
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

func (r *backupRun) print(do func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return do()
}

func (r *backupRun) note(err error) {
	var warning *warned
	var broken *interrupted
	switch {
	case err == nil:
	case errors.As(err, &broken) && broken.task == "":
		r.unbegun++
	case errors.As(err, &warning):
		r.warnings = append(r.warnings, err)
	default:
		r.failures = append(r.failures, err)
	}
}

func (r *backupRun) close() error {
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

// result is what all sites together amount to.
func (r *backupRun) result() error {
	all := append(r.failures, r.warnings...)
	if r.unbegun > 0 {
		all = append(all, &interrupted{unbegun: r.unbegun})
	}
	if r.single || len(all) == 0 {
		return gather(all)
	}
	summary := &warned{
		text: fmt.Sprintf("%s done, %d of them with warnings; %d failed", plural(int64(r.done), "backup"), len(r.warnings), len(r.failures)),
	}
	return &several{each: append(all, summary), as: r.amount(all, summary)}
}

// amount is the error that gives the exit status: a warning if something was done, else the kind that all failures have
// in common. An interruption beats both.
func (r *backupRun) amount(all []error, summary error) error {
	var broken *interrupted
	for _, err := range all {
		if errors.As(err, &broken) {
			return err
		}
	}
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
