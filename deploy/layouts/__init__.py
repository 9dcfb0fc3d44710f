"""Folders around the C files of a network for the build tools of firmware: CMake, Zephyr, Arduino, PlatformIO."""
