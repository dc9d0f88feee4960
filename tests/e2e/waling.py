# SPDX-License-Identifier: Apache-2.0
"""Files of WAL as a server would hand them over, made by hand: what keepfs looks at is the header of the first page."""
import random
import struct

MAGIC_15 = 0xD110
LONG = 2
SYSTEM_ID = 7301234567890123456
MIB = 1 << 20


def name_of(number, timeline=1, size=MIB):
    """of the segment @number, counted from 0"""
    per_log = (1 << 32) // size
    return f"{timeline:08X}{number // per_log:08X}{number % per_log:08X}"


def segment(number, timeline=1, size=MIB, system_id=SYSTEM_ID, seed=0, at=None):
    """a segment whose pages behind the first header hold what no server would have written; @at: the place that it says it has"""
    place = number * size if at is None else at
    head = struct.pack("<HHIQIIQII", MAGIC_15, LONG, timeline, place, 0, 0, system_id, size, 8192)
    body = random.Random(f"{number} {seed}").randbytes(64 << 10)
    return (head + body).ljust(size, b"\0")
