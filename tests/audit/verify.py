#!/usr/bin/env python3
"""Checks an audit log as docs/audit-log.md says it, and knows nothing of dbgate but that page.

verify.py DIRECTORY prints how many records there are and the hash of the last one; exit code 9 and the place if anything is wrong.
"""

import hashlib
import json
import os
import re
import sys

MAX_LEAF, MAX_TEXT, SLOT = 65536, 1 << 20, 256
DIGITS = re.compile(rb"[0-9a-f]{64}\Z")


class Wrong(Exception):
    pass


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def need(condition, place, what):
    if not condition:
        raise Wrong(f"{place}: {what}")


def read(directory, name):
    try:
        with open(os.path.join(directory, name), "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise Wrong(f"{name}: the file is gone") from None


def commitments(value):
    """All {"sha256", "size", "at"} in a leaf, in the order of `at`."""
    if isinstance(value, list):
        return sorted((c for one in value for c in commitments(one)), key=lambda c: c["at"])
    if not isinstance(value, dict):
        return []
    return [value] if "sha256" in value else commitments(list(value.values()))


def slots(head):
    """What the file `head` says was acknowledged: pairs of a number of records and the hash of the last."""
    need(len(head) <= 2 * SLOT and len(head) % SLOT == 0, "head", "not two slots")
    for at in range(0, len(head), SLOT):
        slot = head[at : at + SLOT]
        if slot.strip(b"\0"):
            words = slot[:-1].rstrip(b" ").split(b" ")
            need(len(words) == 4 and words[0] == b"dbgate-audit-head/1" and slot[-1:] == b"\n", "head", f"slot at byte {at}")
            check = sha(b"\0", b" ".join(words[:3])).hex().encode()
            need(check == words[3] and b"%d" % int(words[1]) == words[1], "head", f"slot at byte {at}")
            yield int(words[1]), bytes.fromhex(words[2].decode())


def text(payload, at, index, promise, place):
    """Checks the entry of a text at `at`; where the next one begins, and whether this one was erased."""
    need(promise["at"] == at, place, "the text is not where the record says")
    line, size = payload[at:].split(b"\n", 1)[0], promise["size"]
    words = line.split(b" ")
    need(len(words) == 4 and size <= MAX_TEXT, place, "no entry")
    need(words[0] == b"%d" % index and words[3] == b"%d" % size, place, "the entry of another text")
    need(words[1] == promise["sha256"].encode(), place, "another hash than the record's")
    start = at + len(line) + 1
    kept, end = payload[start : start + size], start + size
    need(len(kept) == size and payload[end : end + 1] == b"\n", place, "the text is not whole")
    if words[2] == b"-" * 64:
        need(kept == b" " * size, place, "not erased whole")
        return end + 1, True
    need(DIGITS.match(words[2]), place, "no salt")
    need(sha(b"\2", bytes.fromhex(words[2].decode()), kept).hex() == promise["sha256"], place, "not the text that was recorded")
    return end + 1, False


def verify(directory):
    names = sorted(name for name in os.listdir(os.path.join(directory, "log")) if re.match(r"\d{20}\.log\Z", name))
    need(names, "log", "no files")
    acknowledged = dict(slots(read(directory, "head")))
    index, previous, log_id, erased, erasures = 0, None, None, {}, set()
    for name in names:
        lines = read(directory, f"log/{name}").split(b"\n")
        need(lines.pop() == b"", name, "the last record is not whole")
        need(lines, name, "no header")
        magic, this, first, before = (lines[0].split(b" ") + [b""] * 4)[:4]
        previous = previous or sha(b"\3", this)
        need(magic == b"dbgate-audit-log/1" and len(lines[0].split(b" ")) == 4, name, "no header")
        need(re.match(rb"[0-9a-f]{32}\Z", this) and this == (log_id or this), name, "another log")
        need(first == b"%d" % index and name == f"{index:020}.log", name, "files are missing")
        need(before == previous.hex().encode(), name, "does not go on from the file before")
        log_id, at = this, 0
        payload = read(directory, f"payload/{name[:-4]}.dat")
        for line in lines[1:]:
            place = f"{name}, record {index}"
            stated, leaf = line[:64], line[65:]
            need(DIGITS.match(stated) and line[64:65] == b" " and len(leaf) <= MAX_LEAF, place, "no record")
            previous = sha(b"\1", previous, sha(b"\0", leaf))
            need(previous.hex().encode() == stated, place, "another hash")
            fields = json.loads(leaf)
            need(fields["index"] == index and fields["time"] and fields["event"], place, "another number")
            for promise in commitments(fields):
                at, gone = text(payload, at, index, promise, place)
                erased.update({index: place} if gone else {})
            if fields["event"] == "payload_erased":
                erasures.add((fields["record"], index))
            index += 1
            need(acknowledged.get(index, previous) == previous, place, "not what was acknowledged")
        need(at == len(payload), name, "bytes behind the last text")
    need(max(acknowledged, default=0) <= index, "head", "acknowledged records are gone")
    for record, place in erased.items():
        need(any(of == record < by for of, by in erasures), place, "erased without a record of it")
    return index, previous.hex() if previous else ""


if __name__ == "__main__":
    try:
        print(*verify(sys.argv[1]))
    except (Wrong, ValueError, KeyError, TypeError) as wrong:
        print(wrong, file=sys.stderr)
        sys.exit(9)
