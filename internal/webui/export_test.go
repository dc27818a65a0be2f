package webui

// Patterns are those of all routes but the sign-in's.
func Patterns() (out []string) {
	for _, r := range (&UI{}).routes() {
		out = append(out, r.pattern)
	}
	return out
}
