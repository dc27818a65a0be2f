package hook

import (
	"bytes"
	"fmt"
)

const (
	// maxLine bounds what is said of a line, in bytes.
	maxLine = 1000
	// maxLines bounds what is said of a hook: each line is a durable record at the master.
	maxLines = 500
)

// lines takes output apart into lines and says each. It never refuses output:
// a hook does not fail because it says too much. Close is called once, at the end.
type lines struct {
	say     func(line string)
	pending []byte // of a line that has not ended, at most maxLine bytes
	cut     bool   // more of it has come
	said    int
	dropped int
}

// Write takes all of p.
func (l *lines) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		l.add(line)
		if ended {
			l.end()
		}
		rest = after
	}
	return len(p), nil
}

func (l *lines) add(part []byte) {
	if room := maxLine - len(l.pending); len(part) > room {
		part, l.cut = part[:room], true
	}
	l.pending = append(l.pending, part...)
}

func (l *lines) end() {
	text := string(bytes.TrimSuffix(l.pending, []byte("\r")))
	if l.cut {
		text += "…"
	}
	l.pending, l.cut = l.pending[:0], false
	if l.said == maxLines {
		l.dropped++
		return
	}
	l.said++
	l.say(text)
}

// close says what came without a line's end, and how much was not said.
func (l *lines) close() {
	if len(l.pending) > 0 {
		l.end()
	}
	if l.dropped > 0 {
		l.say(fmt.Sprintf("(%d more lines are left out)", l.dropped))
	}
}
