#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""embed.py PREFIX OUTPUT.c FILE…: each file as a C array that ends in NUL, named after it: with the prefix dashboard page.html is dashboard_page_html."""
import pathlib
import sys

prefix = sys.argv[1]
output, *files = map(pathlib.Path, sys.argv[2:])
pieces = ["/* Made by embed.py. */\n"]
for file in files:
    name = prefix + "_" + file.name.replace(".", "_")
    content = file.read_bytes()
    assert b"\0" not in content, file
    lines = [", ".join(str(byte if byte < 128 else byte - 256) for byte in content[i:i + 24]) for i in range(0, len(content), 24)]
    pieces.append(f"extern const char {name}[];\nconst char {name}[] = {{\n{(chr(44) + chr(10)).join(lines)}, 0}};\n")
output.write_text("".join(pieces))
