"""Toolchains, links, ELF files and emulators: what a network's C code takes on a core, and whether it is right."""
