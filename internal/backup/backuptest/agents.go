// Package backuptest has agents in memory for tests of what stands above
// them: they walk a real directory and frame a made-up dump with pkg/archive,
// as an agent does, and fail where a test wants them to.
package backuptest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// Table is one of the made-up database.
type Table struct {
	Name string
	Rows []string
	View string // what follows CREATE VIEW, if it is one
}

// Agents are those of one site: its web servers and its database server.
// The fields are set before a backup begins.
type Agents struct {
	Dir    string // of the site; one that is not there is a missing root
	Tables []Table
	Page   model.PageProbe
	// Settings are the site's, or the error of reading them.
	Settings    *model.DatabaseSettings
	SettingsErr error
	// Broken gives the error of a call, by its name ("tree", "dump", "probe", "begin web1", "end web1", "renew web1"); nil: none.
	// "tree item" and "dump item" are asked before each item that is sent, "tree summary" and "dump summary" before the
	// closing message, so that a stream can be cut in the middle.
	Broken func(call string) error
	// OfOld is set for agents that do not say when a walk begins.
	OfOld bool
	// Unseen is of how many files a walk that reads everything says that they changed without a trace.
	Unseen int

	asking sync.Mutex // held while Broken is asked
	mu     sync.Mutex
	calls  []string
	asked  []model.TreeRequest
	dumps  []model.DumpRequest
}

// Asked are the trees that were asked for, in order.
func (a *Agents) Asked() []model.TreeRequest {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]model.TreeRequest(nil), a.asked...)
}

// AskedDumps are the dumps that were asked for, in order.
func (a *Agents) AskedDumps() []model.DumpRequest {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]model.DumpRequest(nil), a.dumps...)
}

// Calls are the calls that came, in order.
func (a *Agents) Calls() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.calls...)
}

func (a *Agents) called(call string) error {
	a.mu.Lock()
	a.calls = append(a.calls, call)
	a.mu.Unlock()
	if a.Broken == nil {
		return nil
	}
	a.asking.Lock()
	defer a.asking.Unlock()
	return a.Broken(call)
}

// Web returns the agent of a web server.
func (a *Agents) Web(_ context.Context, server string) (backup.Web, error) {
	return &agent{a, server}, nil
}

// DB returns the agent of the database server.
func (a *Agents) DB(_ context.Context, server string) (backup.DB, error) {
	return &agent{a, server}, nil
}

type agent struct {
	*Agents
	server string
}

// BriefInfo says nothing but a version. It is not among the calls; its name to Broken is such as "info web1".
func (a *agent) BriefInfo(context.Context) (model.AgentInfo, error) {
	if a.Broken != nil {
		if err := a.Broken("info " + a.server); err != nil {
			return model.AgentInfo{}, err
		}
	}
	return model.AgentInfo{Version: "test"}, nil
}

// ProbeSite gives the page that was set.
func (a *agent) ProbeSite(context.Context, model.SiteRef, string, string) (model.PageProbe, error) {
	return a.Page, a.called("probe")
}

// ReadSettings gives the settings that were set. It is not among the calls.
func (a *agent) ReadSettings(context.Context, model.SiteRef, string) (*model.DatabaseSettings, error) {
	return a.Settings, a.SettingsErr
}

// BeginMaintenance is noted.
func (a *agent) BeginMaintenance(context.Context, model.SiteRef, string, time.Duration) (model.Closing, error) {
	return model.Closing{}, a.called("begin " + a.server)
}

// RenewMaintenance is noted.
func (a *agent) RenewMaintenance(context.Context, model.SiteRef, string, time.Duration) error {
	return a.called("renew " + a.server)
}

// EndMaintenance is noted, and fails if its context has ended.
func (a *agent) EndMaintenance(ctx context.Context, _ model.SiteRef, _ string) error {
	return errors.Join(ctx.Err(), a.called("end "+a.server))
}

// ReadTree walks Dir.
func (a *agent) ReadTree(ctx context.Context, r model.TreeRequest, base iter.Seq2[archive.BaseFrame, error], emit backup.Emit) (archive.Summary, error) {
	a.mu.Lock()
	a.asked = append(a.asked, r)
	a.mu.Unlock()
	if err := a.called("tree"); err != nil {
		return archive.Summary{}, err
	}
	codec, err := archive.NewCodec(archive.Format(r.Format), r.Level)
	if err != nil {
		return archive.Summary{}, err
	}
	root, err := os.OpenRoot(a.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return a.withoutRoot(ctx, r, err, emit)
	}
	if err != nil {
		return archive.Summary{}, err
	}
	defer root.Close()
	source, err := archive.NewSource(root, archive.SourceOptions{
		Codec: codec, Exclude: r.Excludes, NoDump: r.NoDump, CacheDirTags: r.ExcludeCaches, Base: base, BaseStarted: r.BaseStartedAt,
		Partial: r.Partial, PartialStarted: r.PartialStartedAt, ReadAll: r.ReadAll, SendAll: r.SendAll,
	})
	if err != nil {
		return archive.Summary{}, err
	}
	if r.Begun != nil && !a.OfOld {
		r.Begun(time.Now())
	}
	if r.BlankCredentials && r.Blanked != nil {
		r.Blanked([]string{"settings.php", "sites/local.php"})
	}
	summary, err := source.Run(ctx, a.breakable("tree item", emit))
	if err != nil {
		return summary, err
	}
	if err := a.unseen(ctx, r, emit); err != nil {
		return summary, err
	}
	return summary, a.called("tree summary")
}

