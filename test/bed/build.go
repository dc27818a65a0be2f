package bed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Binaries are the paths of the two programs.
type Binaries struct {
	Master, Agent string
}

// buildOnce builds once for a process, however many beds it makes: the only
// state of this package that is shared between beds.
var buildOnce = sync.OnceValues(func() (*Binaries, error) { return build(context.Background()) })

// Build builds the two programs out of the module that the working directory
// lies in, and keeps them in the machine's cache by their hash, so that a
// program that runs is never overwritten. SITEKEEP_BIN, a directory with both
// programs, takes their place.
func Build() (*Binaries, error) { return buildOnce() }

func build(ctx context.Context) (*Binaries, error) {
	if dir := os.Getenv("SITEKEEP_BIN"); dir != "" {
		abs, err := filepath.Abs(dir)
		return &Binaries{Master: filepath.Join(abs, "sitekeep"), Agent: filepath.Join(abs, "sitekeep-agent")}, err
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	cache, err := cacheRoot()
	if err != nil {
		return nil, err
	}
	cache = filepath.Join(cache, "bin")
	if err := forgetOldBuilds(cache); err != nil {
		return nil, err
	}
	master, err := buildOne(ctx, root, "./cmd/master", cache, "sitekeep")
	if err != nil {
		return nil, err
	}
	agent, err := buildOne(ctx, root, "./cmd/agent", cache, "sitekeep-agent")
	if err != nil {
		return nil, err
	}
	return &Binaries{Master: master, Agent: agent}, nil
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := goTool(ctx, "", "env", "GOMOD")
	if err != nil {
		return "", err
	}
	mod := strings.TrimSpace(string(out))
	if mod == "" || mod == os.DevNull {
		return "", errors.New("the working directory is in no Go module: run this inside the checkout")
	}
	return filepath.Dir(mod), nil
}

func goTool(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return run(ctx, cmd)
}

// buildOne builds a program and gives it the place that its hash names.
func buildOne(ctx context.Context, root, pkg, cache, name string) (string, error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(cache, "new-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	fresh := filepath.Join(tmp, name)
	if _, err := goTool(ctx, root, "build", "-trimpath", "-o", fresh, pkg); err != nil {
		return "", fmt.Errorf("build %s: %w", pkg, err)
	}
	sum, err := hashFile(fresh)
	if err != nil {
		return "", err
	}
	final := filepath.Join(cache, sum, name)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", err
	}
	// Another process may have put the same program there: equal hash, equal
	// program.
	if err := os.Rename(tmp, filepath.Dir(final)); err != nil {
		if _, there := os.Stat(final); there != nil {
			return "", err
		}
		now := time.Now()
		return final, os.Chtimes(filepath.Dir(final), now, now)
	}
	return final, nil
}

// forgetOldBuilds removes what was not built for two days; programs that still
// run are not harmed by that.
func forgetOldBuilds(cache string) error {
	entries, err := os.ReadDir(cache)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && time.Since(info.ModTime()) > 48*time.Hour {
			err = os.RemoveAll(filepath.Join(cache, e.Name()))
		}
		if err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil))[:24], nil
}
