//go:build mysql && integration

package dbdump

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mysqlBed starts a MySQL server. It runs as we do: the programs may lie where
// nobody else can enter.
func mysqlBed(t *testing.T, programs string) *mariadb {
	t.Helper()
	dir := t.TempDir()
	m := &mariadb{dir: dir, host: "127.0.0.78", socket: filepath.Join(dir, "s.sock")}
	var err error
	m.port, err = freePort(m.host)
	must(t, err)
	flags := []string{"--datadir=" + dir + "/data", "--mysqlx=OFF", "--skip-name-resolve", "--event-scheduler=OFF", "--secure-file-priv=NULL", "--skip-log-bin"}
	if os.Geteuid() == 0 {
		flags = append(flags, "--user=root")
	}
	mysqld := filepath.Join(programs, "mysqld")
	if out, err := exec.Command(mysqld, append(flags, "--initialize-insecure")...).CombinedOutput(); err != nil {
		t.Fatalf("initialize: %v: %s", err, out)
	}
	must(t, m.launch(exec.Command(mysqld, append(flags, "--socket="+m.socket, "--pid-file="+dir+"/pid",
		"--bind-address="+m.host, "--port="+strconv.Itoa(m.port), "--log-error="+dir+"/err.log")...)))
	t.Cleanup(m.kill)
	return m
}

// fetchMySQL returns a directory of the user's cache with mysqld and mysqldump.
func fetchMySQL(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "sitekeep-bed", "mysql-1")
	if out, err := exec.Command("../../scripts/fetch-mysql", dir).CombinedOutput(); err != nil {
		t.Fatalf("fetch-mysql: %v: %s", err, out)
	}
	return dir
}

// TestMySQL sends a database with what only MySQL has, and with everything that
// both have, out by both engines and back. The same is asked over TCP, where
// accounts have caching_sha2_password and the server offers TLS.
func TestMySQL(t *testing.T) {
	programs := fetchMySQL(t)
	m := mysqlBed(t, programs)
	in := m.open(t, m.server(), Options{DumpProgram: filepath.Join(programs, "mysqldump")})
	if in.Version().Flavour != MySQL {
		t.Fatalf("this is %s", in.Version())
	}
	m.fresh(t, "torture", "latin1")
	m.load(t, "torture", "testdata/torture-mysql.sql")
	want := m.portrayMySQL(t, in, "torture")
	for _, engine := range []Engine{EngineNative, EngineClient} {
		t.Run(string(engine), func(t *testing.T) {
			sink, sum := dumped(t, in, DumpOptions{Database: "torture", Engine: engine, Parallel: 2})
			if diff := cmp.Diff(want.Rows, sum.TableRows()); diff != "" {
				t.Error(diff)
			}
			m.roundTrip(t, in, want, sink.Bytes(), sum)
		})
	}
	t.Run("over TCP", func(t *testing.T) {
		account := UserSpec{Name: "site", Password: NewSecret("it's \\ \"#%ä"), Hosts: []string{"127.0.0.1"}, Database: "torture"}
		must(t, in.EnsureUser(t.Context(), account))
		m.exec(t, "GRANT SHOW_ROUTINE ON *.* TO site@127.0.0.1")
		for _, mode := range []TLSMode{TLSPreferred, TLSRequired, TLSDisabled} {
			s := Server{Host: m.host, Port: m.port, User: account.Name, Password: account.Password, TLS: mode}
			remote := m.open(t, s, Options{DumpProgram: filepath.Join(programs, "mysqldump")})
			sink, sum := dumped(t, remote, DumpOptions{Database: "torture", Engine: EngineNative})
			m.roundTrip(t, in, want, sink.Bytes(), sum)
		}
		must(t, in.DropUsers(t.Context(), DropUsersSpec{Name: account.Name}))
	})
}

// roundTrip imports a dump into a new database and compares it with a portrait.
func (m *mariadb) roundTrip(t *testing.T, in *Instance, want portrait, dump []byte, sum DumpSummary) {
	t.Helper()
	const name = "returned"
	must(t, in.CreateDatabase(t.Context(), DatabaseSpec{Name: name, Charset: sum.Charset, Collation: sum.Collation}))
	defer m.exec(t, "DROP DATABASE "+name)
	did, err := in.Import(t.Context(), ImportOptions{Database: name, TemporaryUser: "returned_imp"}, bytes.NewReader(dump))
	if err != nil {
		t.Fatal(err, HintOf(err))
	}
	defer m.exec(t, "DROP USER "+did.Definer.String())
	if diff := cmp.Diff(want, m.portrayMySQL(t, in, name)); diff != "" {
		t.Error(diff)
	}
}

// portrayMySQL compares one table by its values: CHECKSUM TABLE gives another
// sum each time where there are vectors or keys over JSON arrays.
func (m *mariadb) portrayMySQL(t *testing.T, in *Instance, name string) portrait {
	t.Helper()
	p := portray(t, m, in, name)
	delete(p.Sums, "multi")
	rows := names(t, m.db(t, name), "SELECT CONCAT_WS('|', id, j, HEX(v), ST_AsText(p), ST_SRID(p)) FROM multi")
	p.Objects["rows of multi"] = strings.Join(rows, "\n")
	return p
}
