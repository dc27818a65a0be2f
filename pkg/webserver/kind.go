package webserver

import (
	"fmt"
	"strings"
	"text/template"

	"github.com/sitekeep/sitekeep/pkg/webserver/webconf"
)

// Kind is what differs between web server programs. A new one is one file
// here, one line in allKinds, and one row in the table of the tests.
type Kind interface {
	// Name is what stands in agent.yaml under kind.
	Name() string
	// Template is the text of the template of a virtual host, in the language
	// of text/template. It is given a view and the function quote.
	Template() string
	// Quote writes s so that the configuration reads it back as one argument
	// and as these very bytes. It refuses what its language cannot hold.
	Quote(s string) (string, error)
	// QuoteEnv writes the value of a variable of a site's environment the same
	// way. It takes what a password may hold, and its errors do not show it.
	QuoteEnv(s string) (string, error)
	// Include is the line that includes a file.
	Include(path string) string
	// Funcs are further functions for the template.
	Funcs() template.FuncMap
	// Read reads the virtual hosts out of the main configuration file.
	Read(main string) webconf.Result
}

// allKinds lists the kinds of web server.
func allKinds() []Kind {
	return []Kind{
		nginx{},
		apache{},
	}
}

// KindNames returns the names that Config.Kind may have.
func KindNames() []string {
	var names []string
	for _, k := range allKinds() {
		names = append(names, k.Name())
	}
	return names
}

func kindByName(name string) (Kind, error) {
	for _, k := range allKinds() {
		if k.Name() == name {
			return k, nil
		}
	}
	return nil, fmt.Errorf("kind: %q is unknown; there are: %s", name, strings.Join(KindNames(), ", "))
}

// plainText refuses control characters, which no kind of web server takes in a
// name.
func plainText(s string) error {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == 0x7f {
			return fmt.Errorf("%q holds %q, which a web server cannot take literally; use another name", s, c)
		}
	}
	return nil
}
