#!/usr/bin/env python3
"""Asks a real API server the questions of the schema tests and records its answers:

    KUBE_BIN=DIR apiserver/hack/real-api-server.sh apiserver/hack/schema-answers.py

Each group of questions.json has a schema; it is served as a kind of its own. A question is an object (or only its
spec) that is created, or with `old` an update of that, as a dry run with strict field validation. Objects that are
updated are stored while the kind still takes anything, so that they may break the schema. `schemas` are schemas that
may be refused. answers.json has, in the same order, the code and either the causes of the refusal or the object.
"""

import json
import os
import pathlib
import ssl
import time
import urllib.error
import urllib.request

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "src/schema/tests"
GROUP = "example.com"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
WAIT_SECONDS = 60
CONTEXT = ssl._create_unverified_context()  # the server is our own, on loopback, with a certificate made just now


def ask(method, path, body=None):
    """The code and the JSON of an answer. A body that is text is sent as it is."""
    data = None if body is None else body if isinstance(body, str) else json.dumps(body)
    request = urllib.request.Request(os.environ["SERVER"] + path, data and data.encode(), method=method)
    request.add_header("Authorization", "Bearer " + os.environ["TOKEN"])
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, context=CONTEXT, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read().decode()
        return error.code, json.loads(text) if text.startswith("{") else {"message": text}


def definition(name, schema):
    plural = name + "s"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Cluster",
            "names": {"plural": plural, "singular": name, "kind": name.capitalize()},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }


def wait_for(what, done):
    deadline = time.monotonic() + WAIT_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {WAIT_SECONDS} s")
        time.sleep(0.1)


def cause(entry):
    return {key: entry.get(key, "") for key in ("reason", "field", "message")}


def answer(code, body):
    """What a question's answer is, without what differs from run to run."""
    if body.get("kind") == "Status":
        causes = [cause(entry) for entry in body.get("details", {}).get("causes", [])]
        order = sorted(causes, key=lambda entry: (entry["field"], entry["reason"], entry["message"]))
        return {"code": code, "message": "" if causes else body["message"], "causes": order}
    for member in ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"):
        body["metadata"].pop(member, None)
    return {"code": code, "object": {key: body[key] for key in body if key not in ("kind", "apiVersion")}}


def whole(question, kind, name):
    """The object of a question."""
    given = question.get("object", {key: question[key] for key in ("spec",) if key in question})
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": name}} | given


def ask_group(number, group):
    name = f"thing{number}"
    kind, path = name.capitalize(), f"/apis/{GROUP}/v1/{name}s"
    crd = definition(name, ANYTHING)
    code, body = ask("POST", CRDS, crd)
    if code != 201:
        raise SystemExit(f"{group['name']}: {body['message']}")
    wait_for(f"{kind} to be served", lambda: ask("GET", path)[0] == 200)
    for place, question in enumerate(group["questions"]):
        if "old" in question:
            old = whole(question["old"], kind, f"old-{place}")
            wait_for("an object", lambda: ask("POST", path, old)[0] in (201, 409))
    code, body = ask("GET", f"{CRDS}/{name}s.{GROUP}")
    body["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = group["schema"]
    code, body = ask("PUT", f"{CRDS}/{name}s.{GROUP}", body)
    if code != 200:
        raise SystemExit(f"{group['name']}: {body['message']}")
    canary = whole({"spec": "canary"}, kind, "canary")
    wait_for(f"the schema of {kind}", lambda: ask("POST", f"{path}?dryRun=All", canary)[0] == 422)
    answers = []
    for place, question in enumerate(group["questions"]):
        if "text" in question:
            code, body = ask("POST", f"{path}?dryRun=All&fieldValidation=Strict", question["text"].replace("KIND", kind))
        elif "old" in question:
            new = whole(question, kind, f"old-{place}")
            new["metadata"]["resourceVersion"] = ask("GET", f"{path}/old-{place}")[1]["metadata"]["resourceVersion"]
            code, body = ask("PUT", f"{path}/old-{place}?dryRun=All&fieldValidation=Strict", new)
        else:
            code, body = ask("POST", f"{path}?dryRun=All&fieldValidation=Strict", whole(question, kind, "x"))
        answers.append(answer(code, body))
    ask("DELETE", f"{CRDS}/{name}s.{GROUP}")
    return answers


def ask_schema(schema):
    code, body = ask("POST", f"{CRDS}?dryRun=All", definition("thing", schema))
    if code == 201:
        return {"code": code}
    return answer(code, body)


def rows(answers):
    return ",\n".join(json.dumps(row, ensure_ascii=False, sort_keys=True) for row in answers)


def main():
    questions = json.loads((FOLDER / "questions.json").read_text())
    version = ask("GET", "/version")[1]["gitVersion"]
    groups = [ask_group(number, group) for number, group in enumerate(questions["groups"])]
    schemas = [ask_schema(schema) for schema in questions["schemas"]]
    with open(FOLDER / "answers.json", "w") as out:
        listed = ",\n".join(f"[\n{rows(group)}\n]" for group in groups)
        out.write(f'{{"version": "{version}",\n"groups": [\n{listed}\n],\n"schemas": [\n{rows(schemas)}\n]}}\n')
    print(f"{sum(map(len, groups))} objects and {len(schemas)} schemas, answered by {version}")


main()
