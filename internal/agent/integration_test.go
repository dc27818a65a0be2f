//go:build integration

package agent_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sitekeep/sitekeep/internal/agent"
	"github.com/sitekeep/sitekeep/internal/agent/config"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	"github.com/sitekeep/sitekeep/pkg/webserver"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
	"github.com/sitekeep/sitekeep/test/bed"
)

// realRig is an agent on real servers with a real site.
type realRig struct {
	*rig
	bed  *bed.T
	db   *bed.MariaDB
	web  *bed.Web
	wp   *bed.WordPress
	site *agentv1.SiteRef
}

func newReal(t *testing.T) *realRig {
	t.Helper()
	b := bed.New(t)
	r := &realRig{bed: b, db: b.MariaDB("db1"), web: b.Web("web1")}
	r.wp = b.WordPress(r.web, r.db, "blog.example")
	passwordFile := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(passwordFile, []byte(r.db.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.rig = newRig(t, func(o *agent.Options) {
		o.Config = &config.Config{
			Allow: config.Allow{Roots: []string{r.web.Root}, Databases: []string{"*"}},
			MySQL: &config.MySQL{Host: r.db.Addr.Addr().String(), Port: int(r.db.Addr.Port()), User: "root", PasswordFile: passwordFile},
			Webserver: &webserver.Config{
				Kind: "nginx", VhostDir: r.web.VhostDir, Listen: []string{r.web.Addr.String()}, WebGroup: "nogroup",
				TestCommand: r.web.TestCommand(), ReloadCommand: r.web.ReloadCommand(), PHPFPM: "unix:" + r.web.FPMSocket,
				PHPReloadCommand: r.web.PHPReloadCommand(),
			},
		}
	})
	r.www = r.web.Root
	r.site = &agentv1.SiteRef{Name: r.wp.Name, Kind: "wordpress", Root: r.wp.Root}
	return r
}

// watch looks for texts in the arguments and environments of all processes until stop is called, which tells where they were seen.
func watch(t *testing.T, secrets ...string) (stop func() []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	seen := map[string]bool{}
	looks := 0
	wg.Go(func() {
		for ctx.Err() == nil {
			looks++
			lookAtProcesses(secrets, seen)
			time.Sleep(2 * time.Millisecond)
		}
	})
	return func() []string {
		cancel()
		wg.Wait()
		if looks < 10 {
			t.Errorf("processes were looked at %d times only", looks)
		}
		var list []string
		for s := range seen {
			list = append(list, s)
		}
		return list
	}
}

func lookAtProcesses(secrets []string, seen map[string]bool) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		for _, file := range []string{"cmdline", "environ"} {
			text, err := os.ReadFile(dir + "/" + file)
			for i, secret := range secrets {
				if err == nil && bytes.Contains(text, []byte(secret)) {
					seen[fmt.Sprintf("secret %d in %s of %.60q", i, file, text)] = true
				}
			}
		}
	}
}

// dump calls Dump and takes everything.
func (r *rig) dump(name, format string, salvage bool) (received, *agentv1.DumpSummary, []*agentv1.Warning, error) {
	r.t.Helper()
	var (
		got      received
		warnings []*agentv1.Warning
	)
	stream, err := r.database.Dump(r.ctx())
	if err != nil {
		return got, nil, nil, err
	}
	header := &agentv1.DumpHeader{Name: name, Format: format, Salvage: salvage}
	if err := stream.Send(&agentv1.DumpRequest{Message: &agentv1.DumpRequest_Header{Header: header}}); err != nil && !errors.Is(err, io.EOF) {
		return got, nil, nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return got, nil, nil, err
	}
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return got, nil, warnings, errors.New("the stream ended without a summary")
		case err != nil:
			return got, nil, warnings, err
		case m.GetFrame() != nil:
			f, err := wire.FrameFromProto(m.GetFrame())
			if err != nil {
				r.t.Fatal(err)
			}
			got.frames = append(got.frames, f)
		case m.GetWarning() != nil:
			warnings = append(warnings, m.GetWarning())
		case m.GetSummary() != nil:
			s := wire.SummaryFromProto(m.GetSummary().GetStream())
			got.summary = &s
			return got, m.GetSummary(), warnings, nil
		}
	}
}

