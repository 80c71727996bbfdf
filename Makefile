GO ?= go
BIN := $(CURDIR)/bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
VERSION_VARIABLE := main.version
FUZZTIME ?= 10s
TIMEOUT ?= 60m
# What runs the program as processes has little that the race detector could watch, and takes four times as long with it.
# Neither does it see files that say so: it has a memory of its own, looks at each byte, and finds nothing in all cases that
# is not in some.
PROCESSES := ./cmd/guppy ./internal/testing/bench ./internal/testing/storm
RACED = $(filter-out $(PROCESSES),$(patsubst $(shell $(GO) list -m)/%,./%,$(shell $(GO) list ./...)))
# What takes longest begins first. Much of the time tests wait, so that there are more of them at once than processors.
LONGEST := ./internal/preparing/pipeline ./sqlrepo ./internal/upkeep/gc ./dialect ./dialect/postgres
# SQLite is C that was translated: to watch over that, which is not ours, takes the race detector as long as all the rest.
# By itself it waits for a second at the end of each process. Tests make much garbage, and little stays.
RACE := -race -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false
RACE_ENV := GORACE=atexit_sleep_ms=10 GOGC=400
CHAOS_SEEDS ?= 50
SEEDS ?= 100
SEED ?=

GOLANGCI_LINT_VERSION := v2.15.0
GOLANGCI_LINT := $(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION)

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/guppy.
	$(GO) build -trimpath -ldflags "-X $(VERSION_VARIABLE)=$(VERSION)" -o $(BIN)/guppy ./cmd/guppy

.PHONY: test
test: postgres versitygw ## Vet, then run all tests, on SQLite and on PostgreSQL.
	$(GO) vet ./...
	$(GO) test -p 3 -timeout $(TIMEOUT) ./cmd/guppy $(LONGEST) ./...
	$(MAKE) peers

.PHONY: test-race
test-race: postgres versitygw ## Run the tests with the race detector, but for those that it has nothing to watch in.
	$(RACE_ENV) $(GO) test $(RACE) -p 3 -timeout $(TIMEOUT) $(LONGEST) $(RACED)

.PHONY: peers
peers: build ## Have others' tools read what guppy writes. Outside CI they are left out where they can't be had.
	GO=$(GO) ./scripts/peers $(BIN)/guppy

.PHONY: test-chaos
test-chaos: postgres ## Have workers share an upload in CHAOS_SEEDS (default 50) storms of network faults.
	GUPPY_TEST_CHAOS_SEEDS=$(CHAOS_SEEDS) $(GO) test -race -count 1 -timeout 60m -run Storm ./internal/testing/chaos

.PHONY: test-storm
test-storm: postgres ## Have processes of the program share a space in SEEDS (default 100) storms of all kinds of faults, or in that of SEED.
	GUPPY_TEST_STORM_SEEDS=$(SEEDS) GUPPY_TEST_STORM_SEED=$(SEED) $(GO) test -count 1 -timeout 5h -v ./internal/testing/storm

.PHONY: postgres
postgres:
	@./scripts/ensure-postgres

.PHONY: versitygw
versitygw:
	@GO=$(GO) ./scripts/ensure-versitygw

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Check formatting and run the linters.
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt these files:"; echo "$$unformatted"; exit 1; }
	$(GOLANGCI_LINT) run

# The version is part of the name, so that another version is another file to make.
$(GOLANGCI_LINT):
	GOBIN=$(BIN) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(BIN)/golangci-lint $@

.PHONY: bench
bench: postgres ## Run the benchmark, but for bench-lookup.
	$(GO) run ./internal/testing/bench

.PHONY: bench-lookup
bench-lookup: postgres ## Measure look-ups among 10 million nodes, in 4 GB of temporary files.
	$(GO) run ./internal/testing/bench -only lookup

.PHONY: fuzz
fuzz: postgres ## Run every fuzz target for FUZZTIME (default 10s) each.
	GO=$(GO) ./scripts/fuzz $(FUZZTIME)

.PHONY: clean
clean: ## Remove what was built here.
	rm -rf $(BIN)
