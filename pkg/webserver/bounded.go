package webserver

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// limitWriter refuses what goes beyond its limit.
type limitWriter struct {
	to    *bytes.Buffer
	limit int
}

// Write implements io.Writer.
func (w *limitWriter) Write(p []byte) (int, error) {
	if w.to.Len()+len(p) > w.limit {
		return 0, fmt.Errorf("makes more than %d bytes", w.limit)
	}
	return w.to.Write(p)
}

// readBounded reads a file of at most maxVhost bytes.
func readBounded(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxVhost+1))
	if err == nil && len(data) > maxVhost {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxVhost)
	}
	return string(data), err
}
