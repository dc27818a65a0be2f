//go:build integration

package dbdump

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"
)

// bigDatabase fills a database with about 120 MB of what sites have: posts, meta data,
// sessions (blobs), counters.
func bigDatabase(t testing.TB, m *mariadb) string {
	t.Helper()
	m.fresh(t, "big", "utf8mb4")
	db := m.db(t, "big")
	m.exec(t, "CREATE TABLE big.posts (id int AUTO_INCREMENT PRIMARY KEY, author int, title varchar(200), body longtext, at datetime, KEY (author), KEY (at))",
		"CREATE TABLE big.meta (id int AUTO_INCREMENT PRIMARY KEY, post int, k varchar(100), v longtext, KEY (post), KEY (k))",
		"CREATE TABLE big.sessions (id varchar(64) PRIMARY KEY, data blob, ts int)",
		"CREATE TABLE big.counters (id bigint PRIMARY KEY, a int, b int, c double, d decimal(10,2))")
	r := rand.New(rand.NewSource(1))
	words := strings.Fields("the quick brown fox it's \"quoted\" jumps; over <p>lazy</p> dogs\n and äöü -- runs /* away */ a:2:{s:3:\\\"x\\\"}")
	text := func(n int) string {
		var b strings.Builder
		for b.Len() < n {
			b.WriteString(words[r.Intn(len(words))])
			b.WriteByte(' ')
		}
		return b.String()
	}
	insert := func(table string, n, per int, row func(i int) string) {
		for i := 0; i < n; i += per {
			var b strings.Builder
			b.WriteString("INSERT INTO " + table + " VALUES ")
			for j := i; j < i+per; j++ {
				if j > i {
					b.WriteByte(',')
				}
				b.WriteString(row(j + 1))
			}
			if _, err := db.Exec(b.String()); err != nil {
				t.Fatal(err)
			}
		}
	}
	insert("posts", 15000, 500, func(i int) string {
		return fmt.Sprintf("(%d,%d,%s,%s,'2026-01-02 03:04:05')", i, r.Intn(100), QuoteString(text(40)), QuoteString(text(3000)))
	})
	insert("meta", 200000, 5000, func(i int) string {
		return fmt.Sprintf("(%d,%d,'_key_%d',%s)", i, r.Intn(15000), r.Intn(50), QuoteString(text(120)))
	})
	insert("sessions", 10000, 1000, func(i int) string {
		b := make([]byte, 600)
		r.Read(b)
		return fmt.Sprintf("('%064d',0x%X,%d)", i, b, r.Intn(1<<30))
	})
	insert("counters", 300000, 10000, func(i int) string {
		return fmt.Sprintf("(%d,%d,%d,%f,%d.25)", i, r.Intn(1<<30), -r.Intn(1<<30), r.Float64(), r.Intn(100000))
	})
	return "big"
}

// fileSink writes a dump to a file.
type fileSink struct{ f *os.File }

func (s fileSink) BeginSection(Section) error { return nil }

func (s fileSink) Statement(b []byte, _ bool, _ int64) error {
	_, err := s.f.Write(b)
	return err
}

func median(d []time.Duration) time.Duration {
	sort.Slice(d, func(i, j int) bool { return d[i] < d[j] })
	return d[len(d)/2]
}

func timed(t testing.TB, f func() error) time.Duration {
	t.Helper()
	start := time.Now()
	if err := f(); err != nil {
		t.Fatal(err)
	}
	return time.Since(start)
}

// bareDump is mariadb-dump > path, with the flags that Dump uses.
func bareDump(m *mariadb, in *Instance, path string) error {
	prog, err := in.dumpProgram(context.Background())
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	args := append([]string{"--no-defaults", "-uroot", "-S", m.socket}, prog.dumpArgs(DumpOptions{Database: "big"}, nil)[1:]...)
	cmd := exec.Command("mariadb-dump", args...)
	cmd.Stdout = f
	return cmd.Run()
}

