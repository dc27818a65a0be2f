package inventory

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// File is a file of documents.
type File struct {
	Name    string
	Content []byte
}

// mostComplaints bounds the text of one error.
const mostComplaints = 20

// Parse reads documents and checks each by itself, and that none is there
// twice. What is wrong is errs.Usage, a line for each mistake, with file and line.
func Parse(files []File) ([]Object, error) {
	p := &parser{seen: map[key]string{}, domains: map[string]string{}}
	for _, f := range files {
		p.file(f)
	}
	if len(p.complaints) > 0 {
		more := ""
		if n := len(p.complaints) - mostComplaints; n > 0 {
			more = fmt.Sprintf("\nand %d more", n)
			p.complaints = p.complaints[:mostComplaints]
		}
		return nil, errs.New(errs.Usage, "mend the lines that it names; nothing was changed", "%s%s", strings.Join(p.complaints, "\n"), more)
	}
	sortObjects(p.objects)
	return p.objects, nil
}

type parser struct {
	objects    []Object
	seen       map[key]string    // where a document stands
	domains    map[string]string // the site whose name or alias it is
	complaints []string
}

func (p *parser) complain(where, format string, args ...any) {
	p.complaints = append(p.complaints, where+": "+fmt.Sprintf(format, args...))
}

func (p *parser) file(f File) {
	d := yaml.NewDecoder(bytes.NewReader(f.Content))
	for {
		var doc yaml.Node
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			p.complainOf(f.Name, 1, err)
			return
		}
		if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 && !empty(doc.Content[0]) {
			p.document(f.Name, doc.Content[0])
		}
	}
}

func empty(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func position(file string, line int) string { return fmt.Sprintf("%s:%d", file, line) }

// at is an error of the decoder, with its line.
func at(n *yaml.Node, err error) error {
	return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %q: %v", n.Line, n.Value, err)}}
}

var lineOf = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)

// complainOf puts the decoder's lines behind the file's name.
func (p *parser) complainOf(file string, line int, err error) {
	texts := []string{err.Error()}
	var several *yaml.TypeError
	if errors.As(err, &several) {
		texts = several.Errors
	}
	for _, text := range texts {
		where := position(file, line)
		if m := lineOf.FindStringSubmatch(text); m != nil {
			where, text = file+":"+m[1], text[len(m[0]):]
		}
		p.complain(where, "%s", strings.TrimPrefix(text, "yaml: "))
	}
}

// document reads one document; what is wrong with its frame keeps the rest from being looked at.
func (p *parser) document(file string, n *yaml.Node) {
	parts, ok := p.frame(file, n)
	if !ok {
		return
	}
	o := Object{Kind: Kind(parts["kind"].Value), Name: parts["name"].Value, Where: position(file, n.Line)}
	o.Spec = newSpec(o.Kind)
	switch {
	case parts["apiVersion"].Value != APIVersion:
		p.complain(position(file, parts["apiVersion"].Line), "apiVersion is %q and not %q", parts["apiVersion"].Value, APIVersion)
	case o.Spec == nil:
		p.complain(position(file, parts["kind"].Line), "there is no kind %q; there are %v", o.Kind, kinds())
	case !p.spec(file, parts["spec"], o.Spec):
	default:
		p.accept(o)
	}
}

func newSpec(k Kind) any {
	switch k {
	case Server:
		return &serverSpec{}
	case Client:
		return &clientSpec{}
	case Site:
		return &siteSpec{}
	case Schedule:
		return &scheduleSpec{}
	case Retention:
		return &retentionSpec{}
	}
	return nil
}

// frame splits a document into its four parts.
func (p *parser) frame(file string, n *yaml.Node) (map[string]*yaml.Node, bool) {
	parts, ok := p.fields(file, n, []string{"apiVersion", "kind", "name", "spec"})
	if !ok {
		return nil, false
	}
	for _, name := range []string{"apiVersion", "kind", "name"} {
		part := parts[name]
		if part == nil || part.Kind != yaml.ScalarNode || part.Value == "" {
			p.complain(position(file, n.Line), "the document has no %s", name)
			ok = false
		}
	}
	return parts, ok
}

// fields are the values of a mapping that has only known keys, each once.
func (p *parser) fields(file string, n *yaml.Node, known []string) (map[string]*yaml.Node, bool) {
	if n.Kind != yaml.MappingNode {
		p.complain(position(file, n.Line), "names and values are expected here")
		return nil, false
	}
	out, fine := map[string]*yaml.Node{}, true
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i]
		switch {
		case !slices.Contains(known, name.Value):
			p.complain(position(file, name.Line), "there is no field %q; there are %s", name.Value, strings.Join(known, ", "))
			fine = false
		case out[name.Value] != nil:
			p.complain(position(file, name.Line), "%s is there twice", name.Value)
			fine = false
		}
		out[name.Value] = n.Content[i+1]
	}
	return out, fine
}

// spec reads a spec; one that is missing is empty.
func (p *parser) spec(file string, n *yaml.Node, into any) bool {
	if n == nil || empty(n) {
		return true
	}
	if _, ok := p.fields(file, n, fieldsOf(into)); !ok {
		return false
	}
	if err := n.Decode(into); err != nil {
		p.complainOf(file, n.Line, err)
		return false
	}
	return true
}

// fieldsOf names the fields of a spec as they are written.
func fieldsOf(spec any) (names []string) {
	t := reflect.TypeOf(spec).Elem()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		names = append(names, name)
	}
	return names
}

// accept checks an object and adds it.
func (p *parser) accept(o Object) {
	if err := o.check(); err != nil {
		p.complain(o.Where, "%s %s: %s", o.Kind, o.Name, withHint(err))
		return
	}
	if first, twice := p.seen[o.key()]; twice {
		p.complain(o.Where, "%s %s stands at %s already", o.Kind, o.Name, first)
		return
	}
	p.seen[o.key()] = o.Where
	if spec, is := o.Spec.(*siteSpec); is {
		p.claim(&o, spec)
	}
	p.objects = append(p.objects, o)
}

// claim notes a site's domains: none belongs to two.
func (p *parser) claim(o *Object, spec *siteSpec) {
	for _, domain := range append([]string{o.Name}, spec.Aliases...) {
		if owner, taken := p.domains[domain]; taken {
			p.complain(o.Where, "Site %s: %s belongs to site %s", o.Name, domain, owner)
		}
		p.domains[domain] = o.Name
	}
}

func withHint(err error) string {
	if hint := errs.HintOf(err); hint != "" {
		return err.Error() + " (" + hint + ")"
	}
	return err.Error()
}

func rolesOf(roles []model.Role) error {
	for i, role := range roles {
		if role != model.RoleWeb && role != model.RoleDB || slices.Contains(roles[:i], role) {
			return errs.New(errs.Usage, "roles are web, db or both", "role %q", role)
		}
	}
	if len(roles) == 0 {
		return errs.New(errs.Usage, "roles are web, db or both", "it has no role")
	}
	return nil
}
