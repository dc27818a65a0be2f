package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// decoder reads a configuration strictly and remembers where each key stands.
type decoder struct {
	name   string
	cfg    *Config
	lines  map[string]int // by key, as in "mysql.port" or "allow.roots[1]"
	faults []fault
}

// fault is one thing that is wrong.
type fault struct {
	line int
	text string
}

func decode(name string, text []byte) (*decoder, error) {
	d := &decoder{name: name, cfg: &Config{}, lines: map[string]int{}}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, d.notYAML(err)
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, d.notYAML(errors.New("there is more than one document in it"))
	}
	if doc.Kind == 0 {
		return d, nil
	}
	d.walk(doc.Content[0], reflect.TypeFor[Config](), "")
	if len(d.faults) > 0 {
		return nil, d.err()
	}
	if err := doc.Decode(d.cfg); err != nil {
		return nil, d.notYAML(err)
	}
	return d, nil
}

func (d *decoder) notYAML(err error) error {
	return errs.New(errs.Precondition, "mend it; "+SampleName+" beside it is an example", "%s: %w", d.name, err)
}

func (d *decoder) fault(key, format string, args ...any) {
	d.faults = append(d.faults, fault{d.lineOf(key), key + ": " + fmt.Sprintf(format, args...)})
}

// lineOf is the line of the key, or of the nearest one around it.
func (d *decoder) lineOf(key string) int {
	for key != "" {
		if line, ok := d.lines[key]; ok {
			return line
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
	return 1
}

// err joins all faults, by line.
func (d *decoder) err() error {
	slices.SortStableFunc(d.faults, func(a, b fault) int { return a.line - b.line })
	var list []error
	for _, f := range d.faults {
		list = append(list, fmt.Errorf("%s:%d: %s", d.name, f.line, f.text))
	}
	return &errs.Error{Kind: errs.Precondition, Hint: "correct the configuration and start sitekeep-agent again", Err: errors.Join(list...)}
}

// walk compares a node with the type that it must fit.
func (d *decoder) walk(node *yaml.Node, t reflect.Type, key string) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if _, known := d.lines[key]; !known {
		d.lines[key] = node.Line
	}
	switch {
	case isNull(node):
	case t.Kind() == reflect.Struct:
		d.walkStruct(node, t, key)
	case t.Kind() == reflect.Slice:
		d.walkList(node, t, key)
	default:
		d.walkScalar(node, t, key)
	}
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == "!!null" }

func (d *decoder) walkStruct(node *yaml.Node, t reflect.Type, key string) {
	fields := fieldsOf(t)
	if node.Kind != yaml.MappingNode {
		d.fault(key, "want keys below it: %s", known(fields))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		below := strings.TrimPrefix(key+"."+name.Value, ".")
		d.lines[below] = name.Line
		field, ok := fields[name.Value]
		switch {
		case !ok:
			d.fault(below, "is not known; there are: %s", known(fields))
		case seen[name.Value]:
			d.fault(below, "stands there twice; remove one")
		default:
			d.walk(value, field, below)
		}
		seen[name.Value] = true
	}
}

func (d *decoder) walkList(node *yaml.Node, t reflect.Type, key string) {
	if node.Kind != yaml.SequenceNode {
		d.fault(key, "want a list, such as [%s]", node.Value)
		return
	}
	for i, item := range node.Content {
		below := fmt.Sprintf("%s[%d]", key, i)
		d.walk(item, t.Elem(), below)
		if isNull(item) {
			d.fault(below, "is empty; remove it")
		}
	}
}

func (d *decoder) walkScalar(node *yaml.Node, t reflect.Type, key string) {
	if node.Kind != yaml.ScalarNode {
		d.fault(key, "want one value")
		return
	}
	if err := node.Decode(reflect.New(t).Interface()); err != nil {
		d.fault(key, "%q is not %s", node.Value, wanted(t))
	}
}

func wanted(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration, such as 30s"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String:
		return "text"
	}
	return "a number"
}

// fieldsOf are the types of a struct's fields by their names in YAML.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if name != "" && name != "-" {
			fields[name] = t.Field(i).Type
		}
	}
	return fields
}

func known(fields map[string]reflect.Type) string {
	var names []string
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
