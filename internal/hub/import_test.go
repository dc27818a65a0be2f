package hub

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/intake"
	"github.com/sitekeep/sitekeep/internal/pki"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// importing gives the hub an importer over its own store.
func (r *rig) importing(t *testing.T) *rig {
	t.Helper()
	dir := filepath.Join(filepath.Dir(r.socket), "store")
	r.hub.Importer = intake.New(intake.Deps{Store: r.hub.Store, Catalogue: r.hub.Catalogue, Dir: dir, Now: time.Now})
	return r
}

// siteTar is a tarball of a small WordPress, with or without its dump.
func siteTar(t *testing.T, dump bool) []byte {
	t.Helper()
	files := []struct{ name, body string }{{"./wp-config.php", "<?php"}}
	if dump {
		files = append(files, struct{ name, body string }{"./database.sql", importedDump})
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		must(t, w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o4644, Size: int64(len(f.body)), Typeflag: tar.TypeReg}))
		_, err := io.WriteString(w, f.body)
		must(t, err)
	}
	must(t, w.Close())
	return out.Bytes()
}

const importedDump = "-- MySQL dump 10.13\nCREATE TABLE `t` (a int);\nINSERT INTO `t` VALUES (1);\n-- Dump completed\n"

// send uploads messages; a stream that the hub has ended is told by its answer.
func send(t *testing.T, ctx context.Context, conn *grpc.ClientConn, messages ...*sitekeepv1.ImportBackupRequest) (*sitekeepv1.ImportBackupResponse, error) {
	t.Helper()
	stream, err := sitekeepv1.NewBackupServiceClient(conn).ImportBackup(ctx)
	must(t, err)
	for _, m := range messages {
		if stream.Send(m) != nil {
			break
		}
	}
	return stream.CloseAndRecv()
}

func header(site string) *sitekeepv1.ImportBackupRequest {
	return &sitekeepv1.ImportBackupRequest{Header: &sitekeepv1.ImportHeader{Site: site, Source: "in/old.example-20260101.000000.tar"}}
}

// inPieces cuts data into messages.
func inPieces(data []byte, size int) (out []*sitekeepv1.ImportBackupRequest) {
	for len(data) > 0 {
		n := min(size, len(data))
		out = append(out, &sitekeepv1.ImportBackupRequest{Data: data[:n]})
		data = data[n:]
	}
	return out
}

func TestImportBackup(t *testing.T) {
	r := newRig(t).importing(t)
	conn := r.local(t)
	got, err := send(t, t.Context(), conn, append([]*sitekeepv1.ImportBackupRequest{header("new.example")}, inPieces(siteTar(t, true), 700)...)...)
	must(t, err)
	b := got.GetBackup()
	if b.GetOrigin() != "imported" || b.GetTables() != 1 || b.GetRows() != 1 || b.GetDescription() != "Imported from old.example-20260101.000000.tar" ||
		got.GetKind() != "wordpress" || got.GetOldName() != "old.example" || len(got.GetWarnings()) != 1 || !strings.Contains(got.GetWarnings()[0], "set-id") {
		t.Errorf("got %v", got)
	}
	beside := append([]*sitekeepv1.ImportBackupRequest{header("new.example")}, inPieces(siteTar(t, false), 1000)...)
	beside = append(beside, &sitekeepv1.ImportBackupRequest{DumpName: "dump.sql", Data: []byte(importedDump[:10])}, &sitekeepv1.ImportBackupRequest{Data: []byte(importedDump[10:])})
	if got, err = send(t, t.Context(), conn, beside...); err != nil || got.GetBackup().GetRows() != 1 {
		t.Errorf("a dump beside: %v, %v", got, err)
	}
	entries, _, err := r.hub.Catalogue.Audit(t.Context(), 100, "")
	must(t, err)
	if len(entries) != 2 || entries[0].Subject != "new.example" || entries[0].Outcome != "ok" || !strings.HasSuffix(entries[0].Method, "ImportBackup") {
		t.Errorf("the audit log has %+v", entries)
	}
}

