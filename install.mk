# make install: included by Makefile. DESTDIR= and PREFIX=/usr say where to.

INSTALL ?= install
COMMANDS = $(filter-out qubes-monitor,$(notdir $(basename $(wildcard src/bin/*.rs))))
OUT = $(DESTDIR)$(PREFIX)

.PHONY: install install-programs install-documents install-completions install-data generated

install: install-programs install-documents install-completions install-data

install-programs: build
	$(INSTALL) -d $(OUT)/bin $(OUT)/lib/qubes
	$(INSTALL) -m 0755 $(addprefix target/release/,$(COMMANDS)) $(OUT)/bin
	$(INSTALL) -m 0755 target/release/qubes-monitor $(OUT)/lib/qubes

install-documents:
	$(INSTALL) -d $(OUT)/share/man/man1
	$(INSTALL) -m 0644 man/*.1 $(OUT)/share/man/man1

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

# Libvirt templates and systemd units. What puts qubes in order at boot, and stops them with the machine, is wanted by every
# boot; which qubes start is up to their autostart.
install-data:
	$(INSTALL) -d $(OUT)/share/qubes $(OUT)/lib/systemd/system
	if [ -d templates ]; then cp -R templates $(OUT)/share/qubes/; fi
	for unit in $(notdir $(wildcard units/*)); do \
		sed 's|/usr/bin/|$(PREFIX)/bin/|g' units/$$unit > $(OUT)/lib/systemd/system/$$unit && \
		chmod 0644 $(OUT)/lib/systemd/system/$$unit || exit; \
	done
	$(INSTALL) -d $(OUT)/lib/systemd/system/multi-user.target.wants
	for unit in qubes-recover qubes-shutdown; do \
		ln -sf ../$$unit.service $(OUT)/lib/systemd/system/multi-user.target.wants/ || exit; \
	done

# Makes completions/ and man/ again; a test fails when they are not what the programs say.
generated:
	$(CARGO) run --locked --bin qubes -- generate .
