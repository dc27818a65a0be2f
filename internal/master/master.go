// Package master puts the master together out of its parts, top to bottom, and
// runs it. It holds no logic of its own.
package master

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/sitekeep/sitekeep/internal/account"
	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/clock"
	"github.com/sitekeep/sitekeep/internal/hub"
	"github.com/sitekeep/sitekeep/internal/hub/fleet"
	"github.com/sitekeep/sitekeep/internal/intake"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/pki"
	"github.com/sitekeep/sitekeep/internal/policy"
	"github.com/sitekeep/sitekeep/internal/restore"
	"github.com/sitekeep/sitekeep/internal/store"
	"github.com/sitekeep/sitekeep/internal/tasks"
	"github.com/sitekeep/sitekeep/internal/verify"
)

// Options are what a master is started with.
type Options struct {
	DataDir string
	Version string
	Log     hclog.Logger
	Now     func() time.Time
	// Nice, if set, is told the configured niceness, early.
	Nice func(niceness int)
	// Ready is called once, when everything is served.
	Ready func()
	// Stopping is called when the end has begun.
	Stopping func()
}

// Master is one that has been opened. Run serves it, once; Close frees it.
type Master struct {
	o         Options
	config    Config
	closers   []func() error
	catalogue *catalogue.Catalogue
	store     *store.Local
	ca        *pki.CA
	leaf      *pki.MasterLeaf
	fleet     *fleet.Fleet
	tasks     *tasks.Manager
	hub       *hub.Hub
	pruner    *policy.Pruner
	accounts  *account.Book
	inside    *hub.Inside
	clock     *clock.Watch
	started   time.Time
	clients   clientLimits
	// stopServing lets restores end that wait for an agent.
	stopServing context.CancelFunc
}

// Open takes the data directory for itself, and cleans up what a crash has left in it.
func Open(ctx context.Context, o Options) (m *Master, err error) {
	m = &Master{o: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
			m = nil
		}
	}()
	if m.config, err = Load(o.DataDir); err != nil {
		return m, err
	}
	if o.Nice != nil {
		o.Nice(m.config.Niceness)
	}
	lock, err := store.LockDir(o.DataDir)
	if err != nil {
		return m, err
	}
	m.later(lock.Release)
	if err := m.openTrust(); err != nil {
		return m, err
	}
	if err := m.openData(ctx); err != nil {
		return m, err
	}
	if err := m.assemble(); err != nil {
		return m, err
	}
	return m, m.readLimits(ctx)
}

func (m *Master) later(f func() error) { m.closers = append(m.closers, f) }

// Close frees everything, the last thing first.
func (m *Master) Close() error {
	var found []error
	for i := len(m.closers) - 1; i >= 0; i-- {
		found = append(found, m.closers[i]())
	}
	m.closers = nil
	return errors.Join(found...)
}

func (m *Master) openTrust() (err error) {
	if m.ca, err = pki.LoadCA(filepath.Join(m.o.DataDir, caDir)); err != nil {
		return err
	}
	m.leaf, err = pki.NewMasterLeaf(m.ca, m.o.Now)
	return err
}

func (m *Master) openData(ctx context.Context) (err error) {
	if m.catalogue, err = catalogue.Open(ctx, filepath.Join(m.o.DataDir, catalogueName)); err != nil {
		return err
	}
	m.later(m.catalogue.Close)
	if err := m.openClock(ctx); err != nil {
		return err
	}
	if m.store, err = store.OpenLocal(filepath.Join(m.o.DataDir, storeDir), store.Options{Reserve: m.config.Reserve}); err != nil {
		return err
	}
	report, err := m.store.Sweep(ctx, m.catalogue.HasBackup)
	if err != nil {
		return err
	}
	if err := intake.CleanUp(filepath.Join(m.o.DataDir, storeDir)); err != nil {
		return err
	}
	for _, name := range report.Removed {
		m.o.Log.Info("removed what an interrupted backup left", "file", name)
	}
	for _, e := range report.Unlisted {
		m.o.Log.Warn("the catalogue does not list a backup that is in the store", "backup", e.ID,
			"hint", "stop the master and run: sitekeep catalogue rebuild")
	}
	for _, id := range report.Missing {
		m.o.Log.Error("a backup's tarball is gone", "backup", id)
	}
	return nil
}

// revoked is asked at every handshake with an agent. Not knowing is no.
func (m *Master) revoked(_, serial string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	revoked, err := m.catalogue.CertificateRevoked(ctx, serial)
	if err != nil {
		m.o.Log.Error("revocations cannot be read, so the certificate is refused", "error", err)
	}
	return revoked || err != nil
}

