package dbdump

import (
	"context"
	"fmt"
	"path"
)

// Engine says what reads the database for a dump.
type Engine string

// The engines.
const (
	// EngineAuto is the native one, or, with a warning that says why, the client
	// where the native one meets a server or an object that it does not know.
	EngineAuto Engine = ""
	// EngineNative speaks to the server itself.
	EngineNative Engine = "native"
	// EngineClient is mariadb-dump or mysqldump.
	EngineClient Engine = "client"
)

// engine reads a database that was looked at before.
type engine interface {
	// prepare refuses what this engine cannot dump, with an errUnknown if the
	// other one may be able to. Nothing was handed out when it fails.
	prepare(ctx context.Context) error
	// run hands out the dump in order. lex has the modes in which the chunk is
	// to be read. It returns take's first error as it is.
	run(ctx context.Context, take func(c chunk, lex *scanner) error) error
	// judge decides, once run has ended, whether the dump was a good one.
	judge(ctx context.Context, err error) error
}

// errUnknown is why the native engine leaves a database to the client.
type errUnknown struct{ what string }

func (e errUnknown) Error() string { return e.what }

// ParseEngine reads the name of an engine; "" stands for EngineAuto.
func ParseEngine(name string) (Engine, error) {
	switch e := Engine(name); e {
	case EngineAuto, EngineNative, EngineClient:
		return e, nil
	}
	return "", failAs(KindInvalid, opDump, "", `use "native", "client" or leave it empty`, "dump engine %q is unknown", name)
}

// check refuses options that cannot work.
func (o DumpOptions) check() error {
	if _, err := ParseEngine(string(o.Engine)); err != nil {
		return err
	}
	if o.Parallel < 0 || o.MaxThreadsRunning < 0 {
		return failAs(KindInvalid, opDump, o.Database, "give 0 or more", "a number of connections or threads is negative")
	}
	for _, p := range o.StructureOnly {
		if _, err := path.Match(p, ""); err != nil {
			return failAs(KindInvalid, opDump, o.Database, "correct the pattern of tables dumped without rows", "pattern %q: %w", p, err)
		}
	}
	return nil
}

// structureOnly reports whether a table's rows are left out.
func (o DumpOptions) structureOnly(table string) bool {
	for _, p := range o.StructureOnly {
		if ok, _ := path.Match(p, table); ok || p == table {
			return true
		}
	}
	return false
}

// chooseEngine prepares the engine that will dump.
func (d *dump) chooseEngine(ctx context.Context) (engine, error) {
	if d.o.Engine == EngineClient {
		return d.clientEngine(ctx)
	}
	n := &native{dump: d}
	err := n.prepare(ctx)
	unknown, ok := err.(errUnknown) //nolint:errorlint // ours, never wrapped
	switch {
	case !ok:
		return n, err
	case d.o.Engine == EngineNative:
		return n, failAs(KindRefused, opDump, d.o.Database, "use the client engine for it", "the native engine does not know %w", err)
	}
	e, cerr := d.clientEngine(ctx)
	if cerr != nil {
		return e, fmt.Errorf("the native engine does not know %s, and the client: %w", unknown.what, cerr)
	}
	d.warn.add(WarnEngine, d.o.Database, "dumped by the client program, because the native engine does not know "+unknown.what)
	return e, nil
}

func (d *dump) clientEngine(ctx context.Context) (engine, error) {
	c := &client{dump: d}
	return c, c.prepare(ctx)
}