// importFrames calls Import; without end the stream stops before its end mark.
func (r *rig) importFrames(header *agentv1.ImportHeader, frames []archive.Frame, end bool) (*agentv1.ImportResponse, error) {
	r.t.Helper()
	stream, err := r.database.Import(r.ctx())
	if err != nil {
		return nil, err
	}
	messages := []*agentv1.ImportRequest{{Message: &agentv1.ImportRequest_Header{Header: header}}}
	for i := range frames {
		messages = append(messages, &agentv1.ImportRequest{Message: &agentv1.ImportRequest_Frame{Frame: wire.FrameToProto(&frames[i])}})
	}
	if end {
		messages = append(messages, &agentv1.ImportRequest{Message: &agentv1.ImportRequest_End{End: &agentv1.StreamEnd{}}})
	}
	for _, m := range messages {
		if err := stream.Send(m); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
	}
	return stream.CloseAndRecv()
}

const newPassword = `c4nary '"\#%& pässword`

func (r *realRig) create(name string, adopt bool) error {
	_, err := r.database.CreateDatabase(r.ctx(), &agentv1.CreateDatabaseRequest{
		Name: name, User: name, Password: newPassword, Hosts: []string{"192.0.2.9"}, Charset: "utf8mb4", Adopt: adopt,
	}) // 127.0.0.1, from where the agent imports, is added by the agent
	return err
}

func (r *realRig) checksums(database string) map[string]string {
	r.t.Helper()
	sums := map[string]string{}
	rows, err := r.db.Root().QueryContext(r.ctx(), "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?", database)
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var table, full, sum string
		if err := rows.Scan(&table); err != nil {
			r.t.Fatal(err)
		}
		err := r.db.Root().QueryRowContext(r.ctx(), "CHECKSUM TABLE "+bed.Ident(database)+"."+bed.Ident(table)+" EXTENDED").Scan(&full, &sum)
		if err != nil {
			r.t.Fatal(err)
		}
		sums[table] = sum
	}
	return sums
}

// TestDatabaseGoesUpAndComesDown is the way of a site's database through a backup and a restore.
func TestDatabaseGoesUpAndComesDown(t *testing.T) {
	r := newReal(t)
	stop := watch(t, r.db.Password, newPassword, r.wp.Password)
	for _, format := range []string{"tar.zst", "tar.gz"} {
		t.Run(format, func(t *testing.T) { r.roundTrip(t, "site_"+strings.ReplaceAll(format, ".", "_"), format) })
	}
	if seen := stop(); len(seen) > 0 {
		t.Errorf("passwords were seen: %q", seen)
	}
	if log := r.log.String(); strings.Contains(log, r.db.Password) || strings.Contains(log, "c4nary") {
		t.Error("a password is in the log")
	}
}

func (r *realRig) roundTrip(t *testing.T, name, format string) {
	got, summary, warnings, err := r.dump(r.wp.Database, format, false)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("dump: %v, warnings %v", err, warnings)
	}
	if got.summary.Frames != int64(len(got.frames)) || got.summary.Rows == 0 || len(summary.GetTables()) < 10 || summary.GetCharset() == "" {
		t.Errorf("summary = %+v, %v", got.summary, summary)
	}
	sections := 0
	for _, f := range got.frames {
		sections += len(f.Sections)
	}
	if sections < 2*len(summary.GetTables()) || int64(sections) != got.summary.Sections {
		t.Errorf("%d sections in the frames, %d in the summary", sections, got.summary.Sections)
	}
	if err := r.create(name, false); err != nil {
		t.Fatal(err)
	}
	if err := r.create(name, false); !errs.Is(err, errs.Exists) {
		t.Errorf("a database that exists: error = %v", err)
	}
	if err := r.create(name, true); err != nil {
		t.Errorf("an announced database: error = %v", err)
	}
	reply, err := r.importFrames(&agentv1.ImportHeader{Name: name, Format: format, User: name, Password: newPassword}, got.frames, true)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rowsOf(summary.GetTables()), rowsOf(reply.GetTables())); diff != "" {
		t.Errorf("tables (-dumped +imported):\n%s", diff)
	}
	if diff := cmp.Diff(r.checksums(r.wp.Database), r.checksums(name)); diff != "" {
		t.Errorf("checksums (-dumped +imported):\n%s", diff)
	}
	r.dropAgain(t, name)
}