// assemble wires the parts that work.
func (m *Master) assemble() (err error) {
	m.fleet = fleet.New(m.catalogue, func(server string) *tls.Config { return pki.MasterDial(m.leaf, server, m.revoked, m.o.Now) },
		fleet.WithBandwidth(m.config.Bandwidth.of), fleet.WithArrivals(func(server string) { m.tasks.Revive(server, databaseKey+server) }))
	m.later(func() error { m.fleet.Close(); return nil })
	maker := backup.New(backup.Deps{
		Agents: hub.Agents[backup.Web, backup.DB]{Fleet: m.fleet, Of: func(a *fleet.Agent) (backup.Web, backup.DB) { return a, a }},
		Store:  m.store, Catalogue: m.catalogue, Software: "sitekeep " + m.o.Version, ZstdLevel: m.config.ZstdLevel, Server: m.o.Log.Named("backup"), Now: m.o.Now,
		RetryFor: m.config.Limits.RetryFor, FullEvery: m.config.FullEvery,
	})
	serving, stop := context.WithCancel(context.Background())
	m.stopServing = stop
	m.later(func() error { stop(); return nil })
	books := library{&backup.Library{Shelf: m.catalogue, Store: m.store, Maker: maker}}
	restorer := restore.New(restore.Deps{
		Agents: hub.Agents[restore.Web, restore.DB]{Fleet: m.fleet, Of: func(a *fleet.Agent) (restore.Web, restore.DB) { return a, a }},
		Sites:  m.catalogue, Journals: m.catalogue, Graces: m.catalogue, History: m.catalogue, Drills: m.catalogue, Now: m.o.Now,
		Backups: books, Copies: books, Serving: serving, RetryFor: m.config.Limits.RetryFor,
	})
	m.pruner = &policy.Pruner{Shelf: m.catalogue, Store: m.store, Readers: runs{m}, Clock: m.lookAtClock, Now: m.o.Now}
	if m.tasks, err = m.newQueue(maker, restorer); err != nil {
		return err
	}
	importer := intake.New(intake.Deps{
		Store: m.store, Catalogue: m.catalogue, Dir: filepath.Join(m.o.DataDir, storeDir), Reserve: m.config.Reserve,
		Software: "sitekeep " + m.o.Version, ZstdLevel: m.config.ZstdLevel, Now: m.o.Now,
	})
	m.inside = hub.NewInside()
	m.later(m.inside.Close)
	m.accounts = account.New(m.catalogue, m.o.Now)
	m.hub = hub.New(hub.Deps{
		Catalogue: m.catalogue, Store: m.store, Tasks: m.tasks, Restorer: restorer, Importer: importer, Fleet: m.fleet, CA: m.ca, Pruner: m.pruner, Accounts: m.accounts,
		Addresses: m.config.addresses(), Version: m.o.Version, Log: m.o.Log.Named("api"), Now: m.o.Now,
		LimitsChanged: m.readLimits,
	})
	return nil
}

// library is a backup.Library that takes a restore's log.
type library struct{ *backup.Library }

// Safety is backup.Library's.
func (l library) Safety(ctx context.Context, site *model.Site, task, description string, log restore.Log) (*model.Backup, error) {
	return l.Library.Safety(ctx, site, task, description, log)
}

// Final is backup.Library's.
func (l library) Final(ctx context.Context, site *model.Site, task, description string, log restore.Log) (*model.Backup, error) {
	return l.Library.Final(ctx, site, task, description, log)
}

// Copy is backup.Library's.
func (l library) Copy(ctx context.Context, site *model.Site, task, description string, log restore.Log) (*model.Backup, error) {
	return l.Library.Copy(ctx, site, task, description, log)
}

