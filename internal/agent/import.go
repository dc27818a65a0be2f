package agent

import (
	"context"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// mostParallel bounds what a master may ask of a database server: each
// connection keeps about 8 MiB of the agent's memory.
const mostParallel = 8

type importStream = grpc.ClientStreamingServer[agentv1.ImportRequest, agentv1.ImportResponse]

// Import executes the dump as it comes and answers with what is in the database then.
func (s *databaseService) Import(stream importStream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	header := first.GetHeader()
	if header == nil {
		return noHeader()
	}
	format, err := archive.ParseFormat(header.GetFormat())
	if err != nil {
		return errs.New(errs.Usage, "use tar.zst or tar.gz", "%w", err)
	}
	if header.GetUser() == "" {
		return errs.New(errs.Usage, "give the user that CreateDatabase made", "import into %s: no user is named", header.GetName())
	}
	var reply *agentv1.ImportResponse
	err = s.withDatabase(stream.Context(), header.GetName(), func(in *dbdump.Instance) (err error) {
		reply, err = runImport(stream.Context(), in, s.importOptions(header), format, dumpFrameReader(stream))
		return err
	})
	if err != nil {
		return err
	}
	return stream.SendAndClose(reply)
}

// importOptions joins what the master asks for with the agent's own settings.
func (a *Agent) importOptions(header *agentv1.ImportHeader) dbdump.ImportOptions {
	return dbdump.ImportOptions{
		Database: header.GetName(), User: header.GetUser(), Password: dbdump.NewSecret(header.GetPassword()),
		Parallel: int(min(header.GetParallel(), mostParallel)), Tables: header.GetTables(),
		MaxRunning: a.cfg.MySQL.Import.MaxThreadsRunning,
	}
}

func runImport(ctx context.Context, in *dbdump.Instance, opts dbdump.ImportOptions, format archive.Format, next func() (archive.Frame, error)) (*agentv1.ImportResponse, error) {
	plain, err := archive.NewPlainReader(ctx, format, next)
	if err != nil {
		return nil, err
	}
	summary, err := in.Import(ctx, opts, plain)
	if closeErr := plain.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, err
	}
	reply := &agentv1.ImportResponse{Bytes: uint64(summary.Bytes), Statements: uint64(summary.Statements), Warnings: importWarnings(summary)}
	reply.Tables, err = countTables(ctx, in, opts.Database)
	return reply, err
}

func importWarnings(summary dbdump.ImportSummary) []string {
	var list warningList
	for _, w := range summary.Warnings {
		list.add(validName(fmt.Sprintf("%s: %s", w.Subject, w.Message)))
	}
	return list.lines()
}

// countTables looks at what is in the database now, whatever the import believes.
func countTables(ctx context.Context, in *dbdump.Instance, name string) ([]*agentv1.TableInfo, error) {
	info, err := in.Inspect(ctx, name)
	if err != nil {
		return nil, err
	}
	counts, err := in.CountRows(ctx, name)
	return tablesToProto(info.Tables, counts), err
}

// dumpFrameReader reads frames until the end mark, then gives io.EOF. A stream that ends without is another error.
func dumpFrameReader(stream importStream) func() (archive.Frame, error) {
	return func() (archive.Frame, error) {
		m, err := stream.Recv()
		switch {
		case err != nil:
			return archive.Frame{}, cutOff(err, "the dump")
		case m.GetEnd() != nil:
			return archive.Frame{}, io.EOF
		case m.GetFrame() == nil:
			return archive.Frame{}, noHeader()
		}
		return wire.FrameFromProto(m.GetFrame())
	}
}
