#!/usr/bin/env python3
"""Asks a real kube-apiserver and the embedded one the same questions and compares what they answer.

    e2e/conformance/ask.py --real KUBECONFIG --embedded KUBECONFIG [FILE...]

e2e/conformance/run.sh starts both and asks everything; with FILE, such as `pods`, only the questions of that file are asked.
Both servers should be fresh, and no controllers run beside the real one: what controllers make is not asked about.

A line of questions/FILE.jsonl is a question: `name`, `method`, `path`; `body` (JSON), `rawBody` (text) or `bodyFile` (below
the repository's root); `contentType`, `accept`. The questions of a file are asked in their order. `{ns}`, `{group}` and
`{run}` stand for a namespace and an API group of the file's own and for a text that is new in every run. With `until`,
the question is repeated until that is the status of the answer: kube-apiserver discovers and admits by caches that follow its
writes. Entries of managed fields stand in the order of the seconds of their writes, so that an object that a message quotes
should have one. The fixtures of e2e/fixtures/api, created as dry runs, or applied and then applied changed, are questions of
the file `ecs-kinds` too.

Status, media type, warnings and body are compared; of a watch, the events. Uids, versions and the times of the run are
replaced before; what tables say of their columns is left out. A row of the table in docs/conformance.md, which begins with
the name of a question, `FILE/NAME`, is a difference that is known. There are at most 15. Any other one, and a known one
that is no more, make the exit status 1.
"""
import argparse
import base64
import calendar
import concurrent.futures
import http.client
import json
import pathlib
import re
import secrets
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
AGENT = "conformance/1"
GROUP = "/apis/ecs-operator.dev/v1alpha1"
CLUSTER_WIDE = ("EcsCluster", "ContainerInstance")
# Seconds: the longest wait for any answer, and for the one that a question waits for.
WAIT_MAX = 30
SHOWN_MAX = 8  # differences of one question
KNOWN = ROOT / "docs/conformance.md"
KNOWN_MAX = 15
REPLACED = [
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "UID"),
    # Versions within messages and YAML, and names made from a generateName of `gen-`.
    (re.compile(r"(current: |in object meta: |in record \(|resourceVersion\W+)\d+"), r"\1VERSION"),
    (re.compile(r"\bgen-[a-z0-9]{5}\b"), "gen-NAME"),
]
TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z")
AGE = re.compile(r"(\d+[dhms])+")