func TestImportBackupRefusals(t *testing.T) {
	r := newRig(t).importing(t)
	conn := r.local(t)
	data := &sitekeepv1.ImportBackupRequest{Data: siteTar(t, true)}
	bad := func(change func(*sitekeepv1.ImportHeader)) *sitekeepv1.ImportBackupRequest {
		h := header("new.example")
		change(h.Header)
		return h
	}
	for name, c := range map[string]struct {
		messages []*sitekeepv1.ImportBackupRequest
		kind     errs.Kind
	}{
		"nothing":     {nil, errs.Usage},
		"no header":   {[]*sitekeepv1.ImportBackupRequest{data}, errs.Usage},
		"two headers": {[]*sitekeepv1.ImportBackupRequest{header("new.example"), header("new.example"), data}, errs.Usage},
		"two dumps":   {[]*sitekeepv1.ImportBackupRequest{header("new.example"), data, {DumpName: "a"}, {DumpName: "b"}}, errs.Usage},
		"name":        {[]*sitekeepv1.ImportBackupRequest{header("../x"), data}, errs.Usage},
		"format":      {[]*sitekeepv1.ImportBackupRequest{bad(func(h *sitekeepv1.ImportHeader) { h.Format = "zip" }), data}, errs.Usage},
		"description": {[]*sitekeepv1.ImportBackupRequest{bad(func(h *sitekeepv1.ImportHeader) { h.Description = strings.Repeat("x", 1001) }), data}, errs.Usage},
		"size":        {[]*sitekeepv1.ImportBackupRequest{bad(func(h *sitekeepv1.ImportHeader) { h.Size = -1 }), data}, errs.Usage},
		"cut":         {[]*sitekeepv1.ImportBackupRequest{header("new.example"), {Data: data.Data[:700]}}, errs.Corrupt},
		"no dump":     {[]*sitekeepv1.ImportBackupRequest{header("new.example"), {Data: siteTar(t, false)}}, errs.Precondition},
	} {
		if got, err := send(t, t.Context(), conn, c.messages...); !errs.Is(err, c.kind) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	r.noBackups(t)
}

func (r *rig) noBackups(t *testing.T) {
	t.Helper()
	list, _, err := r.hub.Catalogue.Backups(t.Context(), catalogue.BackupFilter{})
	if err != nil || len(list) > 0 {
		t.Errorf("listed are %v, %v", list, err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(r.socket), "store", "*", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("the store has %v, %v", left, err)
	}
}

// A client that goes away in the middle leaves nothing.
func TestImportBackupInterrupted(t *testing.T) {
	r := newRig(t).importing(t)
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := sitekeepv1.NewBackupServiceClient(r.local(t)).ImportBackup(ctx)
	must(t, err)
	must(t, stream.Send(header("new.example")))
	must(t, stream.Send(&sitekeepv1.ImportBackupRequest{Data: siteTar(t, true)}))
	cancel()
	for range 600 { // the hub notes the end of the call
		entries, _, err := r.hub.Catalogue.Audit(t.Context(), 100, "")
		must(t, err)
		if len(entries) == 1 && entries[0].Outcome == "cancelled" {
			r.noBackups(t)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Error("the import does not end")
}

// tokenOf makes a further token of a role and a client.
func (r *rig) tokenOf(t *testing.T, role catalogue.APIRole, client, name string) string {
	t.Helper()
	token := pki.NewAPIToken(r.hub.CA.Fingerprint())
	hash := token.Hash()
	must(t, r.hub.Catalogue.CreateAPIToken(t.Context(), catalogue.APIToken{Name: name, Hash: hash[:], Role: role, Client: client, CreatedAt: time.Now()}))
	return token.Text()
}

// Importing is for admins, and those of a client have their own sites alone.
func TestWhoMayImport(t *testing.T) {
	r := newRig(t).importing(t)
	r.addSite(t, "mine.example", "me")
	r.addSite(t, "theirs.example", "them")
	conn := r.dial(t, r.pinned())
	data := &sitekeepv1.ImportBackupRequest{Data: siteTar(t, true)}
	for _, c := range []struct {
		role   catalogue.APIRole
		client string
		site   string
		want   codes.Code
	}{
		{catalogue.APIViewer, "", "new.example", codes.PermissionDenied},
		{catalogue.APIOperator, "", "mine.example", codes.PermissionDenied},
		{catalogue.APIAdmin, "me", "theirs.example", codes.NotFound},
		{catalogue.APIAdmin, "me", "new.example", codes.NotFound},
	} {
		ctx := withToken(t.Context(), r.tokenOf(t, c.role, c.client, c.client+string(c.role)+c.site))
		if _, err := send(t, ctx, conn, header(c.site), data); status.Code(err) != c.want {
			t.Errorf("%s of %q for %s: %v", c.role, c.client, c.site, err)
		}
	}
	r.noBackups(t)
	for site, token := range map[string]string{"mine.example": r.tokenOf(t, catalogue.APIAdmin, "me", "good"), "new.example": r.tokenOf(t, catalogue.APIAdmin, "", "all")} {
		if _, err := send(t, withToken(t.Context(), token), conn, header(site), data); err != nil {
			t.Errorf("%s: %v", site, err)
		}
	}
}
