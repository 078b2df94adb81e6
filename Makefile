# make demo       Create and start qubes in a scratch directory; install missing packages first
# make test       Install what the tests need; run rustfmt, clippy, rustdoc and all tests
# make check      Same as make test
# make bench      Measure the budget table on this machine
# make build      Build the release binaries; MULTICALL=1: only the one that is every command
# make install    Install the built binaries, man pages, completions, documents, templates and units
#                 to DESTDIR= PREFIX=/usr; MULTICALL=1: one binary with a link for each command
# make uninstall  Remove what make install put below DESTDIR= PREFIX=/usr
# make help       Print this list

CARGO ?= cargo
PREFIX ?= /usr
DESTDIR ?=
MULTICALL ?=
# Backtraces would slow down every expected error of the tools in the tests.
export RUST_BACKTRACE ?= 0

.PHONY: all help build demo test check bench install uninstall guest

all: build

help:
	@sed -n 's/^# \(make \|  \)/\1/p; /^$$/q' Makefile

# For reproducible builds: paths in the binaries are relative to the source and to cargo's
# directory, whoever builds where.
CARGO_DIRECTORY = $(or $(CARGO_HOME),$(HOME)/.cargo)
build bench: export RUSTFLAGS := $(RUSTFLAGS) --remap-path-prefix=$(CURDIR)=/qubes \
    --remap-path-prefix=$(CARGO_DIRECTORY)=/cargo
build:
	$(CARGO) build --release --locked $(if $(MULTICALL),--bin qubes)

demo:
	@demo/dependencies.sh demo
	$(CARGO) build --locked
	@demo/run.sh target/debug

# The small guest that the demonstration and the tests start; built once.
guest:
	@demo/guest.sh target/guest

test check:
	@demo/dependencies.sh test
	@tests/all.sh

bench:
	@demo/dependencies.sh bench demo
	@demo/guest.sh target/guest
	@demo/libvirt.sh
	$(CARGO) bench --locked --bench budget

-include install.mk
