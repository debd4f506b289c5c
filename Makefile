# Patchbay. `make` tells what there is to make.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GO       ?= go
BIN      := bin/patchbay
DATA     ?=
T        ?=
FUZZTIME ?= 10s
CARRIER  ?= 127.0.0.1:5090

# All is compiled as the binary is, so that the same packages serve vet, staticcheck and the tests against peers. The race
# detector alone needs C.
export CGO_ENABLED := 0
export GOFLAGS     += -trimpath

# The first letter of a story is capital in the names of its tests: T=first runs TestFirst…
STORY = $(if $(T),$(shell echo '$(T)' | sed 's/^./\U&/'),)

RUN_PACKAGES = postgresql
E2E_PACKAGES = ffmpeg sip-tester baresip-core linphone-cli kamailio kamailio-tls-modules sox tshark postgresql iproute2 gcc libc6-dev chromium opus-tools coturn npm sipvicious multimon-ng gir1.2-gst-rtsp-server-1.0 python3-gi curl
BENCH_PACKAGES = rtpengine-daemon

.PHONY: help deps deps-run deps-e2e deps-bench build run demo check lint unit picture e2e test fuzz bench soak docs fmt clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo '  make run DATA=/tmp/patchbay    keep the data there instead of the default folder'
	@echo '  make e2e T=first               only the tests of one story'
	@echo '  make bench T=webrtc            only one of relay, webrtc, opus, setup, rpc, offer, b2bua, records, reports, rating'

deps: deps-run deps-e2e deps-bench ## install what run and test need and is missing (Debian; as root or with sudo)

deps-run:
	@deploy/install $(RUN_PACKAGES)

deps-e2e:
	@deploy/install $(E2E_PACKAGES)

deps-bench:
	@deploy/install $(BENCH_PACKAGES)

build: ## build the one static binary, bin/patchbay
	@mkdir -p bin
	$(GO) build -o $(BIN) ./cmd/patchbay

run: deps-run build ## start Patchbay, the demo carrier and a private Postgres; Ctrl-C stops them
	@deploy/run $(BIN) $(if $(DATA),--data '$(DATA)')

demo: deps-run build ## calls from a browser through Patchbay to the demo carrier, with their story and records
	@deploy/demo $(BIN)

check: picture build ## format, vet, staticcheck, imports, build, unit tests with the race detector
	@echo '== format'; files=$$(git ls-files -co --exclude-standard '*.go' | xargs -r gofmt -l); \
	  if [ -n "$$files" ]; then echo "not formatted (make fmt):"; echo "$$files"; exit 1; fi
	@$(MAKE) lint unit

# All tags together leave out what is the short form of a story, which is looked at by itself.
TAGS = e2e,sipload,billing,media,soak

lint: ## vet and staticcheck
	@echo '== vet'; $(GO) vet -tags $(TAGS) ./... && $(GO) vet -tags e2e ./test/e2e
	@echo '== staticcheck'; $(GO) tool staticcheck -tags $(TAGS) ./... && $(GO) tool staticcheck -tags e2e ./test/e2e

unit: ## unit tests with the race detector
	@echo '== unit tests'; CGO_ENABLED=1 $(GO) test -race -p $$(($$(nproc) + 1)) -timeout 5m ./...

picture: ## the imports are those of the picture in README.md, and no others
	@echo '== picture'; $(GO) test -count=1 -run '^TestPicture' ./cmd/patchbay

# Folders with packages of others that tests use: libraries that call in a browser, programs that drive us over JSON-RPC, and
# what the page is built of.
NPM := $(addsuffix /node_modules/.package-lock.json,test/e2e/clients test/e2e/older docs/examples web)

docs/examples/node_modules/.package-lock.json: $(wildcard rpc/js/*.js* docs/examples/reconnect-ws/*.js*)

# What the lock file names, checked against its sums. npm before 9.9, as Debian 12 has it, can't override a dependency on a git
# repository, which kurento-client needs: a later one is fetched for the occasion.
$(NPM): %/node_modules/.package-lock.json: %/package-lock.json | deps-e2e
	@echo '== npm ci $*'; cd $* && \
	  case "$$(npm --version)" in [0-8].* | 9.[0-8].*) npx --yes npm@10.9.4 ci --ignore-scripts ;; *) npm ci --ignore-scripts ;; esac && touch node_modules/.package-lock.json

# Loads are left out unless they are asked for by name, and what of billing and media takes long.
LOADS    = sipload billing media
E2E_TAGS = e2e$(addprefix $(comma),$(filter $(T),$(LOADS)))
comma   := ,

e2e: deps-e2e build $(NPM) ## tests against real peers; T=first only one story, T=sipload a load that is none of them
	@echo '== e2e $(T)'; failed=0; export PATCHBAY_BIN=$(CURDIR)/$(BIN); \
	  if [ -z '$(T)' ]; then test/e2e/lanes $(CURDIR)/out/e2e -tags $(E2E_TAGS) || failed=1; \
	  else $(GO) test -tags $(E2E_TAGS) -count=1 -timeout 15m -p 1 -run '^Test$(STORY)' ./test/e2e ./web ./media/opus || failed=1; fi; \
	  echo '== pictures of the page'; ls $(CURDIR)/out/page/*.png 2>/dev/null || true; exit $$failed

test: check e2e ## check and e2e: what every change must pass

fuzz: ## every fuzz test for FUZZTIME (10s) each
	@for f in $$(git ls-files -co --exclude-standard '*_test.go' | xargs -r grep -l '^func Fuzz'); do \
	  for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$f); do \
	    echo "== $$name in $$(dirname $$f)"; $(GO) test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) ./$$(dirname $$f); \
	  done; done

bench: deps-e2e deps-bench build ## packets relayed, to WebRTC and through Opus beside peers, set-up times; fails if a goal is missed
	@PATCHBAY_BIN=$(CURDIR)/$(BIN) $(GO) run ./test/bench $(T)

soak: deps-e2e build ## long loads; not part of test
	@PATCHBAY_BIN=$(CURDIR)/$(BIN) $(GO) test -tags soak -count=1 -timeout 4h -v ./test/soak

docs: ## print the table of classes to docs/rpc-classes.md
	@$(GO) run ./cmd/patchbay classes > docs/rpc-classes.md.new && mv docs/rpc-classes.md.new docs/rpc-classes.md

fmt: ## format all Go files
	@git ls-files -co --exclude-standard '*.go' | xargs -r gofmt -w

clean: ## remove what was built
	rm -rf bin out
