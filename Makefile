GO ?= go
BIN := $(CURDIR)/bin
FUZZTIME ?= 10s
TIMEOUT ?= 60m
# The race detector watches goroutines: it is of use only to packages that start some, in their code or in their tests.
# What runs the program as processes has little that it could watch, and takes four times as long with it.
PROCESSES := ./cmd/guppy/ ./internal/testing/bench/ ./internal/testing/storm/
GOROUTINES := go func|\.Go\(|t\.Parallel\(\)
CONCURRENT = $(shell grep -rlE --include='*.go' '$(GOROUTINES)' cmd dialect internal migrate sqlrepo)
RACED = $(filter-out $(PROCESSES),$(sort $(patsubst %,./%,$(dir $(CONCURRENT)))))
# The longest packages begin first. Tests often wait, so more packages run at once than there are processors.
LONGEST := ./internal/preparing/pipeline ./sqlrepo ./internal/store ./dialect ./migrate ./internal/testing/chaos
# "make lint" has vet: go test would vet all that the tests import, too.
TEST = $(GO) test -vet=off -p 4 -timeout $(TIMEOUT)
# Tests make much garbage, and little stays. Some of the long tests measure how much, and collect it as the program does.
LAZY := GOGC=400
# PostgreSQL servers begin with a copy of what initdb made for the first.
export GUPPY_TEST_POSTGRES_TEMPLATES ?= $(BIN)/postgres
# SQLite is C that was translated to Go. Watching it, which is not ours, would take as long as watching all the rest. By
# itself the race detector waits for a second at the end of each process.
RACE := -race -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false
CHAOS_SEEDS ?= 50
SEEDS ?= 100
SEED ?=
# The range of PostgreSQL versions that guppy is tested with, and one that it warns of.
OLDEST = $(shell sed -n 's/^const oldestServer = //p' dialect/postgres/info.go)
NEWEST := 18
OLD := 12
FIRST ?= 0

GOLANGCI_LINT_VERSION := v2.15.0
GOLANGCI_LINT := $(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION)

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/guppy.
	$(GO) build -trimpath -buildvcs=auto -o $(BIN)/guppy ./cmd/guppy

.PHONY: test
test: postgres versitygw ## Run the tests that guard every change, on SQLite and on PostgreSQL.
	$(LAZY) $(TEST) ./cmd/guppy ./internal/testing/storm $(LONGEST) ./...

.PHONY: test-all
test-all: test-race test-long peers test-matrix-short ## Run what make test leaves out.

.PHONY: test-race
test-race: postgres versitygw ## Run the tests of all that has goroutines with the race detector.
	GORACE=atexit_sleep_ms=10 $(LAZY) $(TEST) $(RACE) $(LONGEST) $(RACED)

.PHONY: test-long
test-long: postgres versitygw ## Run the tests that go through all cases of something.
	$(TEST) -tags long -run "^($$(./scripts/long-tests tests))$$" $$(./scripts/long-tests packages)

# Without -trimpath it is made of what was built for the tests.
.PHONY: peers
peers: ## Have others' tools read what guppy writes. Outside CI they are left out where they can't be had.
	$(GO) build -o $(BIN)/guppy-untrimmed ./cmd/guppy
	GO=$(GO) ./scripts/peers $(BIN)/guppy-untrimmed

.PHONY: test-matrix
test-matrix: VERSIONS = $(OLD) $(OLDEST) 15 $(NEWEST)
test-matrix: postgres versitygw ## Run all tests that need PostgreSQL on each of VERSIONS, before a release.
	GO=$(GO) ./scripts/test-matrix whole $(VERSIONS)

# make test takes the version that is installed, which is between these.
.PHONY: test-matrix-short
test-matrix-short: postgres
	GO=$(GO) $(LAZY) ./scripts/test-matrix short $(OLD) $(OLDEST) $(NEWEST)

.PHONY: test-chaos
test-chaos: postgres ## Have workers share an upload in CHAOS_SEEDS (default 50) storms of network faults.
	GUPPY_TEST_CHAOS_SEEDS=$(CHAOS_SEEDS) $(GO) test -race -count 1 -timeout 60m -run Storm ./internal/testing/chaos

.PHONY: test-storm
test-storm: postgres ## Run SEEDS (default 100) storms of all kinds of faults, from the seed FIRST on, or the one of SEED.
	GUPPY_TEST_STORM_SEEDS=$(SEEDS) GUPPY_TEST_STORM_FIRST=$(FIRST) GUPPY_TEST_STORM_SEED=$(SEED) \
		$(GO) test -count 1 -timeout 5h -v ./internal/testing/storm

.PHONY: test-heal
test-heal: SEEDS = 50
test-heal: postgres versitygw ## Have stores heal each other SEEDS (default 50) times, and lose one at every step.
	GUPPY_TEST_HEAL_SEEDS=$(SEEDS) GUPPY_TEST_HEAL_STRIDE=1 $(GO) test -tags long -count 1 -timeout 60m -v \
		-run 'StoresHeal|AStoreIsLost' ./internal/upkeep/check ./internal/preparing/pipeline

.PHONY: test-ha
test-ha: ROUNDS = 20
test-ha: RUN = .
test-ha: postgres ## Have the leader of a PostgreSQL cluster fail ROUNDS (default 20) times in each test, as in SEED.
	@./scripts/ensure-ha
	GUPPY_TEST_HA_ROUNDS=$(ROUNDS) GUPPY_TEST_HA_SEED=$(SEED) $(GO) test -vet=off -tags ha -count 1 -timeout 2h -v \
		-run '$(RUN)' ./internal/testing/ha

.PHONY: postgres
postgres:
	@./scripts/ensure-postgres

.PHONY: versitygw
versitygw:
	@GO=$(GO) ./scripts/ensure-versitygw

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Check formatting and run the linters, vet among them.
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt these files:"; echo "$$unformatted"; exit 1; }
	$(GOLANGCI_LINT) run

# The version is part of the name, so that another version is another file to make.
$(GOLANGCI_LINT):
	GOBIN=$(BIN) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(BIN)/golangci-lint $@

.PHONY: docs
docs: ## Write docs/reference again, from the program and its settings.
	$(GO) test ./cmd/guppy ./internal/config -run Reference -update

.PHONY: man
man: ## Write the manual pages of all commands into man.
	$(GO) test -vet=off -count 1 ./cmd/guppy -run ManPages -man $(CURDIR)/man

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
	rm -rf $(BIN) $(CURDIR)/man
