package webserver

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed nginx.tmpl
var nginxTemplate string

// nginx is the kind for nginx, 1.18 and later. The directory of virtual hosts
// is to be included in its http block.
type nginx struct{}

// Name implements Kind.
func (nginx) Name() string { return "nginx" }

// Template implements Kind.
func (nginx) Template() string { return nginxTemplate }

// Quote implements Kind. In a quoted string, nginx knows the backslash before
// quotes and backslashes; for the dollar sign, which begins a variable in most
// directives, it has no escape at all.
func (nginx) Quote(s string) (string, error) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == 0x7f || c == '$' {
			return "", fmt.Errorf("%q holds %q, which nginx cannot take literally; use another name", s, c)
		}
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`, nil
}
