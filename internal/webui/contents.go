package webui

import (
	"context"
	"io"
	"mime"
	"net/http"
	gopath "path"
	"slices"
	"strconv"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// contentsData is a directory of a backup, and at its top the tables of the database.
type contentsData struct {
	Backup  *sitekeepv1.Backup
	Known   bool // its site is under care: there is something to restore
	Crumbs  []crumb
	Entries []entry
	More    int // entries that are not shown
	Tables  []*sitekeepv1.Table
}

// crumb is a directory above what is shown.
type crumb struct{ Name, Coded string }

// entry is a thing in a directory.
type entry struct {
	*sitekeepv1.Entry
	Name, Coded string
}

// mostEntries bounds a page; a directory with more is one for the command line.
const mostEntries = 5000

func (u *UI) contents(r *request) error {
	got, err := u.backups.GetBackup(r.ctx, &sitekeepv1.GetBackupRequest{Id: r.PathValue("backup")})
	if err != nil {
		return err
	}
	raw, err := decodePath(r.FormValue("at"))
	if err != nil {
		return err
	}
	d := contentsData{Backup: got.GetBackup(), Crumbs: crumbs(string(raw))}
	if _, d.Known, err = u.siteOfBackup(r, d.Backup.GetSite()); err != nil {
		return err
	}
	if err := u.entries(r, raw, &d); err != nil {
		return err
	}
	if len(raw) == 0 && d.Backup.GetTables() > 0 {
		stream, err := u.backups.ListTables(r.ctx, &sitekeepv1.ListTablesRequest{Id: d.Backup.GetId()})
		if err != nil {
			return err
		}
		err = each(stream.Recv, func(m *sitekeepv1.ListTablesResponse) error {
			d.Tables = append(d.Tables, m.GetTables()...)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return u.render(r, "contents", "Inside "+d.Backup.GetId(), d)
}

func (u *UI) entries(r *request, raw []byte, d *contentsData) error {
	stream, err := u.backups.ListEntries(r.ctx, &sitekeepv1.ListEntriesRequest{Id: d.Backup.GetId(), RawPath: raw})
	if err != nil {
		return err
	}
	err = each(stream.Recv, func(m *sitekeepv1.ListEntriesResponse) error {
		for _, e := range m.GetEntries() {
			if len(d.Entries) == mostEntries {
				d.More++
				continue
			}
			d.Entries = append(d.Entries, entry{e, gopath.Base(e.GetPath()), codePath(e.GetRawPath())})
		}
		return nil
	})
	slices.SortStableFunc(d.Entries, func(a, b entry) int {
		if dir := (a.GetType() == "dir"); dir != (b.GetType() == "dir") {
			return map[bool]int{true: -1, false: 1}[dir]
		}
		return strings.Compare(a.Name, b.Name)
	})
	return err
}

func crumbs(raw string) (out []crumb) {
	if raw == "" {
		return nil
	}
	for at, name := range strings.Split(raw, "/") {
		above := strings.Join(strings.Split(raw, "/")[:at+1], "/")
		out = append(out, crumb{strings.ToValidUTF8(name, "\uFFFD"), codePath([]byte(above))})
	}
	return out
}

// piece is a part of a download. The last one has the hash; a stream without it is cut off.
type piece interface {
	GetData() []byte
	GetSha256() string
}

// pour sends a stream of the API on. Once something was sent, what goes wrong breaks the connection, so that the browser
// does not take a part for the whole.
func pour[P piece](u *UI, r *request, recv func() (P, error), first P) error {
	whole, sent := false, false
	give := func(p P) error {
		whole = whole || p.GetSha256() != ""
		if len(p.GetData()) == 0 {
			return nil
		}
		sent = true
		_, err := r.w.Write(p.GetData())
		return err
	}
	err := give(first)
	if err == nil {
		err = each(recv, give)
	}
	if err == nil && !whole {
		err = io.ErrUnexpectedEOF
	}
	if err == nil || !sent {
		return err
	}
	if r.ctx.Err() == nil {
		u.o.Log.Error("download", "path", r.URL.Path, "error", err)
	}
	panic(http.ErrAbortHandler)
}

func attachment(h http.Header, name string) {
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": clean(strings.ReplaceAll(name, "\n", "\uFFFD"))}))
}

func (u *UI) download(r *request) error {
	ctx, stop := context.WithCancel(r.ctx)
	defer stop()
	stream, err := u.backups.DownloadBackup(ctx, &sitekeepv1.DownloadBackupRequest{Id: r.PathValue("backup")})
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	b := first.GetBackup()
	attachment(r.w.Header(), b.GetId()+"."+b.GetFormat())
	r.w.Header().Set("Content-Length", strconv.FormatInt(b.GetSize(), 10))
	return pour(u, r, stream.Recv, first)
}

func (u *UI) file(r *request) error {
	raw, err := decodePath(r.FormValue("at"))
	if err != nil {
		return err
	}
	if len(raw) == 0 {
		return errs.New(errs.Usage, "choose a file", "the top of a backup is no file")
	}
	ctx, stop := context.WithCancel(r.ctx)
	defer stop()
	stream, err := u.backups.ReadEntry(ctx, &sitekeepv1.ReadEntryRequest{Id: r.PathValue("backup"), RawPath: raw})
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	attachment(r.w.Header(), gopath.Base(string(raw)))
	return pour(u, r, stream.Recv, first)
}

func (u *UI) pin(r *request) error {
	got, err := u.backups.PinBackup(r.ctx, &sitekeepv1.PinBackupRequest{Id: r.PathValue("backup"), Pinned: r.PostFormValue("pinned") == "yes"})
	if err != nil {
		return err
	}
	return r.redirect("sites", got.GetBackup().GetSite())
}

// checkBackup starts a task that reads all of a backup and compares every hash.
func (u *UI) checkBackup(r *request) error {
	got, err := u.backups.CheckBackups(r.ctx, &sitekeepv1.CheckBackupsRequest{Ids: []string{r.PathValue("backup")}, ReadData: true})
	if err != nil {
		return err
	}
	return r.redirect("tasks", got.GetTask().GetId())
}

func (u *UI) deleteBackup(r *request) error {
	got, err := u.backups.GetBackup(r.ctx, &sitekeepv1.GetBackupRequest{Id: r.PathValue("backup")})
	if err != nil {
		return err
	}
	if _, err := u.backups.DeleteBackup(r.ctx, &sitekeepv1.DeleteBackupRequest{Id: got.GetBackup().GetId()}); err != nil {
		return err
	}
	return r.redirect("sites", got.GetBackup().GetSite())
}