// BenchmarkDump compares the engines, each into a file, with mariadb-dump into
// a file, and BenchmarkImport Import with the mariadb client. They report ratios
// of medians of interleaved rounds.
func BenchmarkDump(b *testing.B) {
	m := bed(b)
	in := m.open(b, m.server(), Options{})
	bigDatabase(b, m)
	path := b.TempDir() + "/dump.sql"
	var bare []time.Duration
	rows := []struct {
		name  string
		o     DumpOptions
		times []time.Duration
	}{
		{"native1", DumpOptions{Engine: EngineNative, Parallel: 1}, nil},
		{"native2", DumpOptions{Engine: EngineNative, Parallel: 2}, nil},
		{"client", DumpOptions{Engine: EngineClient}, nil},
	}
	for range max(b.N, 5) {
		bare = append(bare, timed(b, func() error { return bareDump(m, in, path) }))
		for i := range rows {
			r := &rows[i]
			r.o.Database = "big"
			r.times = append(r.times, timed(b, func() error { return dumpToFile(in, r.o, path) }))
		}
	}
	st, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(st.Size())/1e6, "MB")
	b.ReportMetric(median(bare).Seconds(), "s-bare")
	for _, r := range rows {
		b.ReportMetric(median(r.times).Seconds()/median(bare).Seconds(), "ratio-"+r.name)
	}
}

func dumpToFile(in *Instance, o DumpOptions, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = in.Dump(context.Background(), o, fileSink{f})
	return err
}

func BenchmarkImport(b *testing.B) {
	m := bed(b)
	in := m.open(b, m.server(), Options{})
	bigDatabase(b, m)
	path := b.TempDir() + "/dump.sql"
	if err := bareDump(m, in, path); err != nil {
		b.Fatal(err)
	}
	var ours, bare, oursCPU, bareCPU []time.Duration
	for range max(b.N, 3) {
		m.fresh(b, "in_bare", "utf8mb4")
		before := m.cpu(b)
		bare = append(bare, timed(b, func() error { m.load(b, "in_bare", path); return nil }))
		bareCPU = append(bareCPU, m.cpu(b)-before)
		m.fresh(b, "in_ours", "utf8mb4")
		before = m.cpu(b)
		ours = append(ours, timed(b, func() error {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = in.Import(context.Background(), ImportOptions{Database: "in_ours", TemporaryUser: "bench_imp"}, f)
			return err
		}))
		oursCPU = append(oursCPU, m.cpu(b)-before)
	}
	b.ReportMetric(median(oursCPU).Seconds()/median(bareCPU).Seconds(), "server-cpu-ratio")
	b.ReportMetric(median(bare).Seconds(), "s-client")
	b.ReportMetric(median(ours).Seconds(), "s-ours")
	b.ReportMetric(median(ours).Seconds()/median(bare).Seconds(), "ratio")
}

// cpu returns the CPU time that the server has taken: fields 14 and 15 of
// proc_pid_stat(5), in ticks of 10 ms.
func (m *mariadb) cpu(t testing.TB) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

var (
	bigDumpOnce sync.Once
	bigDump     []byte
)

// BenchmarkSplitRealDump is the tokenizer alone on the dump of that database.
func BenchmarkSplitRealDump(b *testing.B) {
	m := bed(b)
	in := m.open(b, m.server(), Options{})
	bigDumpOnce.Do(func() {
		bigDatabase(b, m)
		path := b.TempDir() + "/dump.sql"
		if err := bareDump(m, in, path); err != nil {
			b.Fatal(err)
		}
		var err error
		if bigDump, err = os.ReadFile(path); err != nil {
			b.Fatal(err)
		}
	})
	b.SetBytes(int64(len(bigDump)))
	for b.Loop() {
		s := newSplitter(bytes.NewReader(bigDump), nil)
		for {
			if _, err := s.next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}
