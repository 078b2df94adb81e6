# make demo       from nothing to running qubes in a scratch directory; installs what is missing
# make test       installs what the tests need and runs everything to the end: rustfmt, clippy,
#                 all tests
# make check      the same
# make bench      the budget table, measured here
# make build      the release binaries; MULTICALL=1: only the one that is every command
# make install    DESTDIR= PREFIX=/usr: what `make build` made, man pages, completions, documents,
#                 templates, units; MULTICALL=1: one binary with a link for each command
# make uninstall  DESTDIR= PREFIX=/usr: removes what `make install` put there
# make help       this list

CARGO ?= cargo
PREFIX ?= /usr
DESTDIR ?=
MULTICALL ?=
# An error chain must not cost a stack trace in the tools that the tests run.
export RUST_BACKTRACE ?= 0

.PHONY: all help build demo test check bench install uninstall guest

all: build

help:
	@sed -n 's/^# \(make \|  \)/\1/p; /^$$/q' Makefile

# The same source gives the same bytes in whichever directory, and by whomever, it is built: paths
# are told from the top of the source and of cargo's own directory.
CARGO_DIRECTORY = $(or $(CARGO_HOME),$(HOME)/.cargo)
build bench: export RUSTFLAGS := $(RUSTFLAGS) --remap-path-prefix=$(CURDIR)=/qubes --remap-path-prefix=$(CARGO_DIRECTORY)=/cargo
build:
	$(CARGO) build --release --locked $(if $(MULTICALL),--bin qubes)

demo:
	@demo/dependencies.sh demo
	$(CARGO) build --locked
	@demo/run.sh target/debug

# The small machine that the demonstration and the tests start; built once.
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