class Server:
    """One of the two, and a connection to it."""

    def __init__(self, kubeconfig):
        view = ["kubectl", "config", "view", "--kubeconfig", kubeconfig, "--raw", "--flatten", "--minify", "--output", "json"]
        config = json.loads(subprocess.run(view, check=True, capture_output=True).stdout)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.headers = {"User-Agent": AGENT}
        if "token" in user:
            self.headers["Authorization"] = f"Bearer {user['token']}"
        tls = ssl.create_default_context()
        if cluster.get("insecure-skip-tls-verify"):
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        elif "certificate-authority-data" in cluster:
            tls.load_verify_locations(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        if "client-certificate-data" in user:
            with tempfile.NamedTemporaryFile() as file:
                file.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
                file.flush()
                tls.load_cert_chain(file.name)
        host = urllib.parse.urlsplit(cluster["server"]).netloc
        self.connection = http.client.HTTPSConnection(host, context=tls, timeout=WAIT_MAX)

    def ask(self, question):
        """The answer: status, media type, warnings and body."""
        headers = dict(self.headers, Accept=question.get("accept", "application/json"))
        body = body_of(question)
        if body is not None:
            headers["Content-Type"] = question.get("contentType", "application/json")
        try:
            self.connection.request(question["method"], question["path"], body, headers)
            answer = self.connection.getresponse()
            return {"status": answer.status, "media type": answer.headers["Content-Type"],
                    "warnings": answer.headers.get_all("Warning", []), "body": answer.read().decode()}
        except (http.client.HTTPException, OSError) as error:
            # The next question opens it again. Two servers that do not answer must not look alike.
            self.connection.close()
            return {"status": f"none at port {self.connection.port}", "body": repr(error)}

    def answer(self, question):
        """The answer, or the one that the question waits for, normalised."""
        deadline = time.monotonic() + WAIT_MAX
        answer = self.ask(question)
        while answer["status"] != question.get("until", answer["status"]) and time.monotonic() < deadline:
            time.sleep(0.1)
            answer = self.ask(question)
        if answer["status"] != question.get("until", answer["status"]):
            answer["status"] = f"still {answer['status']} at port {self.connection.port}"
        answer["body"] = parsed(answer["body"])
        return normalised(answer)


def body_of(question):
    if "bodyFile" in question:
        return (ROOT / question["bodyFile"]).read_bytes()
    if "rawBody" in question:
        return question["rawBody"].encode()
    return json.dumps(question["body"]).encode() if "body" in question else None


def parsed(body):
    """The body as JSON, the events of a watch as a list, or the text if it is something else."""
    for parse in (json.loads, lambda text: [json.loads(line) for line in text.splitlines()]):
        try:
            return parse(body)
        except ValueError:
            continue
    return body


def normalised(value, key=None):
    """The value without what is different in every run. Managed fields are put in an order that does not depend on the
    second in which something was written."""
    if isinstance(value, dict):
        if value.get("groupVersion") == GROUP.removeprefix("/apis/"):
            # The order of a group's definitions is another each time.
            value = value | {"resources": sorted(value.get("resources", []), key=lambda resource: resource["name"])}
        unasked = "description" if key == "columnDefinitions" else None
        return {name: normalised(inner, name) for name, inner in value.items() if name != unasked}
    if isinstance(value, list):
        values = [normalised(inner, key) for inner in value]
        return sorted(values, key=lambda entry: json.dumps(entry, sort_keys=True)) if key == "managedFields" else values
    if not isinstance(value, str):
        return value
    if key in ("resourceVersion", "continue") and value not in ("", "0"):
        return key.upper()
    if key == "cells" and AGE.fullmatch(value):
        return "AGE"
    for pattern, replacement in REPLACED:
        value = pattern.sub(replacement, value)
    return TIME.sub(time_of_the_run, value)


def time_of_the_run(match):
    try:
        at = calendar.timegm(time.strptime(match[1], "%Y-%m-%dT%H:%M:%S"))
    except ValueError:  # no such day
        return match[0]
    return match[0] if abs(time.time() - at) > 3600 else "TIME" + (".FRACTION" if match[2] else "")


def differences(real, embedded, path=""):
    """One line for each place where the two values differ."""
    if isinstance(real, dict) and isinstance(embedded, dict):
        for key in sorted(real.keys() | embedded.keys()):
            yield from differences(real.get(key, ...), embedded.get(key, ...), f"{path}.{key}" if path else key)
    elif isinstance(real, list) and isinstance(embedded, list) and len(real) == len(embedded):
        for number, pair in enumerate(zip(real, embedded)):
            yield from differences(*pair, f"{path}[{number}]")
    elif real != embedded or type(real) is not type(embedded):
        yield f"{path}\n    real     {shown(real)}\n    embedded {shown(embedded)}"


def shown(value):
    text = "nothing" if value is ... else json.dumps(value)
    return text if len(text) <= 500 else text[:500] + " …"


def fixtures():
    """The objects of e2e/fixtures/api as questions."""
    for file in sorted((ROOT / "e2e/fixtures/api").glob("*/*.yaml")):
        documents = file.read_text().split("\n---\n")
        name = f"{file.parent.name}-{file.stem}"
        kind, metadata_name = (re.search(rf"^{key}: (\S+)", documents[0], re.M)[1] for key in ("kind", "  name"))
        path = GROUP + ("/" if kind in CLUSTER_WIDE else "/namespaces/{ns}/") + kind.lower() + "s"
        strict = "fieldValidation=Strict"
        if len(documents) == 1:
            yield {"name": name, "method": "POST", "path": f"{path}?dryRun=All&{strict}", "rawBody": documents[0],
                   "contentType": "application/yaml"}
            continue
        path = f"{path}/{metadata_name}"
        for step, document in zip(("before", "after"), documents):
            yield {"name": f"{name}-{step}", "method": "PATCH", "path": f"{path}?fieldManager=conformance&{strict}",
                   "rawBody": document, "contentType": "application/apply-patch+yaml"}
        yield {"name": f"{name}-deleted", "method": "DELETE", "path": path}


def questions_of(file, run):
    """The questions of a file by their full names, in order."""
    lines = (HERE / "questions" / f"{file}.jsonl").read_text().splitlines()
    if file == "ecs-kinds":
        lines += map(json.dumps, fixtures())
    found = {}
    for line in lines:
        for placeholder, value in (("{ns}", f"{file}-{run}"), ("{group}", f"{file}-{run}.example.com"), ("{run}", run)):
            line = line.replace(placeholder, value)
        question = json.loads(line)
        name = f"{file}/{question['name']}"
        if name in found:
            raise SystemExit(f"two questions are called {name}")
        found[name] = question
    return found


def known_differences():
    """The names of the questions whose answers are known to differ: the first column of the table in the docs."""
    rows = [line for line in KNOWN.read_text().splitlines() if line.startswith("| `")]
    known = []
    for row in rows:
        found = re.fullmatch(r"\| `([a-z-]+/[a-z0-9-]+)` \| (\S.*) \|", row)
        if not found:
            raise SystemExit(f"{KNOWN.name}: neither the name of a question, without a pattern, nor its reason: {row}")
        known.append(found[1])
    if len(known) != len(set(known)):
        raise SystemExit(f"{KNOWN.name}: a difference stands there twice")
    if len(known) > KNOWN_MAX:
        raise SystemExit(f"{KNOWN.name}: {len(known)} differences are known, where {KNOWN_MAX} are allowed")
    return known


def compare(real, embedded, questions, known):
    """Asks all questions and prints what differs. Returns the names of those that differ."""
    differing = []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for name, question in questions.items():
            found = list(differences(*pool.map(lambda server: server.answer(question), (real, embedded))))
            if not found:
                continue
            differing.append(name)
            if name in known:
                continue
            print(f"{name}: {question['method']} {question['path']}")
            for line in found[:SHOWN_MAX]:
                print(f"  {line}")
            if len(found) > SHOWN_MAX:
                print(f"  and {len(found) - SHOWN_MAX} more")
    return differing


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--real", required=True, metavar="KUBECONFIG")
    parser.add_argument("--embedded", required=True, metavar="KUBECONFIG")
    parser.add_argument("files", nargs="*", metavar="FILE", help="ask the questions of these files only")
    wanted = parser.parse_args()
    run, known, questions = secrets.token_hex(3), known_differences(), {}
    for file in wanted.files or sorted(path.stem for path in (HERE / "questions").glob("*.jsonl")):
        questions |= questions_of(file, run)
    differing = compare(Server(wanted.real), Server(wanted.embedded), questions, known)
    files = {name.split("/")[0] for name in questions}
    stale = [name for name in known if name not in differing and (name.split("/")[0] in files or not wanted.files)]
    for name in stale:
        print(f"{name}: {KNOWN.name} has it, but it does not differ or is not asked")
    new = [name for name in differing if name not in known]
    print(f"{len(questions)} questions: {len(differing) - len(new)} known differences, {len(new)} others, "
          f"{len(stale)} known ones that are no more")
    sys.exit(1 if new or stale else 0)


if __name__ == "__main__":
    main()
