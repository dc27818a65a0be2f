package inventory

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is how an object is written.
type document struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       Kind   `yaml:"kind"`
	Name       string `yaml:"name"`
	Spec       any    `yaml:"spec"`
}

// Write writes objects as documents that Parse reads.
func Write(w io.Writer, objects []Object) error {
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	for _, o := range objects {
		if err := e.Encode(document{APIVersion, o.Kind, o.Name, o.Spec}); err != nil {
			return fmt.Errorf("write %s %s: %w", o.Kind, o.Name, err)
		}
	}
	if len(objects) == 0 {
		return nil // the encoder would write an end without a beginning
	}
	return e.Close()
}

// field is one field of a spec: its value in one line.
type field struct{ name, value string }

// fields are those of a spec that are set, in the order in which they are written.
func fields(spec any) ([]field, error) {
	var n yaml.Node
	if err := n.Encode(spec); err != nil {
		return nil, err
	}
	var out []field
	for i := 0; i+1 < len(n.Content); i += 2 {
		value := n.Content[i+1]
		if value.Kind != yaml.ScalarNode {
			value.Style = yaml.FlowStyle
		}
		var text bytes.Buffer
		e := yaml.NewEncoder(&text)
		if err := e.Encode(value); err != nil {
			return nil, err
		}
		if err := e.Close(); err != nil {
			return nil, err
		}
		out = append(out, field{n.Content[i].Value, strings.Join(strings.Fields(text.String()), " ")})
	}
	return out, nil
}
