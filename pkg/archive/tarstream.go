package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sort"
	"strings"
)

// tarStream reads the entries of a tar stream of any origin. It lets nothing
// pass that would lead out of a directory.
type tarStream struct {
	ctx  context.Context
	in   countingReader
	tar  *tar.Reader
	end  int64 // where the last entry's content ended, padding included
	size int64 // plain bytes in all, once it has ended
	// renamed maps top-level names to those that they have in the site.
	renamed map[string]string
	// strict refuses what stands behind the end.
	strict bool
}

type countingReader struct {
	r io.Reader
	n int64
}

// Read reads and counts.
func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

func newTarStream(ctx context.Context, r io.Reader) *tarStream {
	s := &tarStream{ctx: ctx, in: countingReader{r: r}, renamed: map[string]string{}}
	s.tar = tar.NewReader(&s.in)
	return s
}

// each calls fn for every entry, with a reader over its content, up to the end
// mark, and then reads on to the end of the stream.
func (s *tarStream) each(fn func(*Entry, io.Reader) error) error {
	for {
		if err := s.ctx.Err(); err != nil {
			return context.Cause(s.ctx)
		}
		h, err := s.tar.Next()
		if err == io.EOF {
			return s.finish()
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return s.broken(err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		if err := s.entry(h, fn); err != nil {
			return err
		}
	}
}

func (s *tarStream) entry(h *tar.Header, fn func(*Entry, io.Reader) error) error {
	e, err := s.decode(h)
	if err != nil {
		return err
	}
	if err := fn(&e, s.tar); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, onlyReader{s.tar}); err != nil {
		return s.broken(err)
	}
	s.end = s.in.n + padTo(s.in.n, blockSize)
	return nil
}

// broken tells a tar stream that ends too early from one that is wrong.
func (s *tarStream) broken(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the tar stream ends within an entry, at byte %d", ErrIncomplete, s.in.n)
	}
	if errors.Is(err, tar.ErrHeader) {
		return corruptAt(-1, "no tar header at byte %d of the tar stream", s.end)
	}
	return fmt.Errorf("read tar stream: %w", err)
}

// finish checks that the end was a mark and not a lack of bytes.
func (s *tarStream) finish() error {
	if s.in.n-s.end < endBlocks {
		return fmt.Errorf("%w: the tar stream has no end mark", ErrIncomplete)
	}
	rest := io.Discard
	if s.strict {
		rest = zerosOnly{}
	}
	if _, err := io.Copy(rest, onlyReader{&s.in}); err != nil {
		return fmt.Errorf("read tar stream: %w", err)
	}
	s.size = s.in.n
	return nil
}

// decode turns a header into an entry whose paths are safe.
func (s *tarStream) decode(h *tar.Header) (Entry, error) {
	path, err := safePath(h.Name)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{
		Path: path, Type: headerType(h), Mode: uint32(h.Mode & 0o7777), Uname: h.Uname, Gname: h.Gname,
		Size: h.Size, ModTime: h.ModTime.UTC(), LinkTarget: h.Linkname, Xattrs: headerXattrs(h),
		Sparse: h.Typeflag == tar.TypeGNUSparse || h.PAXRecords["GNU.sparse.major"] != "" || h.PAXRecords["GNU.sparse.size"] != "",
	}
	if h.Typeflag == tar.TypeCont {
		e.Type = TypeRegular
	}
	if e.Type == 0 {
		return Entry{}, fmt.Errorf("%q is a device, a pipe or of unknown type %q: %w", h.Name, h.Typeflag, ErrUnsafe)
	}
	if h.Uid < 0 || h.Uid >= math.MaxUint32 || h.Gid < 0 || h.Gid >= math.MaxUint32 {
		return Entry{}, fmt.Errorf("%q has owner %d and group %d: %w", h.Name, h.Uid, h.Gid, ErrUnsafe)
	}
	e.UID, e.GID = uint32(h.Uid), uint32(h.Gid)
	var site string
	e.Mode, site = readComment(h.PAXRecords["comment"], e.Type, e.Mode)
	s.rename(&e, site)
	if e.Type != TypeHardlink {
		return e, nil
	}
	e.Size = 0
	e.LinkTarget, err = safePath(h.Linkname)
	return e, err
}

// rename gives an entry the name back that it had to leave to the dump.
func (s *tarStream) rename(e *Entry, site string) {
	if site == "" || tarballPath(site) != e.Path {
		return
	}
	if clean, err := safePath(site); err != nil || clean != site {
		return
	}
	e.SitePath = site
	s.renamed[topOf(e.Path)] = topOf(site)
}

func topOf(path string) string {
	top, _, _ := strings.Cut(strings.TrimPrefix(path, "./"), "/")
	return top
}

// siteTarget returns the name in the site of the file that a hard link names.
func (s *tarStream) siteTarget(target string) string {
	top := topOf(target)
	if name, ok := s.renamed[top]; ok {
		return "./" + name + strings.TrimPrefix(target, "./"+top)
	}
	return target
}

// safePath returns a name as entries have it, and refuses those that lead out of
// the directory they are extracted into.
func safePath(name string) (string, error) {
	if name == "" || strings.HasPrefix(name, "/") || strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("name %q is empty or absolute: %w", name, ErrUnsafe)
	}
	parts := make([]string, 0, 8)
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case "", ".":
		case "..":
			return "", fmt.Errorf("name %q leads upwards: %w", name, ErrUnsafe)
		default:
			parts = append(parts, part)
		}
	}
	if len(parts) > maxDepth+1 {
		return "", fmt.Errorf("name %.60q... is more than %d directories deep: %w", name, maxDepth, ErrUnsafe)
	}
	return "./" + strings.Join(parts, "/"), nil
}

func headerXattrs(h *tar.Header) []Xattr {
	var xattrs []Xattr
	for key, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(key, paxXattr); ok && keptXattr(name) {
			xattrs = append(xattrs, Xattr{Name: name, Value: value})
		}
	}
	sort.Slice(xattrs, func(i, j int) bool { return xattrs[i].Name < xattrs[j].Name })
	return xattrs
}

// ScanTar reads an uncompressed tar stream of any origin and calls visit for
// each entry, with a reader over a regular file's content. It fails with
// [ErrUnsafe] where [ExtractTar] would refuse a name or a type, and with
// [ErrIncomplete] if there is no end mark. It writes nothing.
func ScanTar(ctx context.Context, r io.Reader, visit func(Entry, io.Reader) error) error {
	return newTarStream(ctx, r).each(func(e *Entry, content io.Reader) error { return visit(*e, content) })
}
