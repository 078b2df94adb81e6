# make install and make uninstall, included by Makefile. They install below DESTDIR= PREFIX=/usr.
#   MULTICALL=1   Install one binary with a link for each command
#   NO_UNITS=1    Install no units and nothing else that a boot reads: beside upstream in a dom0
#   FORCE=1       Replace files that make install did not install

INSTALL ?= install
FORCE =
NO_UNITS =
TARGET = $(or $(CARGO_TARGET_DIR),target)
COMMANDS = $(filter-out qubes-monitor,$(notdir $(basename $(wildcard src/bin/*.rs))))
BUILT = $(addprefix $(TARGET)/release/,$(if $(MULTICALL),qubes,$(COMMANDS) qubes-monitor))
# Files are staged in a separate directory first, so that the list of installed files is complete.
STAGE = $(DESTDIR)
OUT = $(STAGE)$(PREFIX)

.PHONY: install install-files install-programs install-documents install-completions
.PHONY: install-data generated

# Does not build: make install runs as root, and a build should not.
install:
	@for program in $(BUILT); do \
		if [ ! -f $$program ]; then \
			echo "make install: cannot find $$program; run" \
				"'make build$(if $(MULTICALL), MULTICALL=1)' first, as an ordinary user" >&2; \
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

# Documents keep their place relative to README.md, which links to them.
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

# Libvirt templates, systemd units, the group qubes and the directories made at boot. The units that
# recover qubes at boot and shut them down are enabled; which qubes start depends on autostart.
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

# Generates completions/ and man/; a test fails if they differ from what the programs generate.
generated:
	$(CARGO) run --locked --bin qubes -- generate .
