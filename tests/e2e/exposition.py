# SPDX-License-Identifier: Apache-2.0
"""Prometheus's text exposition format 0.0.4, read strictly: what the format's own readers forgive is refused, too."""
import math
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"')
NUMBER = re.compile(r"-?(\d+(\.\d+)?([eE][-+]?\d+)?|Inf)|NaN")
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


class Family:
    def __init__(self, name, help):
        self.name, self.help, self.type, self.samples = name, help, None, {}

    def names(self):
        return [self.name + suffix for suffix in ("_bucket", "_sum", "_count")] if self.type == "histogram" else [self.name]


class Metrics:
    def __init__(self, text):
        self.families = {}
        assert text.endswith("\n")
        family = None
        for line in text[:-1].split("\n"):
            family = self._read(line, family)
        for family in self.families.values():
            check(family)

    def _read(self, line, family):
        if line.startswith("# HELP "):
            name, _, help = line[len("# HELP "):].partition(" ")
            assert NAME.fullmatch(name) and help and "\\" not in help, line
            assert name not in self.families, f"{name} comes twice"
            self.families[name] = Family(name, help)
            return self.families[name]
        if line.startswith("# TYPE "):
            name, kind = line[len("# TYPE "):].split(" ")
            assert name == family.name and family.type is None and not family.samples, line
            assert kind in ("counter", "gauge", "histogram"), line
            family.type = kind
            return family
        name, labels, value = parse_sample(line)
        assert name in family.names(), f"{line} stands below {family.name}"
        assert (name, labels) not in family.samples, f"{line} comes twice"
        family.samples[name, labels] = value
        return family

    def get(self, name, **labels):
        """None: there is no such sample"""
        key = name, frozenset(labels.items())
        return next((f.samples[key] for f in self.families.values() if key in f.samples), None)

    def labels(self, name, label):
        return {dict(labels)[label] for sample, labels in self.families[name].samples if sample == name}


def parse_sample(line):
    """(name, labels, value); a time behind the value is refused: keepfs gives none"""
    name = NAME.match(line)
    assert name, line
    rest, labels = line[name.end():], {}
    if rest.startswith("{"):
        while rest[0] != "}":
            label = LABEL.match(rest, 1)
            assert label and label[1] not in labels, line
            labels[label[1]] = re.sub(r"\\.", lambda m: ESCAPES[m[0]], label[2])
            rest = rest[label.end():]
            assert rest[0] in ",}" and not rest.startswith(",}"), line
        rest = rest[1:]
    assert rest.startswith(" ") and NUMBER.fullmatch(rest[1:].removeprefix("+")), line
    return name[0], frozenset(labels.items()), float(rest[1:])


def check(family):
    assert family.type, family.name
    assert (family.type == "counter") == family.name.endswith("_total"), family.name
    assert all(math.isfinite(value) and value >= 0 for value in family.samples.values()), family.name
    if family.type == "histogram":
        check_histogram(family)


def check_histogram(family):
    series = {}
    for (name, labels), value in family.samples.items():
        labels = dict(labels)
        le = labels.pop("le", None)
        assert (le is not None) == name.endswith("_bucket"), (name, le)
        one = series.setdefault(frozenset(labels.items()), {"buckets": []})
        if le is None:
            one[name.rpartition("_")[2]] = value
        else:
            one["buckets"].append((float(le), value))
    for one in series.values():
        bounds, counts = zip(*one["buckets"])
        assert list(bounds) == sorted(set(bounds)) and bounds[-1] == math.inf, family.name
        assert list(counts) == sorted(counts) and counts[-1] == one["count"] and "sum" in one, family.name
