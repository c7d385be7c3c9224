#!/usr/bin/env python3
"""Compares what the operator was allowed to do with what it did, by the API server's audit log ($ECS_AUDIT_LOG).

    e2e/cluster/cluster.sh exec -- e2e/rights.py [ROLES.json]

It fails on a request that was refused for want of a right, and on a right that no request used. Run it when the whole suite has run
on the cluster. The roles are read by kubectl unless a file has them.
"""
import json
import os
import subprocess
import sys

OPERATOR = "system:serviceaccount:ecs-operator:ecs-operator"

# Rights that a run of the suite may not use, or not by a request of that name, and what for.
UNSEEN = {
    ("ecs-operator.dev", "tasks/finalizers", "update"): "asked by an admission plugin, never by a request",
    ("policy", "poddisruptionbudgets", "create"): "asked when a server-side apply, a patch, creates",
    ("ecs-operator.dev", "ecsservices", "get"): "read again after a conflict",
    ("ecs-operator.dev", "containerinstances", "get"): "read again after a conflict",
    ("ecs-operator.dev", "tasks", "get"): "read again after a conflict, and before a Pod is called a stray one",
    ("", "nodes", "patch"): "forced deregistration, startup taint",
    ("", "pods", "get"): "when a Pod is not seen",
    ("", "pods", "delete"): "when a task is told to stop",
    ("", "nodes", "get"): "when a node is not seen",
    ("events.k8s.io", "events", "patch"): "an event that repeats within minutes",
    ("ecs-operator.dev", "tasks", "delete"): "an hour after the end of a task",
    ("ecs-operator.dev", "runtasks", "get"): "read again after a conflict, and before its tasks are told that it is gone",
    ("ecs-operator.dev", "runtasks", "delete"): "an hour after the end of its tasks",
    ("ecs-operator.dev", "containerinstances", "patch"): "when an instance deregisters",
    ("ecs-operator.dev", "containerinstances", "delete"): "when an instance deregisters",
}


def granted(roles):
    """(group, resource, verb) of every rule."""
    return {
        (group, resource, verb)
        for role in roles
        for rule in role.get("rules") or []
        for group in rule.get("apiGroups", [])
        for resource in rule.get("resources", [])
        for verb in rule["verbs"]
    }


def requests(log):
    """(right asked for, whether it was refused) of each request of the operator. What an operator that is being
    uninstalled is refused once its roles are gone does not count."""
    installed = True
    for line in log:
        if "ecs-operator" not in line:
            continue
        event = json.loads(line)
        target = event.get("objectRef") or {}
        if target.get("apiGroup") == "rbac.authorization.k8s.io" and event["verb"] in ("create", "delete"):
            installed = event["verb"] == "create"
        # whoever could not say who it is has no name
        if event["user"].get("username") != OPERATOR or "resource" not in target:
            continue
        resource = target["resource"] + ("/" + target["subresource"] if target.get("subresource") else "")
        refused = event.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid"
        if installed or not refused:
            yield (target.get("apiGroup", ""), resource, event["verb"]), refused


def roles_of_the_cluster():
    found = []
    for kind in (["clusterroles"], ["roles", "--namespace", "ecs-operator"]):
        out = subprocess.run(["kubectl", "get", *kind, "--output", "json"], check=True, capture_output=True, text=True)
        found += [r for r in json.loads(out.stdout)["items"] if r["metadata"]["name"] in ("ecs-operator", "ecs-operator-lease")]
    return found


def main():
    roles = json.load(open(sys.argv[1])) if len(sys.argv) > 1 else roles_of_the_cluster()
    rights, used, wrong = granted(roles), set(), set()
    with open(os.environ["ECS_AUDIT_LOG"]) as log:
        for right, refused in requests(log):
            (wrong if refused else used).add(right)
    say = lambda right: f"{right[2]} {right[1]}" + (f".{right[0]}" if right[0] else "")
    problems = [f"refused: {say(right)}" for right in sorted(wrong)]
    problems += [f"never used: {say(right)}" for right in sorted(rights - used - set(UNSEEN))]
    problems += [f"not granted any more, take it out of UNSEEN: {say(right)}" for right in sorted(set(UNSEEN) - rights)]
    if not used:
        problems.append("the audit log has no request of the operator")
    print("\n".join(problems) or f"{len(rights)} rights, {len(rights & used)} of them used, none refused")
    sys.exit(bool(problems))


main()
