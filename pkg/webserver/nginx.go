package webserver

import (
	_ "embed"
	"fmt"
	"strings"
	"text/template"

	"github.com/sitekeep/sitekeep/pkg/webserver/webconf"
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
	if err := plainText(s); err != nil {
		return "", err
	}
	if strings.Contains(s, "$") {
		return "", fmt.Errorf("%q holds %q, which nginx cannot take literally; use another name", s, '$')
	}
	return nginxQuote(s), nil
}

func nginxQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// QuoteEnv implements Kind. A dollar sign is written as the variable that the
// template defines for it.
func (nginx) QuoteEnv(s string) (string, error) {
	if strings.Contains(s, "\x00") {
		return "", fmt.Errorf("holds the byte 0x00, which no environment can hold; choose another value")
	}
	return strings.ReplaceAll(nginxQuote(s), "$", "${"+dollarName+"}"), nil
}

// Include implements Kind.
func (nginx) Include(path string) string { return "include " + nginxQuote(path) + ";" }

// Funcs implements Kind.
func (nginx) Funcs() template.FuncMap { return nil }

// Read implements Kind.
func (nginx) Read(main string) webconf.Result { return webconf.Nginx(main) }
