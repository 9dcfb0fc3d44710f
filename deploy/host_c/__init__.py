"""The host's work before and after a network as C99: `NAME_host.h` and `NAME_host.c`."""
