# make install and make uninstall: included by Makefile. DESTDIR= and PREFIX=/usr say where to.
#   MULTICALL=1   one binary with a link for each command
#   NO_UNITS=1    no units and nothing else that a boot reads: beside upstream in a dom0
#   FORCE=1       also over files that a package or somebody else put there

INSTALL ?= install
FORCE =
NO_UNITS =
TARGET = $(or $(CARGO_TARGET_DIR),target)
COMMANDS = $(filter-out qubes-monitor,$(notdir $(basename $(wildcard src/bin/*.rs))))
BUILT = $(addprefix $(TARGET)/release/,$(if $(MULTICALL),qubes,$(COMMANDS) qubes-monitor))
# Everything is laid out in a directory of its own first, so that what is installed can be written
# down.
STAGE = $(DESTDIR)
OUT = $(STAGE)$(PREFIX)

.PHONY: install install-files install-programs install-documents install-completions install-data generated

# Builds nothing: installing is done as root, and building is not.
install:
	@for program in $(BUILT); do \
		if [ ! -f $$program ]; then \
			echo "make install: cannot find $$program; run 'make build$(if $(MULTICALL), MULTICALL=1)' first, as an ordinary user" >&2; \
			exit 1; \
		fi; \
	done
	@FORCE=$(FORCE) packaging/place.sh install '$(DESTDIR)' '$(PREFIX)' $(MAKE) --silent install-files

uninstall:
	@packaging/place.sh uninstall '$(DESTDIR)' '$(PREFIX)'

install-files: install-programs install-documents install-completions install-data

install-programs:
	$(INSTALL) -d $(OUT)/bin $(OUT)/lib/qubes
ifeq ($(MULTICALL),)
	$(INSTALL) -m 0755 $(addprefix $(TARGET)/release/,$(COMMANDS)) $(OUT)/bin
	$(INSTALL) -m 0755 $(TARGET)/release/qubes-monitor $(OUT)/lib/qubes
else
	$(INSTALL) -m 0755 $(TARGET)/release/qubes $(OUT)/bin
	for command in $(filter-out qubes,$(COMMANDS)); do ln -sf qubes $(OUT)/bin/$$command || exit; done
	ln -sf ../../bin/qubes $(OUT)/lib/qubes/qubes-monitor
endif

# Documents keep their place beside README.md, which links to them.
install-documents:
	for page in $(wildcard man/*.[1-8]); do \
		section=$(OUT)/share/man/man$${page##*.}; \
		$(INSTALL) -d $$section && $(INSTALL) -m 0644 $$page $$section || exit; \
	done
	$(INSTALL) -d $(OUT)/share/doc/qubes/docs/schemas
	$(INSTALL) -m 0644 README.md COPYING $(OUT)/share/doc/qubes
	$(INSTALL) -m 0644 $(wildcard docs/*.md) $(OUT)/share/doc/qubes/docs
	$(INSTALL) -m 0644 $(wildcard docs/schemas/*) $(OUT)/share/doc/qubes/docs/schemas

# One file per shell serves all commands; bash and fish look it up by the command's name.
install-completions:
	$(INSTALL) -d $(OUT)/share/bash-completion/completions $(OUT)/share/zsh/site-functions \
		$(OUT)/share/fish/vendor_completions.d
	$(INSTALL) -m 0644 completions/qubes.bash $(OUT)/share/bash-completion/completions/qubes
	$(INSTALL) -m 0644 completions/_qubes $(OUT)/share/zsh/site-functions
	$(INSTALL) -m 0644 completions/qubes.fish $(OUT)/share/fish/vendor_completions.d
	for command in $(filter-out qubes qubes-complete,$(COMMANDS)); do \
		ln -sf qubes $(OUT)/share/bash-completion/completions/$$command && \
		ln -sf qubes.fish $(OUT)/share/fish/vendor_completions.d/$$command.fish || exit; \
	done

# Libvirt templates, systemd units, the group and the directories that a boot makes. What puts qubes
# in order at boot, and stops them with the machine, is wanted by every boot; which qubes start is
# up to their autostart.
install-data:
	$(INSTALL) -d $(OUT)/share/qubes
	if [ -d templates ]; then cp -R templates $(OUT)/share/qubes/; fi
ifeq ($(NO_UNITS),)
	$(INSTALL) -d $(OUT)/lib/systemd/system
	for unit in $(notdir $(wildcard units/*.service)); do \
		sed 's|/usr/bin/|$(PREFIX)/bin/|g' units/$$unit > $(OUT)/lib/systemd/system/$$unit && \
		chmod 0644 $(OUT)/lib/systemd/system/$$unit || exit; \
	done
	$(INSTALL) -d $(OUT)/lib/systemd/system/multi-user.target.wants
	for unit in qubes-recover qubes-shutdown; do \
		ln -sf ../$$unit.service $(OUT)/lib/systemd/system/multi-user.target.wants/ || exit; \
	done
	for file in $(wildcard sysusers.d/*.conf tmpfiles.d/*.conf); do \
		$(INSTALL) -d $(OUT)/lib/$${file%/*} && $(INSTALL) -m 0644 $$file $(OUT)/lib/$$file || exit; \
	done
endif

# Makes completions/ and man/ again; a test fails when they are not what the programs say.
generated:
	$(CARGO) run --locked --bin qubes -- generate .