func rowsOf(tables []*agentv1.TableInfo) map[string]string {
	rows := map[string]string{}
	for _, t := range tables {
		rows[t.GetName()] = fmt.Sprint(t.GetRows(), t.GetView())
	}
	return rows
}

func (r *realRig) dropAgain(t *testing.T, name string) {
	t.Helper()
	for _, existed := range []bool{true, false} {
		reply, err := r.database.DropDatabase(r.ctx(), &agentv1.DropDatabaseRequest{Name: name, User: name})
		if err != nil || reply.GetExisted() != existed || len(reply.GetWarnings()) > 0 {
			t.Errorf("drop: %v, %v", reply, err)
		}
	}
	state, err := r.database.InspectDatabase(r.ctx(), &agentv1.InspectDatabaseRequest{Name: name})
	if err != nil || state.GetExists() {
		t.Errorf("inspect: %v, %v", state, err)
	}
	var users int
	if err := r.db.Root().QueryRowContext(r.ctx(), "SELECT COUNT(*) FROM mysql.user WHERE User = ?", name).Scan(&users); err != nil || users != 0 {
		t.Errorf("%d accounts are left, %v", users, err)
	}
}

func TestImportsThatMustFail(t *testing.T) {
	r := newReal(t)
	got, _, _, err := r.dump(r.wp.Database, "tar.zst", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.create("site_new", false); err != nil {
		t.Fatal(err)
	}
	good := &agentv1.ImportHeader{Name: "site_new", Format: "tar.zst", User: "site_new", Password: newPassword}
	flipped := append([]archive.Frame(nil), got.frames...)
	flipped[0].Data = bytes.Clone(flipped[0].Data)
	flipped[0].Data[len(flipped[0].Data)/2] ^= 1
	last := len(got.frames) - 1
	for name, c := range map[string]struct {
		header *agentv1.ImportHeader
		frames []archive.Frame
		end    bool
		kind   errs.Kind
	}{
		"no end mark of the stream": {good, got.frames, false, errs.Unreachable},
		"no end mark of the dump":   {good, got.frames[:last], true, errs.Corrupt},
		"nothing":                   {good, nil, true, errs.Corrupt},
		"a flipped bit":             {good, flipped, true, errs.Corrupt},
		"no user":                   {&agentv1.ImportHeader{Name: "site_new", Format: "tar.zst"}, got.frames, true, errs.Usage},
		"wrong password":            {&agentv1.ImportHeader{Name: "site_new", Format: "tar.zst", User: "site_new", Password: "x"}, got.frames, true, errs.Precondition},
		"an administrator":          {&agentv1.ImportHeader{Name: "site_new", Format: "tar.zst", User: "root", Password: r.db.Password}, got.frames, true, errs.Permission},
	} {
		t.Run(name, func(t *testing.T) {
			reply, err := r.importFrames(c.header, c.frames, c.end)
			if !errs.Is(err, c.kind) {
				t.Errorf("reply %v, error = %v (%v), want kind %v", reply, err, errs.KindOf(err), c.kind)
			}
			if err != nil && (strings.Contains(err.Error(), r.db.Password) || strings.Contains(err.Error(), newPassword)) {
				t.Error("a password is in the error")
			}
		})
	}
}

func TestDumpsOfBrokenDatabases(t *testing.T) {
	r := newReal(t)
	if _, _, _, err := r.dump("no_such_database", "tar.zst", false); !errs.Is(err, errs.NotFound) {
		t.Errorf("a database that does not exist: error = %v (%v)", err, errs.KindOf(err))
	}
	err := r.db.Exec(r.ctx(), "CREATE TABLE "+bed.Ident(r.wp.Database)+".gone (a int)",
		"CREATE VIEW "+bed.Ident(r.wp.Database)+".broken AS SELECT * FROM "+bed.Ident(r.wp.Database)+".gone", "DROP TABLE "+bed.Ident(r.wp.Database)+".gone")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := r.dump(r.wp.Database, "tar.zst", false); err == nil {
		t.Error("a view whose table is gone was dumped without a word")
	}
	_, summary, warnings, err := r.dump(r.wp.Database, "tar.zst", true)
	if err != nil || len(warnings) == 0 || !strings.Contains(fmt.Sprint(warnings), "broken") {
		t.Errorf("salvage: %v, warnings %v", err, warnings)
	}
	if rows := rowsOf(summary.GetTables()); rows["broken"] != "" || rows["wp_posts"] == "" {
		t.Errorf("tables = %v", rows)
	}
}

// TestSharedAccountsStay: what may be used by another site is not dropped with a database.
func TestSharedAccountsStay(t *testing.T) {
	r := newReal(t)
	if err := r.create("site_a", false); err != nil {
		t.Fatal(err)
	}
	if err := r.db.Exec(r.ctx(), "CREATE DATABASE site_b", "GRANT SELECT ON site_b.* TO 'site_a'@'127.0.0.1'"); err != nil {
		t.Fatal(err)
	}
	reply, err := r.database.DropDatabase(r.ctx(), &agentv1.DropDatabaseRequest{Name: "site_a", User: "site_a"})
	if err != nil || !reply.GetExisted() || len(reply.GetWarnings()) != 1 || !strings.Contains(reply.GetWarnings()[0], "site_b") {
		t.Errorf("drop: %v, %v", reply, err)
	}
	reply, err = r.database.DropDatabase(r.ctx(), &agentv1.DropDatabaseRequest{User: "root"})
	if err != nil || len(reply.GetWarnings()) != 1 {
		t.Errorf("the administrator's account: %v, %v", reply, err)
	}
	if err := r.db.Root().PingContext(r.ctx()); err != nil {
		t.Error(err)
	}
}

// TestASiteIsExchanged goes through what a restore asks of a web server.
func TestASiteIsExchanged(t *testing.T) {
	r := newReal(t)
	stop := watch(t, r.db.Password, newPassword, r.wp.Password)
	if err := r.wp.RemoveVhost(r.ctx()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.vhost.WriteVhost(r.ctx(), &agentv1.WriteVhostRequest{Site: r.site, Task: task}); err != nil {
		t.Fatal(err)
	}
	r.pageWorks(t, "")
	before := fingerprint(t, r.wp.Root)
	r.stageWithNewDatabase(t)
	r.begin503(t)
	state, err := r.tree.InspectTree(r.ctx(), &agentv1.InspectTreeRequest{Site: r.site, Task: task})
	if err != nil {
		t.Fatal(err)
	}
	r.swap(t, state.GetLiveInode(), state.GetStagedInode())
	r.pageWorks(t, task)
	probe, err := r.settings.ProbeDatabase(r.ctx(), &agentv1.ProbeDatabaseRequest{Site: r.site})
	if err != nil || probe.GetProblem() != "" || probe.GetSettings().GetName() != "site_new" || probe.GetTables() < 10 {
		t.Errorf("database of the new site: %v, %v", probe, err)
	}
	r.swap(t, state.GetStagedInode(), state.GetLiveInode())
	if _, err := r.vhost.EndMaintenance(r.ctx(), &agentv1.EndMaintenanceRequest{Site: r.site, Task: task}); err != nil {
		t.Fatal(err)
	}
	r.pageWorks(t, "")
	if _, err := r.tree.RemoveStaging(r.ctx(), &agentv1.RemoveStagingRequest{Site: r.site, Task: task, LiveInode: state.GetLiveInode()}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, fingerprint(t, r.wp.Root)); diff != "" {
		t.Errorf("the site is not what it was:\n%s", diff)
	}
	if _, err := r.vhost.RevertVhost(r.ctx(), &agentv1.RevertVhostRequest{Site: r.site, Task: task}); err != nil {
		t.Fatal(err)
	}
	if seen := stop(); len(seen) > 0 {
		t.Errorf("passwords were seen: %q", seen)
	}
}

// stageWithNewDatabase makes a staged tree like the live one, with a new database.
func (r *realRig) stageWithNewDatabase(t *testing.T) {
	t.Helper()
	got, _, _, err := r.dump(r.wp.Database, "tar.zst", false)
	if err != nil {
		t.Fatal(err)
	}
	host, err := r.settings.ObserveAddress(r.ctx(), &agentv1.ObserveAddressRequest{Address: r.db.Addr.String()})
	if err != nil || host.GetHost() != "127.0.0.1" {
		t.Fatalf("observed host %v, %v", host, err)
	}
	if err := r.create("site_new", true); err != nil {
		t.Fatal(err)
	}
	if _, err := r.importFrames(&agentv1.ImportHeader{Name: "site_new", Format: "tar.zst", User: "site_new", Password: newPassword}, got.frames, true); err != nil {
		t.Fatal(err)
	}
	tree, err := r.read(&agentv1.ReadTreeHeader{Site: r.site, Format: "tar.zst"})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(r.wp.Root)
	if _, err := r.write(name, r.assemble(archive.TarZstd, tree, nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.settings.WriteSettings(r.ctx(), &agentv1.WriteSettingsRequest{
		Site: r.site, Task: task, Password: newPassword,
		Settings: &agentv1.DatabaseSettings{Host: r.db.Addr.String(), Name: "site_new", User: "site_new"},
	}); err != nil {
		t.Fatal(err)
	}
}

func (r *realRig) begin503(t *testing.T) {
	t.Helper()
	reply, err := r.vhost.BeginMaintenance(r.ctx(), &agentv1.BeginMaintenanceRequest{Site: r.site, Task: task, Lease: durationpb.New(time.Minute)})
	if err != nil || reply.GetWarning() != "" {
		t.Fatalf("begin maintenance: %v, %v", reply, err)
	}
	visitor, err := r.vhost.ProbeSite(r.ctx(), &agentv1.ProbeSiteRequest{Site: r.site})
	if err != nil || visitor.GetStatus() != 503 || !visitor.GetMaintenance() || visitor.GetProblem() == "" {
		t.Errorf("a visitor gets %v, %v", visitor, err)
	}
	r.pageWorks(t, task)
}

func (r *realRig) swap(t *testing.T, live, staged uint64) {
	t.Helper()
	if _, err := r.tree.ExchangeTree(r.ctx(), &agentv1.ExchangeTreeRequest{Site: r.site, Task: task, LiveInode: live, StagedInode: staged}); err != nil {
		t.Fatal(err)
	}
	reply, err := r.vhost.Reload(r.ctx(), &agentv1.ReloadRequest{})
	if err != nil || reply.GetWarning() != "" {
		t.Errorf("reload: %v, %v", reply, err)
	}
}

func (r *realRig) pageWorks(t *testing.T, task string) {
	t.Helper()
	page, err := r.vhost.ProbeSite(r.ctx(), &agentv1.ProbeSiteRequest{Site: r.site, Task: task})
	if err != nil || page.GetStatus() != 200 || page.GetProblem() != "" || page.GetBodyBytes() < 1000 {
		t.Errorf("the page for task %q: %v, %v", task, page, err)
	}
}

func TestInfoOfRealServers(t *testing.T) {
	r := newReal(t)
	info, err := r.info.GetInfo(r.ctx(), &agentv1.GetInfoRequest{})
	if err != nil || len(info.GetProblems()) > 0 || !strings.Contains(info.GetDatabaseServer(), "MariaDB") || info.GetDatabaseAddress() != r.db.Addr.String() {
		t.Errorf("info = %v, %v", info, err)
	}
	found, err := r.settings.DetectSite(r.ctx(), &agentv1.DetectSiteRequest{Site: &agentv1.SiteRef{Name: r.wp.Name, Root: r.wp.Root}})
	if err != nil || found.GetKind() != "wordpress" || found.GetSettings().GetName() != r.wp.Database || found.GetProblem() != "" {
		t.Errorf("found %v, %v", found, err)
	}
	state, err := r.database.InspectDatabase(r.ctx(), &agentv1.InspectDatabaseRequest{
		Name: r.wp.Database, CountRows: true, Collations: []string{"utf8mb4_general_ci", "klingon_ci"},
	})
	if err != nil || !state.GetExists() || state.GetBytes() == 0 || len(state.GetTables()) < 10 || strings.Join(state.GetUnknownCollations(), ",") != "klingon_ci" {
		t.Errorf("state = %v, %v", state, err)
	}
}
