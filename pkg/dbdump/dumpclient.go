package dbdump

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// client is the engine that runs the dump program.
type client struct {
	dump   *dump
	prog   *program
	stderr tail
}

// prepare finds the dump program.
func (c *client) prepare(ctx context.Context) error {
	var err error
	c.prog, err = c.dump.in.dumpProgram(ctx)
	return err
}

// run runs the program and cuts its output into statements.
func (c *client) run(ctx context.Context, take func(chunk, *scanner) error) error {
	d := c.dump
	c.warnOptions()
	d.program = c.prog.version
	o := d.o
	o.StructureOnly = d.structureOnlyNames()
	defer d.urgent()()
	return d.in.options.Runner.Run(ctx, Command{
		Path:   c.prog.path,
		Args:   c.prog.dumpArgs(o, d.unreadable()),
		Env:    programEnv(),
		FD3:    c.prog.credentials(d.in.server),
		Stdout: func(r io.Reader) error { return splitDump(r, take) },
		Stderr: &c.stderr,
	})
}

// warnOptions tells what was asked for and only the native engine does.
func (c *client) warnOptions() {
	o := c.dump.o
	if o.LockTables {
		c.dump.warn.add(WarnEngine, o.Database, "the client engine does not lock tables")
	}
	if o.History && !c.prog.options["dump-history"] {
		c.dump.warn.add(WarnEngine, o.Database, "the dump program cannot dump the history of system-versioned tables")
	}
}

// splitDump hands the statements of a program's output to take.
func splitDump(r io.Reader, take func(chunk, *scanner) error) error {
	split := newSplitter(r, nil)
	for {
		c, err := split.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := take(c, &split.lex); err != nil {
			return err
		}
	}
}

// judge looks at the exit status, the end mark and standard error.
func (c *client) judge(ctx context.Context, err error) error {
	d, stderr := c.dump, scrub(c.stderr.String(), c.dump.in.server.Password)
	var sink errSink
	switch {
	case errors.As(err, &sink):
		return &Error{Op: opDump, Subject: d.o.Database, Kind: KindSink, Err: sink.error}
	case ctx.Err() != nil:
		return &Error{Op: opDump, Subject: d.o.Database, Kind: KindCancelled, Err: context.Cause(ctx)}
	case d.o.Salvage && d.complete && classifyLines(stderr).kind != KindUnreachable:
		c.salvaged(stderr) // a program that goes on in spite of errors would also outlive its server
		return nil
	case err != nil:
		return c.failed(err, stderr)
	case !d.complete:
		return failAs(KindIncomplete, opDump, d.o.Database, "try again; if it happens again, run the dump program by hand",
			"the end mark is missing after %d bytes%s", d.tally.total.Bytes, lastWords(stderr))
	}
	return c.judgeWords(stderr)
}

// judgeWords looks at what a program that ended well wrote to standard error.
func (c *client) judgeWords(stderr string) error {
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if strings.Contains(line, "rror") || strings.Contains(line, "Couldn't") {
			return c.failed(errors.New("exit status 0, but"), stderr)
		}
		if line != "" {
			c.dump.warn.add(WarnProgram, c.dump.o.Database, line)
		}
	}
	return nil
}

// salvaged turns what a best-effort dump could not read into warnings.
func (c *client) salvaged(stderr string) {
	for line := range strings.Lines(stderr) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		subject := subjectOf(line)
		if subject == "" {
			subject = c.dump.o.Database
		}
		c.dump.warn.add(WarnSkipped, subject, "not or only partly in the dump: "+line)
	}
}

// failed says why the program failed, in its own words.
func (c *client) failed(err error, stderr string) error {
	f := classifyLines(stderr)
	subject := c.dump.o.Database
	if s := subjectOf(stderr); s != "" {
		subject = QuoteIdent(subject) + "." + QuoteIdent(s)
	}
	return failAs(f.kind, opDump, subject, f.hint, "%w%s", err, lastWords(stderr))
}

// lastWords returns the end of what a program wrote, as one line to append.
func lastWords(stderr string) string {
	const most = 1000
	words := strings.Join(strings.Fields(stderr), " ")
	if words == "" {
		return ""
	}
	if len(words) > most {
		words = "..." + strings.ToValidUTF8(words[len(words)-most:], "")
	}
	return fmt.Sprintf(": %s", words)
}
