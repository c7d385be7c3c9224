#!/usr/bin/env bash
# Keeps the table of docs/semantics.md true: which files cite a rule of ECS, and which tests.
#
#   hack/semantics.sh           rewrite the columns "Code" and "Tests"
#   hack/semantics.sh --check   fail if that would change anything, if a rule of docs/rules.txt is missing from the
#                               table, if code cites a rule that is not in docs/rules.txt, or if there are gaps
#   hack/semantics.sh --gaps    list the rules that are said to hold and that no test cites, but for those whose row ends in
#                               (no test: REASON): a definition of words, or what Kubernetes does and not we
#
# A rule is cited by its id (DAEMON-42, or DAEMON-40 to DAEMON-44), in a comment or doc comment; tests may carry it in
# their name (…_daemon_42, …_daemon_40_to_44). What we do about a rule is written by hand in the table.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec python3 - "$@" <<'PYTHON'
import re
import sys
from collections import defaultdict
from pathlib import Path

TABLE = Path("docs/semantics.md")
VERDICTS = ("Yes", "Differs", "Not yet", "Out")
# How a row ends that says of a rule why there is nothing of ours to test.
NOTHING_TO_TEST = re.compile(r"\(no test: [^()]+\)$")
# Families of the specification that the table leaves out: wire protocol, scenarios, unconfirmed points.
ELSEWHERE = {"WIRE", "ARN", "PAGE", "UNC"}
FILES_MAX = 4
TESTS_MAX = 4

rules = [line for line in Path("docs/rules.txt").read_text().split() if re.fullmatch(r"[A-Z]+-\d+", line)]
known = set(rules)
families = {rule.split("-")[0] for rule in rules}
names = "|".join(sorted(families, key=len, reverse=True))
CITED = re.compile(rf"\b({names})-(\d+)\b(?:(?: to |–)(?:\1-)?(\d+)\b)?")
IN_NAME = re.compile(rf"(?:^|_)({names.lower()})((?:_\d+)+)(?:_to_(\d+))?(?=_|$)")
FUNCTION = re.compile(r"^\s*(?:pub(?:\([a-z]+\))? )?(?:async )?fn ([a-z0-9_]+)")

code = defaultdict(set)
tests = defaultdict(set)
fixtures = defaultdict(lambda: [0, 0])
strangers = []


def expand(family, first, last):
    family, first = family.upper(), int(first)
    last = int(last) if last else first
    return [f"{family}-{n}" for n in range(first, last + 1)]


def cited(text, where):
    found = []
    for match in CITED.finditer(text):
        ids = expand(*match.groups())
        # a range may run over numbers that no rule has; its ends must exist
        for end in (ids[0], ids[-1]):
            if end not in known:
                strangers.append(f"{where}: {end}")
        found += [rule for rule in ids if rule in known]
    return found


def named(function):
    found = []
    for family, numbers, last in IN_NAME.findall(function):
        *numbers, first = numbers.strip("_").split("_")
        found += [f"{family.upper()}-{n}" for n in numbers] + expand(family, first, last)
    return [rule for rule in found if rule in known]


def read_rust(path):
    place = str(path)
    test_file = place.startswith("e2e/") or "/tests/" in place or path.stem == "tests" or "/testing/" in place
    inside, function, is_test, attributes, pending = test_file, None, False, False, []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("mod tests {"):
            inside = True
        ids = cited(line, f"{place}:{number}")
        if line.startswith("//!") and " to " in line:
            # a header that names a whole family says nothing about one rule
            continue
        if not inside:
            for rule in ids:
                code[rule].add(place)
            continue
        if re.match(r"\s*#\[(tokio::)?test", line):
            attributes = True
        start = FUNCTION.match(line)
        if start:
            function, is_test, attributes = start.group(1), attributes, False
            for rule in pending + (named(function) if is_test else []):
                tests[rule].add(f"`{function}`" if is_test else f"`{place}`")
            pending = []
        if line.lstrip().startswith("///") or (ids and attributes):
            pending += ids
        else:
            for rule in ids:
                tests[rule].add(f"`{function}`" if is_test else f"`{place}`")


for folder in ("src", "e2e"):
    for path in sorted(Path(folder).rglob("*.rs")):
        read_rust(path)
for path in sorted(Path("e2e/fixtures/api").rglob("*.yaml")):
    for line in path.read_text().splitlines():
        if line.startswith("# rule:"):
            for rule in cited(line, str(path)):
                fixtures[rule][path.parent.name == "good"] += 1


def listed(items, most):
    items = sorted(items)
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def columns(rule):
    files = listed({f"`{name.removeprefix('src/')}`" for name in code[rule]}, FILES_MAX)
    # a file only where no test of its own is named
    proofs = listed({t for t in tests[rule] if "." not in t} or tests[rule], TESTS_MAX)
    bad, good = fixtures[rule]
    if bad or good:
        objects = " and ".join(f"{n} {kind}" for n, kind in ((bad, "bad"), (good, "good")) if n)
        proofs = f"{proofs}; {objects} in the API table" if proofs else f"{objects} in the API table"
    return files, proofs


old = TABLE.read_text()
new, seen, problems, gaps = [], [], [], []
for line in old.splitlines():
    row = re.match(r"^\| ([A-Z]+-\d+) \| (.*?) \|", line)
    if not row:
        new.append(line)
        continue
    rule, what = row.groups()
    seen.append(rule)
    if not what.startswith(VERDICTS):
        problems.append(f"{rule}: must begin with one of {', '.join(VERDICTS)}: {what}")
    files, proofs = columns(rule)
    excused = NOTHING_TO_TEST.search(what)
    if excused and proofs:
        problems.append(f"{rule}: says that there is no test, and {proofs} cites it")
    if what.startswith(("Yes", "Differs")) and not proofs and not excused:
        gaps.append(f"{rule}  {what}")
    new.append(f"| {rule} | {what} | {files} | {proofs} |")
if seen != rules:
    problems.append(f"missing from the table or out of order: {[r for r in rules if r not in seen] or 'order'}")
    problems += [f"not in docs/rules.txt: {rule}" for rule in seen if rule not in known]
problems += [f"cites a rule that does not exist: {stranger}" for stranger in strangers]
text = "\n".join(new) + "\n"
mode = sys.argv[1] if len(sys.argv) > 1 else ""
if mode == "--gaps":
    print("\n".join(gaps))
elif mode == "--check":
    if text != old:
        problems.append("docs/semantics.md is stale: run hack/semantics.sh")
    problems += [f"no test cites it, and no reason is given: {gap}" for gap in gaps]
elif mode == "":
    TABLE.write_text(text)
else:
    sys.exit("usage: hack/semantics.sh [--check | --gaps]")
if problems:
    sys.exit("\n".join(problems))
PYTHON
