#!/usr/bin/env python3
"""Asks a real API server the questions in questions.json and writes its answers to answers.json:

    KUBE_BIN=DIR apiserver/tests/fields/record.py

A question is a sequence of writes to one object. The n-th steps of all questions are asked within different seconds than
the next ones, so that times can be replaced by the number of the step that made them. Uids and versions are replaced.
"""
import json, os, re, ssl, sys, time, urllib.error, urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESOURCES = {
    "ConfigMap": ("v1", "configmaps"), "Secret": ("v1", "secrets"), "ServiceAccount": ("v1", "serviceaccounts"),
    "Pod": ("v1", "pods"), "Service": ("v1", "services"), "Event": ("v1", "events"),
    "PersistentVolumeClaim": ("v1", "persistentvolumeclaims"), "Namespace": ("v1", "namespaces"), "Node": ("v1", "nodes"),
    "Deployment": ("apps/v1", "deployments"), "DaemonSet": ("apps/v1", "daemonsets"), "Job": ("batch/v1", "jobs"),
    "Lease": ("coordination.k8s.io/v1", "leases"), "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets"),
    "Role": ("rbac.authorization.k8s.io/v1", "roles"), "Widget": ("test.io/v1", "widgets"), "Loose": ("test.io/v1", "looses"),
    "CustomResourceDefinition": ("apiextensions.k8s.io/v1", "customresourcedefinitions"),
}
CLUSTER_SCOPED = {"Namespace", "Node", "CustomResourceDefinition"}
PATCHES = {"apply": "apply-patch+yaml", "json": "json-patch+json", "merge": "merge-patch+json",
           "strategic": "strategic-merge-patch+json"}
# Admission that changes objects would blur who wrote what.
ADMISSION = ",".join(["ServiceAccount", "DefaultTolerationSeconds", "Priority", "TaintNodesByCondition", "LimitRanger",
                      "StorageObjectInUseProtection", "DefaultStorageClass", "PodTopologyLabels"])


def request(method, path, body=None, content_type="application/json", agent="recorder/1"):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": "Bearer " + os.environ["TOKEN"], "Content-Type": content_type, "User-Agent": agent}
    asked = urllib.request.Request(os.environ["SERVER"] + path, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(asked, context=ssl._create_unverified_context(), timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read()
        return error.code, json.loads(text) if text.startswith(b"{") else text.decode()


def merged(current, change):
    """JSON merge patch: how an `update` step changes the object before it is put."""
    if not isinstance(change, dict):
        return change
    result = dict(current) if isinstance(current, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def collection(kind):
    version, plural = RESOURCES[kind]
    root = "/api/v1" if version == "v1" else "/apis/" + version
    return root + ("/" if kind in CLUSTER_SCOPED else "/namespaces/default/") + plural


def ask(question, step, previous):
    kind, name = question["of"], question["slug"]
    verb = next(key for key in step if key in ("create", "update", "json-times", *PATCHES))
    body = step[verb]
    path = collection(kind) + ("" if verb == "create" else "/" + name) + ("/" + step["sub"] if "sub" in step else "")
    query = [f"fieldManager={step['by']}"] if step.get("by") else []
    query += ["force=true"] if step.get("force") else []
    agent = step.get("agent", "recorder/1")
    path += "?" + "&".join(query) if query else ""
    if verb in ("create", "apply"):
        body = {"apiVersion": RESOURCES[kind][0], "kind": kind, **body}
        body["metadata"] = {"name": name, **body.get("metadata", {})}
    if verb == "json-times":
        verb, body = "json", [body[1]] * body[0]
    if verb == "create":
        return request("POST", path, body, agent=agent)
    if verb == "update":
        return request("PUT", path, merged(previous, body), agent=agent)
    return request("PATCH", path, body, "application/" + PATCHES[verb], agent)


def normalised(answer, times, step):
    text = json.dumps(answer)
    def time_of(match):
        return times.setdefault(match.group(0), "2001-01-01T00:01:%02dZ" % step) if match.group(0)[:4] != "2001" else match.group(0)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time_of, text)
    text = re.sub(r'"resourceVersion": "\d+"', '"resourceVersion": "1"', text)
    text = re.sub(r'"uid": "[0-9a-f]{8}-(?!1111)[0-9a-f-]{27}"', '"uid": "u"', text)
    text = re.sub(r'"10\.96\.\d+\.\d+"', '"10.96.0.9"', text)
    return json.loads(text)


def main():
    if "SERVER" not in os.environ:
        os.environ["DISABLED_ADMISSION"] = ADMISSION
        harness = HERE.parent.parent / "hack/real-api-server.sh"
        os.execv(harness, [str(harness), sys.executable, __file__])
    for crd in json.loads((HERE / "crds.json").read_text()):
        request("POST", collection("CustomResourceDefinition"), crd)
        path = "/apis/test.io/v1/namespaces/default/" + crd["spec"]["names"]["plural"]
        deadline = time.time() + 30
        while request("GET", path)[0] != 200 and time.time() < deadline:
            time.sleep(0.1)
    # Apply waits for the OpenAPI of a new kind.
    time.sleep(3)
    questions = json.loads((HERE / "questions.json").read_text())
    for question in questions:
        question["slug"] = re.sub(r"[^a-z0-9]+", "-", question["name"].lower())[:60].strip("-")
        question.update(answers=[], times={}, object=None)
    for number in range(max(len(question["steps"]) for question in questions)):
        time.sleep(1.1 - time.time() % 1)
        for question in questions:
            if number < len(question["steps"]):
                code, body = ask(question, question["steps"][number], question["object"])
                if code < 300:
                    question["object"] = body
                question["answers"].append({"code": code, "body": normalised(body, question["times"], number)})
    lines = [json.dumps({"name": q["name"], "slug": q["slug"], "answers": q["answers"]}) for q in questions]
    (HERE / "answers.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


main()
