package dotenv

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

const envFile = ".env"

// files are the .env files of a project, the one that counts most last.
type files struct {
	project project
	list    []*file
}

// openFiles reads a project's files: .env, for Bedrock .env.local too (its
// config/application.php), and for Symfony .env.local, .env.ENV and .env.ENV.local (Symfony\Component\Dotenv\Dotenv::loadEnv).
func (p project) openFiles() (*files, error) {
	f := &files{project: p}
	if err := f.add(envFile, true); err != nil || p.program != symfonyApp && p.program != bedrock {
		return f, err
	}
	if err := f.add(envFile+".local", false); err != nil || p.program == bedrock {
		return f, err
	}
	env := "dev"
	if e, ok := f.find("APP_ENV"); ok && e.entry.why == "" {
		env = e.entry.text
	}
	if env == "" || bytes.ContainsAny([]byte(env), "/\\") {
		return f, f.list[0].problem(sitekind.Broken, 0, "APP_ENV is no name of an environment")
	}
	return f, errors.Join(f.add(envFile+"."+env, false), f.add(envFile+"."+env+".local", false))
}

func (f *files) add(name string, must bool) error {
	name = f.project.in(name)
	if found, err := f.project.place.Exists(name); err != nil || !found && !must {
		return err
	}
	data, err := sitekind.ReadFile(f.project.place, name)
	if err != nil {
		return err
	}
	parsed, err := parse(name, data, f.project.dialect())
	if err == nil {
		f.list = append(f.list, parsed)
	}
	return err
}

// located is an entry and the file that it stands in.
type located struct {
	file  *file
	entry entry
}

func (f *files) find(name string) (located, bool) {
	for _, file := range slices.Backward(f.list) {
		if e, ok := file.find(name); ok {
			return located{file, e}, true
		}
	}
	return located{}, false
}

// where implements layer.
func (f *files) where() string {
	for _, name := range append(f.urls(), f.database()) {
		if at, ok := f.find(name); ok && at.entry.text != "" {
			return at.file.name
		}
	}
	return f.list[0].name
}

// urls implements layer. DB_URL is Laravel's since version 11.
func (f *files) urls() []string {
	if f.project.program == symfonyApp || f.project.program == bedrock {
		return []string{"DATABASE_URL"}
	}
	return []string{"DB_URL", "DATABASE_URL"}
}

// database is the variable that holds the database's name.
func (f *files) database() string {
	if f.project.program == bedrock {
		return bedrockName
	}
	return varName
}

// get implements layer.
func (f *files) get(name string) (string, bool, error) {
	at, ok := f.find(name)
	if !ok {
		return "", false, nil
	}
	e, _, err := at.file.get(name)
	return e.text, true, err
}

// check implements layer.
func (f *files) check(values map[string]string) error {
	_, err := f.edit(values)
	return err
}

// set implements layer.
func (f *files) set(values map[string]string) error {
	edited, err := f.edit(values)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(edited)) {
		if err := sitekind.ReplaceFile(f.project.place, name, edited[name]); err != nil {
			return err
		}
	}
	return nil
}

// splice replaces bytes of a file.
type splice struct {
	start, end int
	text       string
}

// edit returns the new contents of the files that change.
func (f *files) edit(values map[string]string) (map[string][]byte, error) {
	splices := map[*file][]splice{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		at, s, err := f.splice(name, values[name])
		if err != nil {
			return nil, err
		}
		if at != nil {
			splices[at] = append(splices[at], s)
		}
	}
	out := map[string][]byte{}
	for file, list := range splices {
		data := apply(file.data, list)
		if err := readsBack(file, data, f.within(file, values)); err != nil {
			return nil, file.problem(sitekind.Unwritable, 0, err.Error())
		}
		out[file.name] = data
	}
	return out, nil
}

// within leaves out the values of variables for which a later file counts.
func (f *files) within(in *file, values map[string]string) map[string]string {
	own := map[string]string{}
	for name, text := range values {
		if at, ok := f.find(name); !ok || at.file == in {
			own[name] = text
		}
	}
	return own
}

// splice says how a variable gets its value; a file of nil says that it has it.
func (f *files) splice(name, text string) (*file, splice, error) {
	at, ok := f.find(name)
	if ok && at.entry.text == text && at.entry.why == "" || !ok && text == "" {
		return nil, splice{}, nil
	}
	if !ok {
		return f.insert(name, text)
	}
	e := at.entry
	old := at.file.data[e.start:e.end]
	quoted, err := quote(text, string(old[:min(1, len(old))]))
	if err != nil {
		return nil, splice{}, at.file.problem(sitekind.Unwritable, e.line, fmt.Sprintf("the new value of %s: %v", name, err))
	}
	if e.end < len(at.file.data) && at.file.data[e.end] == '#' {
		quoted += " " // A comment begins here.
	}
	return at.file, splice{e.start, e.end, quoted}, nil
}

// insert puts a new variable behind the database's name.
func (f *files) insert(name, text string) (*file, splice, error) {
	at, ok := f.find(f.database())
	if !ok {
		return nil, splice{}, f.list[0].problem(sitekind.Missing, 0, f.database()+" is not there")
	}
	quoted, err := quote(text, "")
	if err != nil {
		return nil, splice{}, at.file.problem(sitekind.Unwritable, 0, fmt.Sprintf("the new value of %s: %v", name, err))
	}
	end := lineEnd(at.file.data, at.entry.end)
	newline := "\n"
	if end > 0 && at.file.data[end-1] == '\r' {
		end, newline = end-1, "\r\n"
	}
	return at.file, splice{end, end, newline + name + "=" + quoted}, nil
}

func apply(data []byte, list []splice) []byte {
	slices.SortStableFunc(list, func(a, b splice) int { return cmp.Compare(a.start, b.start) })
	var out bytes.Buffer
	at := 0
	for _, s := range list {
		out.Write(data[at:s.start])
		out.WriteString(s.text)
		at = s.end
	}
	out.Write(data[at:])
	return out.Bytes()
}

func readsBack(old *file, data []byte, values map[string]string) error {
	again, err := parse(old.name, data, old.dialect)
	if err != nil {
		return err
	}
	for name, text := range values {
		if e, ok := again.find(name); ok && (e.text != text || e.why != "") {
			return fmt.Errorf("%s does not read back as it was written", name)
		}
	}
	return nil
}
