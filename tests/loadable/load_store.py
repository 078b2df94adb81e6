"""Loads stores with a checkout of qubes-core-admin.

Usage: load_store.py CHECKOUT

Reads paths of qubes.xml files from standard input, one a line, and answers each with one line: `ok`, or the exception
that loading it, or writing down what was loaded, ends with. What the checkout imports and the machine lacks is replaced by
empty modules: no hypervisor is asked while a store is loaded offline. lxml is needed.
"""

import importlib.abc
import importlib.machinery
import importlib.metadata
import logging
import os
import re
import sys
import tempfile
from pathlib import Path
from unittest import mock

OPTIONAL = (
    "dbus docutils jinja2 libvirt libvirtaio psutil pyudev qasync qrexec qubesdb systemd xen yaml".split()
)
PROGRAMS = {"lvm": "#!/bin/sh\necho '{\"report\":[{\"lv\":[]}]}'\n", "sudo": "#!/bin/sh\nexec \"$@\"\n"}


class EmptyModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds optional modules that are not installed."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in OPTIONAL:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = mock.MagicMock(name=spec.name)
        module.__path__ = []
        module.__spec__ = spec
        module.__name__ = spec.name
        module.libvirtError = type("libvirtError", (Exception,), {})
        return module

    def exec_module(self, module):
        pass


def declared_entry_points(checkout):
    """Returns the entry points that the checkout's setup.py declares."""
    text = (checkout / "setup.py").read_text(encoding="utf-8")
    text = re.sub(r'"\s*\n\s*"', "", text)  # one declaration may be two adjacent literals
    found, group = [], None
    for match in re.finditer(r'"(qubes\.[a-z.]+)": \[|"([\w.-]+) = ([\w.]+:\w+)"', text):
        if match[1]:
            group = match[1]
        elif group:
            found.append(importlib.metadata.EntryPoint(match[2], match[3], group))
    return found


def prepare(checkout, scratch):
    """Makes the checkout importable, and keeps it from touching the machine."""
    for name, text in PROGRAMS.items():
        program = scratch / name
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)
    os.environ["PATH"] = "%s:%s" % (scratch, os.environ.get("PATH", ""))
    sys.path.insert(0, str(checkout))
    sys.meta_path.append(EmptyModules())
    known = declared_entry_points(checkout)
    importlib.metadata.entry_points = lambda group=None, name=None: [
        entry for entry in known if entry.group == group and name in (None, entry.name)
    ]
    logging.disable(logging.CRITICAL)
    import qubes.config

    # A file for each service of dom0 is made while a store is loaded.
    qubes.config.system_path["dom0_services_dir"] = str(scratch / "services")


def load(store):
    import lxml.etree
    import qubes.app

    try:
        app = qubes.Qubes(store, offline_mode=True, lock=False)
        lxml.etree.tostring(app.__xml__())
        app.close()
        return "ok"
    except Exception as error:  # whatever it is, it is the answer
        return " ".join(("%s: %s" % (type(error).__name__, error)).split())


def main():
    with tempfile.TemporaryDirectory() as scratch:
        prepare(Path(sys.argv[1]).resolve(), Path(scratch))
        for line in sys.stdin:
            print(load(line.rstrip("\n")), flush=True)


main()
