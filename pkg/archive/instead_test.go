package archive

import (
	"bytes"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	canary  = "C4nary-In-No-Tarball"
	config  = "wp-config.php"
	private = "<?php define('DB_PASSWORD', '" + canary + "');\n"
	blanked = "<?php define('DB_PASSWORD', '');\n"
)

// withConfig is a site with a settings file that has another name, and a link to it.
func withConfig(t *testing.T) *site {
	t.Helper()
	s := richSite(t)
	s.write(config, []byte(private))
	check(t, os.Link(s.path(config), s.path("another-name.php")))
	check(t, os.Symlink(config, s.path("soft.php")))
	return s
}

// instead blanks the settings file as it is now.
func (s *site) instead(content string) []Instead {
	s.t.Helper()
	var st unix.Stat_t
	check(s.t, unix.Stat(s.path(config), &st))
	return []Instead{{Path: "./" + config, Device: st.Dev, Inode: st.Ino, Content: []byte(content)}}
}

func (m *made) holds(t *testing.T, text string) bool { return bytes.Contains(m.plain(t), []byte(text)) }

// TestInstead: what is stored of a file is what was said, under all its names, well formed, and no byte of what it holds.
func TestInstead(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		s := withConfig(t)
		before := listing(t, s.dir)
		m := s.make(makeOptions{codec: c, source: SourceOptions{Instead: s.instead(blanked)}})
		verifyMade(t, m)
		if m.holds(t, canary) || !m.holds(t, blanked) || len(m.warnings) > 0 {
			t.Errorf("the secret is in the tarball, or the other text is not; warnings %v", m.warnings)
		}
		compareTrees(t, before, listing(t, s.dir))
		dir, _, _ := m.extract(t, ExtractOptions{})
		for _, name := range []string{config, "another-name.php", "soft.php"} {
			if got := must[[]byte](t)(os.ReadFile(dir + "/" + name)); string(got) != blanked {
				t.Errorf("%s holds %q", name, got)
			}
		}
	})
}

// TestInsteadOfAnotherFile: whatever takes the file's place between the look at it and the walk is not stored.
func TestInsteadOfAnotherFile(t *testing.T) {
	s := withConfig(t)
	in := s.instead(blanked)
	check(t, os.Remove(s.path("another-name.php")))
	check(t, os.Rename(s.path(config), s.path("moved.php")))
	s.write(config, []byte(private+"// written anew"))
	if m := s.make(makeOptions{codec: Zstd(), source: SourceOptions{Instead: in}}); m.holds(t, canary) {
		t.Error("the secret is in the tarball")
	}
}

// TestInsteadAgain: nothing is sent again that is stored already, and what is stored follows what was said, although the
// file has not changed at all.
func TestInsteadAgain(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		s := withConfig(t)
		as := func(content string) makeOptions {
			return makeOptions{codec: c, source: SourceOptions{Instead: s.instead(content)}}
		}
		plain := s.make(makeOptions{codec: c})
		if !plain.holds(t, canary) {
			t.Fatal("the test's site has no secret")
		}
		on := s.again(plain, as(blanked))
		verifyMade(t, on)
		if on.holds(t, canary) || !on.holds(t, blanked) || on.tree.References == 0 {
			t.Errorf("switched on: %+v", on.tree)
		}
		same := s.again(on, as(blanked))
		if same.tree.SentBytes != 0 || same.tree.ReadBytes != 0 || same.holds(t, canary) {
			t.Errorf("unchanged: %+v", same.tree)
		}
		all := s.again(on, makeOptions{codec: c, source: SourceOptions{Instead: s.instead(blanked), ReadAll: true}})
		if all.tree.SentBytes != 0 || len(all.warnings) > 0 {
			t.Errorf("all read: %+v, %v", all.tree, all.warnings)
		}
		const other = "<?php define('DB_PASSWORD', \"\");\n" // as long
		if changed := s.again(on, as(other)); !changed.holds(t, other) || changed.holds(t, blanked) {
			t.Error("what is to be stored changed, and the size and times of the file did not: it was not sent")
		}
		off := s.again(on, makeOptions{codec: c})
		if !off.holds(t, canary) || off.holds(t, blanked) {
			t.Error("switched off: the tarball has not what the file holds")
		}
	})
}

// TestInsteadAfterACopy: inode and change time are others, as after a restore.
func TestInsteadAfterACopy(t *testing.T) {
	s := newSite(t)
	s.write("a", text(1, 1000))
	s.write(config, []byte(private))
	s.age(".")
	c := Zstd()
	first := s.make(makeOptions{codec: c, source: SourceOptions{Instead: s.instead(blanked)}})
	check(t, os.Remove(s.path(config)))
	s.write(config, []byte(private))
	s.age(".")
	second := s.again(first, makeOptions{codec: c, source: SourceOptions{Instead: s.instead(blanked)}})
	verifyMade(t, second)
	if second.holds(t, canary) || second.tree.SentBytes != 0 {
		t.Errorf("%+v", second.tree)
	}
}

// TestInsteadIsSmall: it is held in memory, and has a place in a group frame.
func TestInsteadIsSmall(t *testing.T) {
	s := newSite(t)
	s.write(config, []byte(private))
	_, err := NewSource(s.root(), SourceOptions{Codec: Zstd(), Instead: s.instead(string(text(1, SmallFile)))})
	if err == nil {
		t.Error("a large text was taken")
	}
	s.write(config, append([]byte(private), text(2, SmallFile)...)) // the file itself may be large
	if m := s.make(makeOptions{codec: Zstd(), source: SourceOptions{Instead: s.instead(blanked)}}); m.holds(t, canary) || !m.holds(t, blanked) {
		t.Error("a large file was not blanked")
	}
}
