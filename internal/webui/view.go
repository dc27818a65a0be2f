package webui

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"math"
	"net/http"
	gopath "path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/bytesize"
	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// asset is one of the files that pages load.
type asset struct {
	content []byte
	kind    string
	version string // in its address, so that browsers may keep it for ever
}

func loadAssets() (map[string]asset, error) {
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	out := map[string]asset{}
	entries, err := fs.ReadDir(files, "static")
	for _, e := range entries {
		content, err := fs.ReadFile(files, "static/"+e.Name())
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(content)
		out[e.Name()] = asset{content, kinds[gopath.Ext(e.Name())], hex.EncodeToString(sum[:8])}
	}
	return out, err
}

func (u *UI) assetPath(name string) string { return "/static/" + name + "?v=" + u.assets[name].version }

func (u *UI) serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := u.assets[r.PathValue("file")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	if r.FormValue("v") == a.version {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write(a.content) // the browser has gone
}

// views are the templates by page, each with the layout.
type views map[string]*template.Template

func loadViews(assetPath func(string) string, now func() time.Time) (views, error) {
	funcs := template.FuncMap{
		"asset": assetPath, "bytes": bytesize.Text, "ago": func(t *timestamppb.Timestamp) string { return ago(now(), t) },
		"path": path, "state": stateText, "stateClass": stateClass, "trouble": troubleText, "join": strings.Join, "count": groupDigits,
		"clean": clean, "took": took, "rate": rate, "final": final, "sentence": sentence,
		"stamp": stamp, "maintenance": maintenanceText,
		"millis": func(n int64) string {
			return (time.Duration(n) * time.Millisecond).Round(100 * time.Millisecond).String()
		},
		"dict": dict, "words": words, "length": lengthText, "scope": scopeText, "kept": keptText, "load": loadText, "query": query, "excerpt": excerpt, "list": func(items ...string) []string { return items },
		"lines": func(list []string) string { return strings.Join(list, "\n") }, "has": slices.Contains[[]string],
		"signed": func(n uint64) int64 { return int64(min(n, math.MaxInt64)) },
	}
	out := views{}
	pages, err := fs.Glob(files, "templates/*.html")
	for _, file := range pages {
		name := strings.TrimSuffix(gopath.Base(file), ".html")
		if name == "layout" {
			continue
		}
		t, err := template.New("layout.html").Funcs(funcs).ParseFS(files, "templates/layout.html", "templates/partials.tmpl", file)
		if err != nil {
			return nil, err
		}
		out[name] = t
	}
	return out, err
}

// page is what every template gets.
type page struct {
	Title string
	User  *sitekeepv1.GetCallerResponse // nil: nobody is signed in
	CSRF  string
	Here  string // the path, for the navigation
	Zone  string // in which times are shown
	Data  any
	r     *request
	zone  *time.Location
}

// May reports whether the user may call a method, such as "BackupService/CreateBackup".
func (p *page) May(method string) bool { return p.r != nil && p.r.may("/sitekeep.v1."+method) }

// sections are where pages belong that have no place of their own in the navigation, by the first part of their paths.
var sections = map[string]string{"sites": "/", "backups": "/", "schedule": "/retention", "clients": "/retention"}

// Current says for screen readers, and for the eye, whether the page is the one at an address of the navigation, or one
// below it.
func (p *page) Current(address string) string {
	if p.Here == address {
		return "page"
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(p.Here, "/"), "/")
	if section, known := sections[first]; known && section == address || !known && "/"+first == address {
		return "true"
	}
	return ""
}

// render shows a page to its user.
func (u *UI) render(r *request, view, title string, data any) error {
	u.show(r.w, r, http.StatusOK, view, title, data)
	return nil
}

func (u *UI) show(w http.ResponseWriter, r *request, status int, view, title string, data any) {
	p := &page{Title: title, Data: data, r: r, zone: time.UTC}
	if r != nil {
		p.User, p.CSRF, p.Here, p.zone = r.caller, csrfOf(r.token), r.URL.Path, zoneOf(r.Request)
	}
	p.Zone = p.zone.String()
	var out bytes.Buffer // a template that fails must not leave half a page
	if err := u.views[view].Execute(&out, p); err != nil {
		u.o.Log.Error("page", "view", view, "error", err)
		http.Error(w, "this page cannot be shown; see the master's log", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // the browser has gone
}

// errorData is what the page of an error shows.
type errorData struct{ Text, Hint string }

func (u *UI) fail(r *request, err error) {
	status := statusOf(err)
	if status == http.StatusInternalServerError {
		u.o.Log.Error("page", "path", r.URL.Path, "error", err)
	}
	title := "That did not work"
	if status == http.StatusNotFound {
		title = "Not found"
	}
	of := r
	if r.caller == nil {
		of = nil
	}
	u.show(r.w, of, status, "error", title, errorData{sentence(err.Error()), errs.HintOf(err)})
}

// statusOf is the answer's status for an error.
func statusOf(err error) int {
	switch errs.KindOf(err) {
	case errs.Usage:
		return http.StatusBadRequest
	case errs.NotFound:
		return http.StatusNotFound
	case errs.Permission:
		return http.StatusForbidden
	case errs.Busy, errs.Exists, errs.Precondition:
		return http.StatusConflict
	case errs.Unreachable:
		return http.StatusBadGateway
	case errs.NoSpace:
		return http.StatusInsufficientStorage
	}
	return http.StatusInternalServerError
}

// sentence begins with a capital letter and ends with a full stop.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return ""
	}
	text = string(unicode.ToUpper(first)) + text[size:]
	if strings.HasSuffix(text, ".") {
		return text
	}
	return text + "."
}

// mostExcerpt is what fits into a line of a list to choose from, in characters.
const mostExcerpt = 80

// excerpt is the beginning of a long text.
func excerpt(text string) string {
	if r := []rune(text); len(r) > mostExcerpt {
		return string(r[:mostExcerpt-1]) + "…"
	}
	return text
}

// words is the name of a step as a reader wants it: "push_files" is "Push files".
func words(name string) string {
	return strings.TrimSuffix(sentence(strings.ReplaceAll(name, "_", " ")), ".")
}

// clean makes visible what people cannot see: control characters, and those that turn the direction of text around.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(text, string(utf8.RuneError)))
}

