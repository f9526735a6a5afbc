# Slipway needs Go and git, nothing else.
#   make demo   builds and starts a server, takes a first app live, and stays up
#   make test   passes the tests
GO ?= go

.PHONY: demo test integration crash lint bench bench-record bench-gateway bench-peers peers build fuzz clean

demo:
	$(GO) run ./cmd/slipwayd demo

build:
	$(GO) build -trimpath -o bin/ ./cmd/slipway ./cmd/slipwayd

test:
	$(GO) test ./...

# The two mains driven as a user would, and the server killed at every step.
integration:
	$(GO) test -tags integration -count 1 -timeout 40m ./e2e/...

# A server killed that many times while it appends to the log.
KILLS ?= 1000
crash:
	SLIPWAY_AUDIT_KILLS=$(KILLS) $(GO) test -run TestKilledWriterLosesNothing -count 1 -v -timeout 2h ./audit

lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'run gofmt -w on these'; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags integration ./e2e/...
	$(GO) tool staticcheck ./...

# Compare two runs with benchstat.
bench:
	$(GO) test -run '^$$' -bench . -benchtime 5x -timeout 60m ./zone/... ./change/... ./check/... ./audit/... ./nameserver/... ./cmd/slipway/... \
	  ./provider/... ./drift/...
	$(GO) test -tags integration -run '^$$' -bench . -benchtime 20x -timeout 30m ./e2e/...
	$(GO) test -run '^$$' -bench . -benchtime 100x -timeout 10m ./cert/stepca
	$(MAKE) bench-record
	$(MAKE) bench-gateway

# The log: appending beside Tessera alone, and a whole log verified, indexed and read. With
# EVENTS=1000000 it takes some minutes and a few gigabytes.
EVENTS ?= 20000
bench-record:
	$(GO) test -run '^$$' -bench '(AppendBurst|TesseraAlone|SlowKey)/callers=1$$' -benchtime 300x ./audit
	$(GO) test -run '^$$' -bench '(AppendBurst|TesseraAlone|SlowKey)/callers=(64|1024)$$' -benchtime 20000x -timeout 30m ./audit
	$(GO) test -run '^$$' -bench 'AppendSustained/callers=(64|1024)$$' -benchtime 100000x -timeout 30m ./audit
	$(GO) test -run '^$$' -bench '(Verify|Reindex|Read)$$' -benchtime $(EVENTS)x -timeout 60m ./audit

# Full handshakes, and requests over kept connections, of the gateway and of nginx, one core each.
bench-gateway:
	$(GO) test -run '^$$' -bench . -benchtime 3s -timeout 10m ./gateway

# Other tools that tests compare Slipway with or speak to. Tests that need one skip
# where it is absent, so one that cannot be built does not keep the others away.
CONFTEST ?= github.com/open-policy-agent/conftest@v0.71.1
PEBBLE   ?= github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.1
STEP_CA  ?= github.com/smallstep/certificates/cmd/step-ca@v0.30.2
OMNIWITNESS ?= github.com/transparency-dev/witness/cmd/omniwitness@v0.0.0-20260720115447-2e1c6971d19e
LITEWITNESS ?= filippo.io/torchwood/cmd/litewitness@v0.6.1
LOCAL_KMS ?= github.com/nsmithuk/local-kms@v0.0.0-20260228092603-2a5e92d09ab6
VERSITYGW ?= github.com/versity/versitygw/cmd/versitygw@v1.8.0
MINIO     ?= github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
peers:
	@bin="$$($(GO) env GOBIN)"; bin="$${bin:-$$($(GO) env GOPATH)/bin}"; missing=0; \
	for peer in $(CONFTEST) $(PEBBLE) $(STEP_CA) $(OMNIWITNESS) $(LITEWITNESS) $(LOCAL_KMS) $(VERSITYGW) $(MINIO); do \
	  path="$${peer%@*}"; version="$${peer#*@}"; \
	  $(GO) version -m "$$bin/$${path##*/}" 2>/dev/null | grep -q "mod.*[[:space:]]$$version[[:space:]]" || \
	    CGO_ENABLED=0 GOFLAGS=-mod=mod $(GO) install "$$peer" || missing=1; \
	done; \
	$(GO) build -C key/vault/testdata/vaultd -o "$$bin/slipway-vaultd" . || missing=1; \
	exit $$missing

# One change judged by Slipway, and the same zones looked through by conftest.
bench-peers: peers
	$(GO) test -run '^$$' -bench 'Check(OneZoneOf100k|1000ZonesOf100|10000ZonesOf100)$$|Conftest' -benchtime 15x -timeout 30m ./cmd/slipway

FUZZTIME ?= 30s
fuzz:
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
	  done; \
	done

clean:
	rm -rf bin slipway-data