func (a *agent) unseen(ctx context.Context, r model.TreeRequest, emit backup.Emit) error {
	if !r.ReadAll {
		return nil
	}
	for n := range a.Unseen {
		w := archive.Warning{Kind: archive.WarnUnseen, Path: fmt.Sprintf("./files/%d.php", n), Detail: "changed"}
		if err := emit(ctx, archive.Item{Warning: &w}); err != nil {
			return err
		}
	}
	return nil
}

func (a *agent) withoutRoot(ctx context.Context, r model.TreeRequest, cause error, emit backup.Emit) (archive.Summary, error) {
	if !r.Salvage {
		return archive.Summary{}, errs.New(errs.NotFound, "look there", "root: %w", cause)
	}
	now := time.Now()
	w := archive.Warning{Kind: archive.WarnUnreadable, Path: "./", Detail: "the directory cannot be read"}
	return archive.Summary{Warnings: 1, StartedAt: now, FinishedAt: now}, emit(ctx, archive.Item{Warning: &w})
}

func (a *agent) breakable(call string, emit backup.Emit) backup.Emit {
	return func(ctx context.Context, it archive.Item) error {
		if err := a.called(call); err != nil {
			return err
		}
		return emit(ctx, it)
	}
}

// Dump frames the tables.
func (a *agent) Dump(ctx context.Context, r model.DumpRequest, base iter.Seq2[archive.BaseDumpFrame, error], emit backup.Emit) (model.DumpSummary, archive.Summary, error) {
	a.mu.Lock()
	a.dumps = append(a.dumps, r)
	a.mu.Unlock()
	if err := a.called("dump"); err != nil {
		return model.DumpSummary{}, archive.Summary{}, err
	}
	codec, err := archive.NewCodec(archive.Format(r.Format), r.Level)
	if err != nil {
		return model.DumpSummary{}, archive.Summary{}, err
	}
	framer, err := archive.NewDumpFramer(ctx, archive.DumpOptions{Codec: codec, Base: base}, a.breakable("dump item", emit))
	if err != nil {
		return model.DumpSummary{}, archive.Summary{}, err
	}
	defer framer.Abort()
	if r.Begun != nil && !a.OfOld {
		r.Begun()
	}
	if err := a.write(framer, r.StructureOnly); err != nil {
		return model.DumpSummary{}, archive.Summary{}, err
	}
	summary, err := framer.Close()
	if err != nil {
		return a.summary(r.StructureOnly), summary, err
	}
	return a.summary(r.StructureOnly), summary, a.called("dump summary")
}

// structureOnly reports whether a table's rows are left out.
func structureOnly(patterns []string, table string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, table)
		return ok && err == nil
	})
}

func (a *agent) write(framer *archive.DumpFramer, bare []string) error {
	section := func(kind archive.SectionKind, name string, statements ...string) error {
		if err := framer.BeginSection(kind, name); err != nil {
			return err
		}
		for _, s := range statements {
			if _, err := framer.Write([]byte(s + ";\n")); err != nil {
				return err
			}
			if err := framer.EndStatement(int64(len(statements))); err != nil {
				return err
			}
		}
		return nil
	}
	if err := section(archive.SectionHead, "", "SET NAMES utf8mb4"); err != nil {
		return err
	}
	for _, t := range a.Tables {
		if t.View != "" {
			if err := section(archive.SectionView, t.Name, "CREATE VIEW "+t.View); err != nil {
				return err
			}
			continue
		}
		var inserts []string
		for _, row := range t.Rows {
			if structureOnly(bare, t.Name) {
				break
			}
			inserts = append(inserts, fmt.Sprintf("INSERT INTO `%s` VALUES ('%s')", t.Name, row))
		}
		if err := section(archive.SectionTable, t.Name, "CREATE TABLE `"+t.Name+"` (x text)"); err != nil {
			return err
		}
		if err := section(archive.SectionData, t.Name, inserts...); err != nil {
			return err
		}
	}
	return section(archive.SectionTail, "", "-- Dump completed")
}

func (a *agent) summary(bare []string) model.DumpSummary {
	out := model.DumpSummary{Charset: "utf8mb4", Collation: "utf8mb4_general_ci", Collations: []string{"utf8mb4_general_ci", "utf8mb4_bin"}, Server: "10.11.6-MariaDB"}
	for _, t := range a.Tables {
		table := model.Table{Name: t.Name, Rows: uint64(len(t.Rows)), View: t.View != "", StructureOnly: structureOnly(bare, t.Name)}
		if table.StructureOnly {
			table.Rows = 0
		}
		out.Tables = append(out.Tables, table)
	}
	return out
}