// groupDigits makes long numbers readable: 1 234 567, with spaces that do not break.
func groupDigits(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

// stateText is a state in words, such as "Needs operator".
func stateText(s sitekeepv1.TaskState) string {
	return words(strings.ToLower(strings.TrimPrefix(s.String(), "TASK_STATE_")))
}

func stateClass(s sitekeepv1.TaskState) string {
	return strings.ReplaceAll(strings.ToLower(stateText(s)), " ", "-")
}

func final(s sitekeepv1.TaskState) bool {
	return s != sitekeepv1.TaskState_TASK_STATE_QUEUED && s != sitekeepv1.TaskState_TASK_STATE_RUNNING
}

// rate is how many bytes a second a task that has ended has moved, in words.
func rate(t *sitekeepv1.Task) string {
	seconds := t.GetFinishedAt().AsTime().Sub(t.GetStartedAt().AsTime()).Seconds()
	if t.GetFinishedAt() == nil || t.GetStartedAt() == nil || seconds <= 0 || t.GetProgress().GetDoneBytes() == 0 {
		return ""
	}
	return bytesize.Text(int64(float64(t.GetProgress().GetDoneBytes())/seconds)) + "/s"
}

func took(t *sitekeepv1.Task) string {
	if t.GetStartedAt() == nil || t.GetFinishedAt() == nil {
		return ""
	}
	return t.GetFinishedAt().AsTime().Sub(t.GetStartedAt().AsTime()).Round(time.Second / 10).String()
}

// maintenanceText says what keeps visitors out behind a virtual host that is not ours.
func maintenanceText(mode string) string {
	switch mode {
	case "include":
		return "the line that the virtual host includes"
	case "kind":
		return "the site’s own switch"
	}
	return "the line that the virtual host includes; without it, the site’s own switch"
}

// troubleText is a trouble in words.
func troubleText(name string) string {
	return map[string]string{
		"needs_operator": "Needs an operator", "failed": "Last task failed", "no_backup": "No good backup", "drill_failed": "Drill failed",
		"stale": "Backup is old",
		"none":  "Fine", "disabled": "Disabled", "any": "In trouble",
	}[name]
}

// dict makes the data of a part of a page out of names and values by turns.
func dict(pairs ...any) (map[string]any, error) {
	out := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("%v is no name", pairs[i])
		}
		out[name] = pairs[i+1]
	}
	return out, nil
}
