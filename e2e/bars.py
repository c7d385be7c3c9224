#!/usr/bin/env python3
"""Measures what the project promises, on a cluster of e2e/cluster with the operator installed.

    e2e/cluster/cluster.sh exec -- python3 e2e/bars.py [--nodes 200] [--rest 300] [--tries 20] [--binary PATH]

Simulated nodes are Node objects with Ready status and heartbeats that this program writes; no kubelet answers for them, so
their Pods stay Pending. Figures come from watches and from the API server's audit log ($ECS_AUDIT_LOG). It leaves its
objects behind: use a cluster of its own and take it down afterwards.
"""
import argparse
import collections
import concurrent.futures
import http.client
import json
import os
import subprocess
import threading
import time

PROXY_PORT = 18001
ADMIN_PORT = 18002
OPERATOR = "system:serviceaccount:ecs-operator:ecs-operator"
GROUP = "/apis/ecs-operator.dev/v1alpha1"
NAMESPACE = "bars"
local = threading.local()


def request(method, path, body=None, kind="application/json"):
    for attempt in (1, 2):
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection("127.0.0.1", PROXY_PORT, timeout=30)
        try:
            payload = json.dumps(body) if body is not None else None
            local.connection.request(method, path, payload, {"Content-Type": kind})
            answer = local.connection.getresponse()
            text = answer.read()
            if answer.status >= 400 and answer.status != 409:
                raise SystemExit(f"{method} {path}: {answer.status} {text[:300]!r}")
            return json.loads(text)
        except (http.client.HTTPException, OSError):
            del local.connection
            if attempt == 2:
                raise


def watch(path, seen, ended):
    """Calls seen(type, object, time) for everything there is and for every event until `ended` is set; a stream that
    breaks off is taken up where it ended."""
    page = request("GET", path)
    for found in page["items"]:
        seen("ADDED", found, time.monotonic())
    version = page["metadata"]["resourceVersion"]
    while not ended.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", PROXY_PORT, timeout=600)
        connection.request("GET", f"{path}?watch=true&timeoutSeconds=900&resourceVersion={version}")
        answer = connection.getresponse()
        while not ended.is_set() and (line := answer.readline()):
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise SystemExit(f"watch {path}: {event['object']}")
            version = event["object"]["metadata"]["resourceVersion"]
            seen(event["type"], event["object"], time.monotonic())


def until(what, seconds, check, pause=0.2):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():
            return
        time.sleep(pause)
    raise SystemExit(f"not within {seconds}s: {what}")


def answers():
    try:
        connection = http.client.HTTPConnection("127.0.0.1", PROXY_PORT, timeout=5)
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False


def definition(family, cpu):
    container = {"name": "main", "image": "localhost/ecs-e2e/workload:1", "cpu": cpu, "memory": 64}
    request("POST", f"{GROUP}/namespaces/{NAMESPACE}/taskdefinitions", {
        "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "TaskDefinition", "metadata": {"name": f"{family}.1"},
        "spec": {"family": family, "revision": 1, "containerDefinitions": [container]}})


def service(name, spec):
    request("POST", f"{GROUP}/namespaces/{NAMESPACE}/ecsservices", {
        "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "EcsService", "metadata": {"name": name},
        "spec": {"taskDefinition": name, **spec}})


def status_of(name):
    return request("GET", f"{GROUP}/namespaces/{NAMESPACE}/ecsservices/{name}").get("status", {})


def steady():
    conditions = {c["type"]: c["status"] for c in status_of("agent").get("conditions", [])}
    return conditions.get("Ready") == "True"


def waits_for_room(status):
    return status.get("placementFailures") and status.get("runningCount") and not status.get("pendingCount")


def stamp():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def micro():
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())


