# Sitekeep. `make help` lists what can be made.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO      ?= go
BUF     := $(GO) tool -modfile=tools/buf/go.mod buf
LINTER  := $(GO) tool -modfile=tools/lint/go.mod golangci-lint

# Two packages at a time: each starts servers of its own.
PARALLEL ?= 2
TIMEOUT  ?= 15m

.PHONY: help
help: ## say what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: export CGO_ENABLED = 0
build: ## bin/sitekeep and bin/sitekeep-agent, static; the version comes from git
	$(GO) build -trimpath -buildvcs=auto -ldflags "-s -w" -o bin/sitekeep ./cmd/master
	$(GO) build -trimpath -buildvcs=auto -ldflags "-s -w" -o bin/sitekeep-agent ./cmd/agent

.PHONY: install
install: build ## the programs, units, samples and ready-made hooks; DESTDIR=... for packages
	@scripts/install "$(DESTDIR)"

.PHONY: deps
deps:
	@scripts/install-deps

.PHONY: deps-bench
deps-bench:
	@scripts/install-deps bench

.PHONY: test
test: deps test-unit test-integration fuzz ## install what is missing, then run every test; a skip is a failure

.PHONY: test-unit
test-unit: ## tests that need no server and no root
	$(GO) run ./tools/gotest -vet=off -p $(PARALLEL) -timeout $(TIMEOUT) ./...

.PHONY: test-integration
test-integration: ## tests against real servers, and of the two programs; wants root
	$(GO) run ./tools/gotest -vet=off -p $(PARALLEL) -timeout $(TIMEOUT) -tags integration -run '^($(WITH_TAG))$$' $(INTEGRATION)

# Packages with a test that carries the tag; the longest first, so that the others run beside it.
TAGGED      = $(shell grep -rl --include='*_test.go' '^//go:build integration' .)
INTEGRATION = ./test/e2e $(filter-out ./test/e2e,$(sort $(patsubst %/,%,$(dir $(TAGGED)))))
# Their other tests have run without the tag.
WITH_TAG    = $(shell grep -hoE '^func Test[A-Za-z0-9_]+' $(TAGGED) | cut -c6- | sort -u | paste -sd'|')

.PHONY: test-mysql
test-mysql: ## dumps and imports at a MySQL server, fetched from Debian's unstable suite, and so not part of test
	$(GO) test -tags 'integration mysql' -run '^TestMySQL' ./pkg/dbdump

# How long each fuzzer runs, as go test's -fuzztime, and below which directories.
FUZZTIME ?= 3s
FUZZ     ?= pkg/archive pkg/sitekind/phplit pkg/sitekind/phpserial pkg/sitekind/moved

.PHONY: fuzz
fuzz: ## the fuzzers of what reads tarballs and rewrites sites; FUZZTIME=10m FUZZ=. for longer and for all
	@scripts/fuzz $(FUZZTIME) $(FUZZ)

.PHONY: lint
lint: ## gofmt, vet, golangci-lint with the import rules, buf lint, format and breaking
	@scripts/lint

.PHONY: proto
proto: ## format, lint and generate the code of proto/
	$(BUF) format -w
	$(BUF) lint
	$(BUF) generate

.PHONY: demo
demo: deps build ## a real site, backed up, wrecked and restored; KEEP=1 leaves it running
	@KEEP=$(KEEP) SITEKEEP_BIN=bin $(GO) run ./test/demo

# For example: make bench BENCH="-quick", or BENCH="-rows first -save bench.json"; BENCH=-list prints the rows
.PHONY: bench
bench: deps-bench build ## side by side with the tools people use today
	@SITEKEEP_BIN=bin $(GO) run ./test/bench $(BENCH)

# For example: make chaos CHAOS="-seed 7 -only cancel"
.PHONY: chaos
chaos: deps ## breaks restores in every way, an hour long; zero mixed states
	@$(GO) run ./test/chaos $(CHAOS)

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist
