package dbdump

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// program is a dump program and what it said of itself.
type program struct {
	path    string
	version Version
	options map[string]bool // the long options it knows, without --
}

// dumpNames are the dump programs, by the flavour of the server; the other
// flavour's comes second because it mostly works.
var dumpNames = map[Flavour][]string{
	MariaDB: {"mariadb-dump", "mysqldump"},
	MySQL:   {"mysqldump", "mariadb-dump"},
}

// helpOption matches a long option in --help: "  -q, --quick", "  --set-gtid-purged[=name]".
var helpOption = regexp.MustCompile(`(?m)^\s+(?:-\S,\s)?--([a-z0-9][a-z0-9-]*)`)

// dumpProgram finds the dump program and asks what it knows, once.
func (in *Instance) dumpProgram(ctx context.Context) (*program, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.dumper != nil {
		return in.dumper, nil
	}
	path, err := in.findDumper()
	if err != nil {
		return nil, err
	}
	p := &program{path: path, options: map[string]bool{}}
	out, err := in.ask(ctx, path, "--version")
	if err != nil {
		return nil, err
	}
	p.version = parseProgramVersion(out)
	out, err = in.ask(ctx, path, "--no-defaults", "--help")
	if err != nil {
		return nil, err
	}
	for _, m := range helpOption.FindAllStringSubmatch(out, -1) {
		p.options[m[1]] = true
	}
	in.dumper = p
	return p, nil
}

// parseProgramVersion reads "mariadb-dump  Ver 10.19 Distrib 10.11.6-MariaDB, for
// ...", "mariadb-dump from 11.4.2-MariaDB, client 10.19" or "mysqldump  Ver 8.0.36 ...".
func parseProgramVersion(s string) Version {
	s = strings.TrimSpace(s)
	v := parseVersion(s, "")
	if !strings.Contains(s, "MariaDB") {
		v.Flavour = MySQL
	}
	return v
}

func (in *Instance) findDumper() (string, error) {
	if in.options.DumpProgram != "" {
		return in.options.DumpProgram, nil
	}
	names := dumpNames[in.version.Flavour]
	for _, n := range names {
		if p, err := in.options.Runner.LookPath(n); err == nil {
			return p, nil
		}
	}
	return "", failAs(KindClient, "find dump program", "", "install mariadb-client or mysql-client on this server",
		"neither %s is in PATH", strings.Join(names, " nor "))
}

// ask runs a program for what it prints.
func (in *Instance) ask(ctx context.Context, path string, args ...string) (string, error) {
	var out bytes.Buffer
	var stderr tail
	err := in.options.Runner.Run(ctx, Command{
		Path: path, Args: args, Env: programEnv(), Stderr: &stderr,
		Stdout: func(r io.Reader) error {
			_, err := io.Copy(&out, io.LimitReader(r, 1<<20))
			return err
		},
	})
	if err != nil {
		return "", failAs(KindClient, "ask dump program", path, "check that it can be run", "%w: %s", err, stderr.String())
	}
	return out.String(), nil
}

// programEnv is the environment of client programs: nothing of ours, no
// personal option files (HOME, MYSQL_HOME, the login path), messages in English.
func programEnv() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=/nonexistent", "MYSQL_HOME=/nonexistent",
		"MYSQL_TEST_LOGIN_FILE=/nonexistent",
	}
}

// credentials is the option file that a client program reads from descriptor 3.
func (p *program) credentials(s Server) []byte {
	var b strings.Builder
	b.WriteString("[client]\n")
	b.WriteString(optionLine("user", s.User))
	b.WriteString(optionLine("password", s.Password.Reveal()))
	if s.Socket != "" {
		b.WriteString(optionLine("socket", s.Socket))
		b.WriteString("host=localhost\nprotocol=socket\n")
		return []byte(b.String())
	}
	b.WriteString(optionLine("host", s.Host))
	fmt.Fprintf(&b, "port=%d\nprotocol=tcp\n", s.port())
	b.WriteString(p.tlsLines(s))
	return []byte(b.String())
}

// tlsLines says the TLS mode in the words of MySQL (ssl-mode) or MariaDB.
func (p *program) tlsLines(s Server) string {
	ca := ""
	if s.CAFile != "" && s.TLS == TLSVerify {
		ca = optionLine("ssl-ca", s.CAFile)
	}
	mode, maria := "PREFERRED", "loose-ssl=1\nloose-ssl-verify-server-cert=0\n"
	switch s.TLS {
	case TLSDisabled:
		mode, maria = "DISABLED", "loose-ssl=0\n"
	case TLSRequired:
		mode = "REQUIRED"
	case TLSVerify:
		mode, maria = "VERIFY_IDENTITY", "ssl=1\nssl-verify-server-cert=1\n"
	}
	if p.options["ssl-mode"] {
		return "ssl-mode=" + mode + "\n" + ca
	}
	return maria + ca
}

// dumpFlags are what every dump is made with. They are given even where they
// are defaults, because a machine's option files may say otherwise.
// --skip-add-locks: with LOCK TABLES, rows whose default is a sequence's next
// value cannot be inserted. --skip-dump-date: an unchanged database gives an
// unchanged dump; the end mark is written all the same.
var dumpFlags = []string{
	"--single-transaction", "--quick", "--skip-lock-tables", "--skip-lock-all-tables", "--routines", "--triggers",
	"--events", "--hex-blob", "--default-character-set=utf8mb4", "--set-charset", "--tz-utc", "--quote-names",
	"--create-options", "--extended-insert", "--disable-keys", "--add-drop-table", "--skip-add-locks",
	"--no-autocommit", "--comments", "--skip-dump-date",
	"--max-allowed-packet=1073741824",
}

// optionalFlags are given to programs that know the option before the =.
var optionalFlags = []string{
	"--no-tablespaces",
	"--column-statistics=0",   // MySQL 8's own, asks for a table older servers lack
	"--set-gtid-purged=OFF",   // MySQL
	"--get-server-public-key", // MySQL, for caching_sha2_password without TLS
	"--max-statement-time=0",  // MariaDB
}

// dumpArgs returns the arguments for a dump. Credentials are on descriptor 3.
func (p *program) dumpArgs(o DumpOptions, ignore []string) []string {
	args := append([]string{"--defaults-extra-file=/dev/fd/3"}, dumpFlags...)
	for _, f := range optionalFlags {
		name, _, _ := strings.Cut(strings.TrimPrefix(f, "--"), "=")
		if p.options[name] {
			args = append(args, f)
		}
	}
	for _, t := range ignore {
		args = append(args, "--ignore-table="+o.Database+"."+t)
	}
	if p.options["ignore-table-data"] {
		for _, t := range o.StructureOnly {
			args = append(args, "--ignore-table-data="+o.Database+"."+t)
		}
	}
	if o.Salvage {
		args = append(args, "--force")
	}
	if o.History && p.options["dump-history"] {
		args = append(args, "--dump-history")
	}
	return append(args, "--", o.Database)
}
