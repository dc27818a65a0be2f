package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/test/bed"
)

// The corpus: text as code is, media that no compressor makes smaller, and
// tables as a busy site has them. Raise corpusRevision with every change.
const (
	corpusRevision = "2"
	corpusSeed     = 20261123

	textFiles  = 18_420
	mediaFiles = 1_105
	textMean   = 7_500   // bytes of a text file
	mediaMean  = 420_000 // bytes of a medium
)

// corpusInfo is what a corpus came to; it lies beside it as corpus.json.
type corpusInfo struct {
	Files     int   // without wp-config.php and index.php, which each run writes
	Bytes     int64 // of these files
	DumpBytes int64 // of mariadb-dump's output
}

// corpus is the machine's cached corpus: dir has tree/, and data/ of a stopped
// database server.
type corpus struct {
	corpusInfo
	dir string
}

// benchDatabase is the database's name in the corpus.
const benchDatabase = "bench"

func loadCorpus(ctx context.Context, b *bed.Bed) (*corpus, error) {
	dir, err := b.Cached(ctx, "bench-corpus-"+corpusRevision, makeCorpus)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "corpus.json"))
	if err != nil {
		return nil, err
	}
	c := &corpus{dir: dir}
	if err := json.Unmarshal(text, &c.corpusInfo); err != nil {
		return nil, fmt.Errorf("corpus.json: %w", err)
	}
	return c, nil
}

func makeCorpus(ctx context.Context, dir string) error {
	words, err := readSource()
	if err != nil {
		return err
	}
	t := &treeMaker{rand: rand.New(rand.NewPCG(corpusSeed, 1)), words: words, root: filepath.Join(dir, "tree")}
	if err := t.make(ctx); err != nil {
		return err
	}
	info := corpusInfo{Files: t.files, Bytes: t.bytes}
	if info.DumpBytes, err = makeData(ctx, dir, words); err != nil {
		return err
	}
	text, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "corpus.json"), text, 0o644)
}

// source is real text, by file, as lines.
type source [][]string

// readSource reads the code of the machine's own WordPress and PHP libraries.
// Lines that a minifier made are left out: they are files of their own kind.
func readSource() (source, error) {
	var all source
	for _, root := range []string{"/usr/share/wordpress", "/usr/share/php"} {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			switch filepath.Ext(path) {
			case ".php", ".js", ".css":
			default:
				return nil
			}
			if !e.Type().IsRegular() {
				return nil
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			var lines []string
			for line := range strings.Lines(string(text)) {
				if len(line) < 300 {
					lines = append(lines, line)
				}
			}
			if len(lines) >= 40 {
				all = append(all, lines)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("source of text: %w", err)
		}
	}
	if len(all) < 500 {
		return nil, errors.New("source of text: fewer than 500 files of code: is wordpress installed?")
	}
	return all, nil
}

// text writes about size bytes as runs of 10 to 60 consecutive lines from here
// and there, so that it compresses as code does and no two files are the same.
func (s source) text(w io.StringWriter, r *rand.Rand, size int) error {
	for size > 0 {
		lines := s[r.IntN(len(s))]
		start := r.IntN(len(lines))
		for _, line := range lines[start:min(len(lines), start+10+r.IntN(50))] {
			if _, err := w.WriteString(line); err != nil {
				return err
			}
			size -= len(line)
		}
	}
	return nil
}

// treeMaker makes the files of the site.
type treeMaker struct {
	rand  *rand.Rand
	words source
	root  string
	dirs  []string
	files int
	bytes int64
}

func (t *treeMaker) make(ctx context.Context) error {
	t.makeDirs()
	for i := range textFiles {
		if err := ctx.Err(); err != nil {
			return err
		}
		ext := []string{".php", ".php", ".php", ".js", ".css", ".twig"}[t.rand.IntN(6)]
		dir := t.dirs[t.rand.IntN(len(t.dirs)*4/5)]
		path := filepath.Join(t.root, dir, fmt.Sprintf("%s-%d%s", t.name(), i, ext))
		if err := t.write(path, t.size(textMean, 1.1, 60, 400_000), t.text); err != nil {
			return err
		}
	}
	for i := range mediaFiles {
		if err := ctx.Err(); err != nil {
			return err
		}
		ext := []string{".jpg", ".jpg", ".jpg", ".png", ".webp", ".pdf", ".mp4"}[t.rand.IntN(7)]
		dir := filepath.Join("wp-content", "uploads", fmt.Sprint(2019+t.rand.IntN(8)), fmt.Sprintf("%02d", 1+t.rand.IntN(12)))
		path := filepath.Join(t.root, dir, fmt.Sprintf("%s-%d%s", t.name(), i, ext))
		if err := t.write(path, t.size(mediaMean, 1.3, 2_000, 12_000_000), t.noise); err != nil {
			return err
		}
	}
	return nil
}

// makeDirs thinks of about 4,000 directories, most of them deep, as packages
// have them; the last fifth stays empty of code.
func (t *treeMaker) makeDirs() {
	t.dirs = []string{"", "wp-admin", "wp-includes", "wp-content/plugins", "wp-content/themes", "vendor"}
	for len(t.dirs) < 4_000 {
		parent := t.dirs[t.rand.IntN(len(t.dirs))]
		if strings.Count(parent, "/") > 7 {
			continue
		}
		t.dirs = append(t.dirs, filepath.Join(parent, fmt.Sprintf("%s%d", t.name(), len(t.dirs))))
	}
}

// name is a word of the source, as files and directories are named.
func (t *treeMaker) name() string {
	for {
		lines := t.words[t.rand.IntN(len(t.words))]
		fields := strings.FieldsFunc(lines[t.rand.IntN(len(lines))], func(r rune) bool { return r < 'a' || r > 'z' })
		for _, f := range fields {
			if len(f) >= 4 && len(f) <= 14 {
				return f
			}
		}
	}
}

// size is log-normal with the given mean: many small files, few large ones.
func (t *treeMaker) size(mean, sigma float64, least, most int) int {
	mu := math.Log(mean) - sigma*sigma/2
	return max(least, min(most, int(math.Exp(mu+sigma*t.rand.NormFloat64()))))
}

func (t *treeMaker) write(path string, size int, fill func(w *bufio.Writer, size int) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 64<<10)
	if err := errors.Join(fill(w, size), w.Flush(), f.Chmod(0o644), f.Chown(bed.Nobody, bed.Nogroup)); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	t.files++
	t.bytes += info.Size()
	// Within two years before a fixed day: nothing was changed just now.
	when := time.Unix(1_790_000_000-int64(t.rand.IntN(2*365*86400)), int64(t.rand.IntN(1_000_000_000)))
	return os.Chtimes(path, when, when)
}

func (t *treeMaker) text(w *bufio.Writer, size int) error { return t.words.text(w, t.rand, size) }

func (t *treeMaker) noise(w *bufio.Writer, size int) error {
	var word [8]byte
	for ; size > 0; size -= 8 {
		binary.LittleEndian.PutUint64(word[:], t.rand.Uint64())
		if _, err := w.Write(word[:min(8, size)]); err != nil {
			return err
		}
	}
	return nil
}