func (m *Master) newQueue(maker *backup.Maker, restorer *restore.Restorer) (*tasks.Manager, error) {
	verifier := &verify.Verifier{Sites: m.catalogue, Agents: hub.Agents[verify.Web, any]{
		Fleet: m.fleet, Of: func(a *fleet.Agent) (verify.Web, any) { return a, nil }}}
	switcher := &verify.Switch{Agents: verifier.Agents, Sites: m.catalogue}
	checker := &backup.Checker{Backups: m.catalogue, Store: m.store, Now: m.o.Now}
	again := tasks.Retry{For: m.patience, Backoff: 5 * time.Second, Most: time.Minute}
	return tasks.New(tasks.Config{
		Catalogue: m.catalogue, Log: m.o.Log.Named("tasks"), Now: m.o.Now, Urgency: urgency, Owner: m.ownerOf,
		Limits: tasks.Limits{Total: m.config.Limits.Total, Keys: m.agentsOf, PerKey: m.perAgent},
		Kinds: m.hooks().Around(map[model.TaskKind]tasks.Kind{
			model.TaskBackup:  {Handler: backup.Handler(maker, m.catalogue), Recovery: tasks.Requeue, Retry: again, Once: true},
			model.TaskRestore: {Handler: restorer.Restore, Recovery: tasks.Resume, Priority: 10},
			model.TaskDeploy:  {Handler: restorer.Restore, Recovery: tasks.Resume, Priority: 10},
			model.TaskMigrate: {Handler: restorer.Migrate, Recovery: tasks.Resume, Priority: 10},
			model.TaskClone:   {Handler: restorer.Clone, Recovery: tasks.Resume, Priority: 5},
			model.TaskUndo:    {Handler: restorer.Undo, Recovery: tasks.Resume, Priority: 10},
			model.TaskDrill:   {Handler: restorer.Drill, Recovery: tasks.Resume, Priority: -5, Once: true},
			model.TaskFinish:  {Handler: restorer.Finish, Recovery: tasks.Resume},
			model.TaskVerify:  {Handler: verifier.Handle, Recovery: tasks.Requeue, Priority: 5, Once: true},
			model.TaskDisable: {Handler: switcher.Disable, Recovery: tasks.Requeue, Priority: 10, Once: true},
			model.TaskEnable:  {Handler: switcher.Enable, Recovery: tasks.Requeue, Priority: 10, Once: true},
			model.TaskCheck:   {Handler: checker.Handle, Recovery: tasks.Requeue, Reads: true, Once: true},
			model.TaskPrune:   {Handler: m.pruner.Handle, Recovery: tasks.Requeue, Reads: true, Once: true},
		}),
	})
}

// databaseKey marks the key of a database server's agent: a server may have both roles.
const databaseKey = "db:"

// perAgent is how many tasks at a time may load the agent of a key, or run for the client of one.
func (m *Master) perAgent(key string) int {
	if client, is := strings.CutPrefix(key, clientKey); is {
		return m.clients.of(client)
	}
	if strings.HasPrefix(key, databaseKey) {
		return m.config.Limits.PerDatabaseServer
	}
	return m.config.Limits.PerAgent
}

// agentsOf names the agents that a task loads, and the client for whom it does.
func (m *Master) agentsOf(ctx context.Context, t model.Task) []string {
	if t.Site == "" {
		return nil
	}
	site, err := m.siteOf(ctx, t)
	if err != nil {
		return nil
	}
	to := restore.Destination(&t)
	keys := slices.Concat(site.WebServers, to.WebServers)
	for _, server := range slices.Compact([]string{site.DBServer, to.DBServer}) {
		if server != "" {
			keys = append(keys, databaseKey+server)
		}
	}
	if site.Client != "" {
		keys = append(keys, clientKey+site.Client)
	}
	return keys
}

// siteOf is the site of a task, which may be one that the task is to make.
func (m *Master) siteOf(ctx context.Context, t model.Task) (model.Site, error) {
	if made := restore.Target(&t); made != nil {
		return *made, nil
	}
	return m.catalogue.Site(ctx, t.Site)
}

// Run serves until ctx ends, and then until what ran has been told.
func (m *Master) Run(ctx context.Context) error {
	outer, err := m.hub.Listen(m.config.Listen, pki.MasterServer(m.leaf, m.revoked, m.o.Now))
	if err != nil {
		return err
	}
	local, err := hub.ListenLocal(filepath.Join(m.o.DataDir, SocketName))
	if err != nil {
		return errors.Join(err, outer.Close())
	}
	web, err := m.listenHTTP()
	if err != nil {
		return errors.Join(err, outer.Close(), local.Close())
	}
	return m.serve(ctx, []net.Listener{outer, local, m.inside}, web)
}

// stopTimeout bounds how long callers that are being answered may take after the end has begun.
const stopTimeout = 5 * time.Second

func (m *Master) serve(ctx context.Context, listeners []net.Listener, web net.Listener) error {
	server := m.hub.Server()
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		g.Go(func() error {
			if err := server.Serve(l); !errors.Is(err, grpc.ErrServerStopped) { // told to end before it had begun
				return err
			}
			return nil
		})
	}
	g.Go(func() error { return m.tasks.Serve(ctx) })
	g.Go(func() error { return m.keepHouse(ctx) })
	g.Go(func() error { return m.watchClock(ctx) })
	scheduler := &policy.Scheduler{Records: m.catalogue, Sites: m.catalogue, Runs: runs{m}, Log: m.o.Log.Named("schedules")}
	g.Go(func() error { return scheduler.Serve(ctx, m.o.Now) })
	g.Go(func() error { return m.serveHTTP(ctx, web) })
	g.Go(func() error {
		<-ctx.Done()
		m.stopServing()
		if m.o.Stopping != nil {
			m.o.Stopping()
		}
		m.hub.Stopping()
		hard := time.AfterFunc(stopTimeout, server.Stop)
		defer hard.Stop()
		server.GracefulStop()
		return nil
	})
	if m.o.Ready != nil {
		m.o.Ready()
	}
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("master: %w", err)
	}
	return nil
}
