package archive

import (
	"fmt"
	"strings"
)

// Format is a kind of tarball, named like the end of its file's name.
type Format string

const (
	// TarZstd is a tar file in zstd frames.
	TarZstd Format = "tar.zst"
	// TarGzip is a tar file in gzip members.
	TarGzip Format = "tar.gz"
)

// Formats returns every format there is.
func Formats() []Format { return []Format{TarZstd, TarGzip} }

// ParseFormat returns the format called s, "tar.zst" or "tar.gz".
func ParseFormat(s string) (Format, error) {
	for _, f := range Formats() {
		if s == string(f) {
			return f, nil
		}
	}
	return "", fmt.Errorf("unknown tarball format %q: use tar.zst or tar.gz", s)
}

// FormatOf returns the format that a file's name ends with, if it is one.
func FormatOf(name string) (Format, bool) {
	for _, f := range Formats() {
		if strings.HasSuffix(name, f.Suffix()) {
			return f, true
		}
	}
	return "", false
}

// Suffix returns the end of a file's name, ".tar.zst" or ".tar.gz".
func (f Format) Suffix() string { return "." + string(f) }

// Codec is a format with a compression level. It is plain data; the zero Codec
// is not valid. Codecs of different levels make frames that fit together.
type Codec struct {
	format Format
	level  int
}

// Default levels, on the scale of the zstd and gzip commands.
const (
	DefaultZstdLevel = 3
	DefaultGzipLevel = 6
)

// NewCodec returns a codec for f. Level 0 means the default; otherwise it is 1
// to 19 for tar.zst and 1 to 9 for tar.gz.
func NewCodec(f Format, level int) (Codec, error) {
	limit, standard := 19, DefaultZstdLevel
	switch f {
	case TarZstd:
	case TarGzip:
		limit, standard = 9, DefaultGzipLevel
	default:
		return Codec{}, fmt.Errorf("unknown tarball format %q: use tar.zst or tar.gz", string(f))
	}
	if level == 0 {
		level = standard
	}
	if level < 1 || level > limit {
		return Codec{}, fmt.Errorf("compression level %d of %s: use 1 to %d", level, f, limit)
	}
	return Codec{format: f, level: level}, nil
}

// Zstd returns the codec of tar.zst at its default level.
func Zstd() Codec { return Codec{format: TarZstd, level: DefaultZstdLevel} }

// Gzip returns the codec of tar.gz at its default level.
func Gzip() Codec { return Codec{format: TarGzip, level: DefaultGzipLevel} }

// Format returns the codec's format.
func (c Codec) Format() Format { return c.format }

// Level returns the codec's compression level.
func (c Codec) Level() int { return c.level }

// Sizes that FORMAT.md explains.
const (
	// SliceSize is how much of a file's stored content a slice frame holds. With
	// its header, hashes and one entry it stays under 1 MiB however little it
	// compresses, which is the largest buffer that grpc-go pools.
	SliceSize = 960 << 10
	// SmallFile is the size from which a file has slice frames of its own.
	SmallFile = 128 << 10
	// MaxPlainLength is the most that a frame may decompress to.
	MaxPlainLength = 4 << 20
	// MaxDataLength is the most compressed bytes that a frame may have.
	MaxDataLength = MaxPlainLength + 64<<10

	groupLeast = 96 << 10  // a group frame ends no earlier
	groupMean  = 160 << 10 // mean distance from there to a border
	groupMost  = 448 << 10 // a group frame ends at the latest here

	dumpShare = 64 << 10   // a dump frame that is smaller goes on with the next section
	dumpLeast = 512 << 10  // it ends no earlier within a section
	dumpMean  = 384 << 10  // mean distance from there to a border
	dumpMost  = 1280 << 10 // it ends at the latest here: above mysqldump's 1 MiB statements

	blockSize = 512 // of a tar stream
)
