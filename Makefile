# make demo      from nothing to running qubes in a scratch directory; installs what is missing
# make test      installs what the tests need and runs everything: rustfmt, clippy, all tests
# make bench     the budget table, measured here
# make build     the release binaries
# make install   DESTDIR= PREFIX=/usr: binaries, man pages, completions, templates, units

CARGO ?= cargo
PREFIX ?= /usr
DESTDIR ?=
# An error chain must not cost a stack trace in the tools that the tests run.
export RUST_BACKTRACE ?= 0

.PHONY: all build demo test bench install guest

all: build

build:
	$(CARGO) build --release --locked

demo:
	@demo/dependencies.sh demo
	$(CARGO) build --locked
	@demo/run.sh target/debug

# The small machine that the demonstration and the tests start; built once.
guest:
	@demo/guest.sh target/guest

test:
	@demo/dependencies.sh test
	@demo/guest.sh target/guest
	@demo/libvirt.sh
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) test --locked --workspace

bench:
	@demo/dependencies.sh bench demo
	@demo/guest.sh target/guest
	@demo/libvirt.sh
	$(CARGO) bench --locked --bench budget

-include install.mk
