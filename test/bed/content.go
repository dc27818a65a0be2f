package bed

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// SiteTitleHTML is the site's title as WordPress prints it.
const SiteTitleHTML = "The Bed&#039;s Garden"

type templatePost struct {
	route, id string
	fields    map[string]string
}

func templatePosts() []templatePost {
	long := strings.Repeat("<p>Rain, compost and patience: \u00fcber \u65e5\u672c\u8a9e \U0001f331 'quoted' \\ back.</p>\n", 60)
	return []templatePost{
		{"/wp/v2/posts", firstPostID, map[string]string{
			"title": FirstPost, "status": "publish", "date": "2026-03-21T08:00:00",
			"content": "<p>The snowdrops came first.</p><img src=\"/wp-content/uploads/rose.jpg\">" + long,
		}},
		{"/wp/v2/posts", secondPostID, map[string]string{
			"title": SecondPost, "status": "publish", "date": "2026-03-22T08:00:00",
			"content": "<pre>\n/*!50013 DEFINER=`root`@`localhost` SQL SECURITY DEFINER */\n" +
				"-- Dump completed on 2026-03-22\nDELIMITER ;;\n\\! id\n</pre>",
		}},
		{"/wp/v2/pages", aboutPageID, map[string]string{
			"title": "About", "status": "publish", "date": "2026-03-23T08:00:00", "content": "<p>We grow things.</p>",
		}},
	}
}

// roseJPEG is noise around a disc: a photograph's worth of bytes that do not
// compress.
func roseJPEG() ([]byte, error) {
	const side = 900
	r := rand.New(rand.NewPCG(1, 2))
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			dx, dy := x-side/2, y-side/2
			c := color.RGBA{R: uint8(r.IntN(90)), G: uint8(90 + r.IntN(90)), B: uint8(r.IntN(60)), A: 255}
			if dx*dx+dy*dy < side*side/9 {
				c.R, c.G = c.R+160, c.G/4
			}
			img.SetRGBA(x, y, c)
		}
	}
	var out bytes.Buffer
	err := jpeg.Encode(&out, img, &jpeg.Options{Quality: 85})
	return out.Bytes(), err
}

func planPNG() ([]byte, error) {
	img := image.NewGray(image.Rect(0, 0, 400, 300))
	for y := range 300 {
		for x := range 400 {
			img.SetGray(x, y, color.Gray{Y: uint8(x*y/64 ^ x)})
		}
	}
	var out bytes.Buffer
	err := png.Encode(&out, img)
	return out.Bytes(), err
}

// layOddities makes a directory with what sites have and archives lose: links
// of both kinds, holes, names of any bytes, modes, times and attributes.
func layOddities(dir string) error {
	made := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	files := []struct {
		name string
		mode os.FileMode
		data string
	}{
		{"plain.txt", 0o644, "plain\n"}, {"empty", 0o600, ""}, {"script.sh", 0o755, "#!/bin/sh\nexit 0\n"},
		{"with space and \u00fcml\u00e4ut.txt", 0o640, "name\n"}, {"not utf-8 \xff\xfe.txt", 0o644, "bytes\n"},
		{"new\nline.txt", 0o644, "line\n"}, {"-rf", 0o444, "dash\n"}, {"database.sql", 0o600, "-- the site's own\n"},
	}
	if err := os.MkdirAll(filepath.Join(dir, "empty-dir"), 0o755); err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		if err := os.WriteFile(path, []byte(f.data), f.mode); err != nil {
			return err
		}
		if err := chownNobody(path); err != nil {
			return err
		}
	}
	if err := layLinksAndHoles(dir); err != nil {
		return err
	}
	return stampTree(dir, made)
}

func layLinksAndHoles(dir string) error {
	steps := []func() error{
		func() error { return os.Symlink("plain.txt", filepath.Join(dir, "link")) },
		func() error { return os.Symlink("../../wp-includes", filepath.Join(dir, "link-to-dir")) },
		func() error { return os.Symlink("/nonexistent/target", filepath.Join(dir, "dangling")) },
		func() error { return os.Link(filepath.Join(dir, "plain.txt"), filepath.Join(dir, "hard-link")) },
		func() error { return layHole(filepath.Join(dir, "sparse.bin")) },
		func() error { return os.Chmod(filepath.Join(dir, "empty-dir"), 0o770|os.ModeSetgid) },
		func() error { return os.Chmod(dir, 0o755|os.ModeSticky) },
		func() error {
			return unix.Setxattr(filepath.Join(dir, "plain.txt"), "user.origin", []byte("bed\x00"), 0)
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// layHole makes a file of 8 MiB that has data at both ends only.
func layHole(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteAt([]byte("first"), 0); err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("last"), 8<<20-4)
	return err
}

// stampTree gives all below and with dir one time, of nanoseconds.
func stampTree(dir string, at time.Time) error {
	var paths []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	})
	if err != nil {
		return err
	}
	ts := []unix.Timespec{unix.NsecToTimespec(at.UnixNano()), unix.NsecToTimespec(at.UnixNano())}
	for i := len(paths) - 1; i >= 0; i-- {
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, paths[i], ts, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return &os.PathError{Op: "utimensat", Path: paths[i], Err: err}
		}
	}
	return nil
}