def ready_status():
    amounts = {"cpu": "2", "memory": "8Gi", "pods": "110"}
    condition = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "simulated",
                 "lastHeartbeatTime": stamp(), "lastTransitionTime": stamp()}
    return {"status": {"capacity": amounts, "allocatable": amounts, "conditions": [condition],
                       "nodeInfo": {k: "" for k in ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage",
                                                    "containerRuntimeVersion", "kubeProxyVersion")}
                       | {"kubeletVersion": "v1.36.3", "operatingSystem": "linux", "architecture": "amd64"}}}


def make_node(name, ready):
    request("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {
        "name": name, "labels": {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": "zone-sim"}}})
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
             "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": micro()}}
    request("POST", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", lease)
    before = time.monotonic()
    request("PATCH", f"/api/v1/nodes/{name}/status", ready_status(), "application/strategic-merge-patch+json")
    ready[name] = before


def beat(ready, ended):
    """Renews the leases of the nodes made so far."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        while not ended.wait(4):
            renew = {"spec": {"renewTime": micro()}}
            path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
            list(pool.map(lambda n: request("PATCH", f"{path}/{n}", renew, "application/merge-patch+json"), list(ready)))


def quantiles(values):
    values = sorted(values)
    pick = lambda q: values[min(len(values) - 1, int(q * len(values)))]
    return f"median {pick(0.5):.2f} s, 95 % {pick(0.95):.2f} s, max {values[-1]:.2f} s"


def audit_lines():
    with open(os.environ["ECS_AUDIT_LOG"]) as log:
        for line in log:
            event = json.loads(line)
            if event["user"].get("username") == OPERATOR and event["stage"] == "ResponseComplete":
                yield event


def resource_of(event):
    target = event.get("objectRef", {})
    return target.get("resource", "?") + ("/" + target["subresource"] if target.get("subresource") else "")


def burst(count):
    ended, ready, first = threading.Event(), {}, {}
    stopped = []

    def pod_seen(kind, pod, at):
        node = pod["spec"].get("nodeName")
        which = pod["metadata"].get("labels", {}).get("ecs-operator.dev/service")
        if kind == "ADDED" and which and node:
            version = int(pod["metadata"]["resourceVersion"])
            first.setdefault((node, which), (at, version))

    def task_seen(kind, task, at):
        if task["spec"].get("group") == "service:web" and task["spec"].get("desiredStatus") == "STOPPED":
            stopped.append(task["metadata"]["name"])

    for path, seen in ((f"/api/v1/namespaces/{NAMESPACE}/pods", pod_seen), (f"{GROUP}/namespaces/{NAMESPACE}/tasks", task_seen)):
        threading.Thread(target=watch, args=(path, seen, ended), daemon=True).start()
    definition("web", 600)
    service("web", {"desiredCount": min(5000, 3 * (count + 3) + 50)})
    # The containers that the nodes before the burst have room for are started first: that is work of theirs, not of the burst.
    until("replicas wait for room, and all that have it run", 180, lambda: waits_for_room(status_of("web")))
    names = [f"sim-{n:04}" for n in range(count)]
    threading.Thread(target=beat, args=(ready, ended), daemon=True).start()
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: make_node(n, ready), names))
    print(f"{count} nodes made Ready in {time.monotonic() - begun:.2f} s")
    until("every node has its daemon's Pod", 180, lambda: all((n, "agent") in first for n in names))
    print(f"the last daemon Pod came {time.monotonic() - begun:.2f} s after the first node was begun")
    waits = [first[n, "agent"][0] - ready[n] for n in names]
    within = sum(w <= 3 for w in waits)
    print(f"daemon Pod after its node's Ready: {quantiles(waits)}; within 3 s: {within} of {count}")
    until("replicas fill the rest", 300, lambda: sum(1 for n in names if (n, "web") in first) == count)
    after = sum(first[n, "agent"][1] < first[n, "web"][1] for n in names)
    print(f"daemon Pod before any replica's on its node: {after} of {count}")
    print(f"replicas filled the rest {time.monotonic() - begun:.2f} s after the first node was begun; replicas stopped: {len(stopped)}")
    return ended


def one_at_a_time(tries):
    ended, ready, tasks = threading.Event(), {}, {}

    def task_seen(kind, task, at):
        if task["spec"].get("group") == "service:agent":
            tasks.setdefault(task["spec"].get("containerInstance"), at)

    threading.Thread(target=watch, args=(f"{GROUP}/namespaces/{NAMESPACE}/tasks", task_seen, ended), daemon=True).start()
    names = [f"one-{n:02}" for n in range(tries)]
    threading.Thread(target=beat, args=(ready, ended), daemon=True).start()
    waits = []
    for name in names:
        make_node(name, ready)
        until("its daemon's Task", 30, lambda: name in tasks)
        waits.append(tasks[name] - ready[name])
    print(f"daemon Task after a single node's Ready: {quantiles(waits)}; within 1 s: {sum(w <= 1 for w in waits)} of {tries}")
    ended.set()


def writes_per_task(since):
    counts = collections.Counter()
    for event in audit_lines():
        if event["requestReceivedTimestamp"] >= since and event["verb"] not in ("get", "list", "watch"):
            counts[f"{event['verb']} {resource_of(event)}"] += 1
    created = counts["create pods"]
    print(f"operator's writes for {created} Pods (binding, allocating and reporting included):")
    for what, number in counts.most_common():
        print(f"  {number:6}  {number / max(created, 1):.2f} a Pod  {what}")


def requests_since(since):
    """The operator's requests besides the renewal of its lease and its watches, and the renewals."""
    counts = collections.Counter(f"{e['verb']} {resource_of(e)}" for e in audit_lines() if e["requestReceivedTimestamp"] >= since)
    others = {what: n for what, n in counts.items() if "leases" not in what and not what.startswith("watch ")}
    return others, counts


def at_rest(seconds):
    quiet = 15

    def settled():
        before = time.gmtime(time.time() - quiet)
        return not requests_since(time.strftime("%Y-%m-%dT%H:%M:%S", before))[0]

    time.sleep(quiet)
    until("the operator has nothing left to do", 180, settled)
    print(f"at rest for {seconds} s …", flush=True)
    since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    time.sleep(seconds)
    others, counts = requests_since(since)
    print(f"operator's requests: {dict(counts)}; besides lease and watch renewal: {sum(others.values())}")


def memory():
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline") as f:
                command = f.read().split("\0")
            if not command[0].endswith("/ecs-operator") or "run" not in command:
                continue
            with open(f"/proc/{entry}/status") as f:
                fields = dict(line.split(":", 1) for line in f)
            print(f"operator's memory: now {fields['VmRSS'].strip()}, peak {fields['VmHWM'].strip()}")
        except OSError:
            pass


def start_to_ready(binary):
    """Starts one more operator, which finds another holding the lease, and waits for its /readyz."""
    begun = time.monotonic()
    child = subprocess.Popen([binary, "run", "--pod-name", "bars", "--admin-listen", f"127.0.0.1:{ADMIN_PORT}"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ready():
        try:
            connection = http.client.HTTPConnection("127.0.0.1", ADMIN_PORT, timeout=5)
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False

    try:
        until("the operator is ready", 60, ready, 0.02)
        print(f"start to ready: {time.monotonic() - begun:.2f} s")
    finally:
        child.terminate()
        child.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--rest", type=int, default=300)
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--binary", help="an operator to start as a process beside the installed one")
    wanted = parser.parse_args()
    proxy = subprocess.Popen(["kubectl", "proxy", f"--port={PROXY_PORT}"], stdout=subprocess.DEVNULL)
    try:
        until("kubectl proxy answers", 20, answers)
        request("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        definition("agent", 128)
        service("agent", {"schedulingStrategy": "DAEMON"})
        until("the daemon is steady", 180, steady)
        memory()
        if wanted.rest:
            at_rest(wanted.rest)
        since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        ended = burst(wanted.nodes)
        writes_per_task(since)
        one_at_a_time(wanted.tries)
        ended.set()
        memory()
        if wanted.binary:
            start_to_ready(wanted.binary)
    finally:
        proxy.terminate()


if __name__ == "__main__":
    main()
