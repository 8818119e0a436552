#!/usr/bin/env python3
"""Captures what a real Apache Mesos says, as vectors for the tests of the codecs.

    capture.py MASTER_PORT AGENT_PORT OUT [OLD=NEW ...]

Each OLD in an answer becomes the equally long NEW, so that no path of the capturing machine is kept.

Wants a fresh local cluster of one agent whose flags hold MESOS_RESOURCES='cpus:8;mem:8192;disk:10000;ports:[31000-32000];
cpus(ops):2;mem(ops):512', MESOS_ATTRIBUTES='rack:r1;level:3.5;slots:[1-4,7-9]' and a MESOS_DOMAIN. Runs real tasks on it, then asks
for everything in both encodings.

Writes NAME.json and NAME.pb (the same answer twice, taken while nothing changed), NAME.alone.* (what only exists in one
encoding, or never stands still), and event streams as *.recordio. NAME starts with whose message it is.
"""
import base64, http.client, json, os, sys, threading, time

MASTER, AGENT, OUT = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
RENAMED = [tuple(part.encode() for part in pair.split("=")) for pair in sys.argv[4:]]
JSON, PROTOBUF = "application/json", "application/x-protobuf"
SUFFIX = {JSON: "json", PROTOBUF: "pb"}


def save(name, body):
    for old, new in RENAMED:
        assert len(old) == len(new), (old, new)
        body = body.replace(old, new)
    with open(os.path.join(OUT, name), "wb") as f:
        f.write(body)


def request(port, path, body=None, accept=JSON, headers={}):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    c.request("POST" if body is not None else "GET", path, json.dumps(body) if body is not None else None,
              {"Content-Type": JSON, "Accept": accept, **headers})
    r = c.getresponse()
    return r.status, r.read()


class Stream(threading.Thread):
    """An event stream: keeps its raw bytes, and in JSON its events."""

    def __init__(self, port, path, call, accept):
        super().__init__(daemon=True)
        self.accept, self.raw, self.events, self.read = accept, b"", [], 0
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        self.connection.request("POST", path, json.dumps(call), {"Content-Type": JSON, "Accept": accept})
        self.response = self.connection.getresponse()
        assert self.response.status == 200, self.response.read()
        self.id = self.response.getheader("Mesos-Stream-Id")
        self.start()

    def run(self):
        while True:
            data = self.response.read1(65536)
            if not data:
                return
            self.raw += data
            while self.accept == JSON and b"\n" in self.raw[self.read:]:
                end = self.raw.index(b"\n", self.read)
                size = int(self.raw[self.read:end])
                if len(self.raw) < end + 1 + size:
                    break
                self.events.append(json.loads(self.raw[end + 1:end + 1 + size]))
                self.read = end + 1 + size
                self.on_event(self.events[-1])

    def on_event(self, event):
        pass

    def wait(self, what, test, seconds=40):
        for _ in range(seconds * 20):
            for event in list(self.events):
                if test(event):
                    return event
            time.sleep(0.05)
        sys.exit(f"capture: no {what} came")


class Scheduler(Stream):
    def __init__(self, accept=JSON, acknowledges=True, suppressed=[], **info):
        self.acknowledges, self.framework = acknowledges, None
        info = dict(dict(user="root", capabilities=[{"type": "MULTI_ROLE"}, {"type": "RESERVATION_REFINEMENT"}]), **info)
        super().__init__(MASTER, "/api/v1/scheduler",
                         {"type": "SUBSCRIBE", "subscribe": {"framework_info": info, "suppressed_roles": suppressed}}, accept)
        if accept == JSON:
            event = self.wait("SUBSCRIBED", lambda e: e["type"] == "SUBSCRIBED")
            self.framework = event["subscribed"]["framework_id"]

    def call(self, type, **body):
        status, text = request(MASTER, "/api/v1/scheduler",
                               {"framework_id": self.framework, "type": type, **({type.lower(): body} if body else {})},
                               headers={"Mesos-Stream-Id": self.id})
        assert status == 202, (type, text)

    def on_event(self, event):
        if event["type"] == "UPDATE" and self.acknowledges and "uuid" in event["update"]["status"]:
            status = event["update"]["status"]
            while not self.framework:
                time.sleep(0.01)
            threading.Thread(target=self.call, args=("ACKNOWLEDGE",), kwargs=dict(
                agent_id=status["agent_id"], task_id=status["task_id"], uuid=status["uuid"])).start()

    def offer(self):
        offers = [o for e in self.events if e["type"] == "OFFERS" for o in e["offers"]["offers"]]
        fresh = [o for o in offers if o["id"]["value"] not in getattr(self, "used", set())]
        if not fresh:
            self.wait("offer", lambda e: any(o["id"]["value"] not in getattr(self, "used", set())
                                             for o in e.get("offers", {}).get("offers", [])))
            return self.offer()
        self.used = getattr(self, "used", set()) | {fresh[-1]["id"]["value"]}
        return fresh[-1]

    def release(self):
        """Wants no offers, and gives back those it holds."""
        self.call("SUPPRESS")
        held = [o["id"] for e in self.events if e["type"] == "OFFERS" for o in e["offers"]["offers"]]
        self.call("DECLINE", offer_ids=[o for o in held if o["value"] not in self.used], filters={"refuse_seconds": 0.1})

    def state(self, task, state):
        return self.wait(f"{state} of {task}", lambda e: e["type"] == "UPDATE"
                         and e["update"]["status"]["task_id"]["value"] == task
                         and e["update"]["status"]["state"] == state)


def scalar(name, value, role=None, **more):
    r = {"name": name, "type": "SCALAR", "scalar": {"value": value}, **more}
    if role:
        r["allocation_info"] = {"role": role}
    return r


def task(id, agent, role, command="sleep 1000", cpus=0.5, **more):
    return {"name": "name of " + id, "task_id": {"value": id}, "agent_id": agent,
            "resources": [scalar("cpus", cpus, role), scalar("mem", 32, role)],
            **({"command": {"value": command}} if command else {}), **more}


def launch(*tasks):
    return {"type": "LAUNCH", "launch": {"task_infos": tasks}}


def both(port, name, path, body):
    """One answer in both encodings, taken while nothing changes."""
    for _ in range(50):
        status, before = request(port, path, body)
        _, binary = request(port, path, body, accept=PROTOBUF)
        _, after = request(port, path, body)
        assert status == 200, (name, before)
        if before == after:
            save(name + ".json", before)
            save(name + ".pb", binary)
            return
        time.sleep(0.1)
    save(name + ".alone.json", after)
    save(name + ".alone.pb", binary)


def main():
    os.makedirs(OUT, exist_ok=True)
    both(AGENT, "agent_GET_STATE_fresh", "/api/v1", {"type": "GET_STATE"})
    both(MASTER, "master_GET_STATE_fresh", "/api/v1", {"type": "GET_STATE"})
    watchers = [Stream(MASTER, "/api/v1", {"type": "SUBSCRIBE"}, accept) for accept in (JSON, PROTOBUF)]
    for call in (
        {"type": "UPDATE_WEIGHTS", "update_weights": {"weight_infos": [{"role": "dev", "weight": 2.5}]}},
        {"type": "UPDATE_QUOTA", "update_quota": {"quota_configs": [
            {"role": "batch", "guarantees": {"cpus": {"value": 1}}, "limits": {"cpus": {"value": 2}}}]}},
    ):
        status, text = request(MASTER, "/api/v1", call)
        assert status == 200, text

    a = Scheduler(name="alpha \"quoted\" \\ \u00e9\u20ac\U0001f600 \x01\x1f\x7f / <&>\t\n", roles=["dev", "ops"],
                  failover_timeout=3600.125, suppressed=["ops"], checkpoint=True, hostname="here", principal="tester",
                  webui_url="http://here/", labels={"labels": [{"key": "k", "value": "v"}, {"key": "bare"}]},
                  capabilities=[{"type": t} for t in ("MULTI_ROLE", "RESERVATION_REFINEMENT", "PARTITION_AWARE",
                                                      "TASK_KILLING_STATE", "SHARED_RESOURCES", "REGION_AWARE")],
                  offer_filters={"dev": {"min_allocatable_resources": {"quantities": [
                      {"quantities": {"cpus": {"value": 0.1}}}]}}})
    offer = a.offer()
    agent = offer["agent_id"]
    reserved = [{"type": "DYNAMIC", "role": "dev", "principal": "tester", "labels": {"labels": [{"key": "why", "value": "x"}]}}]
    disk = scalar("disk", 64, "dev", reservations=reserved)
    volume = dict(disk, disk={"persistence": {"id": "volume-1", "principal": "tester"},
                              "volume": {"mode": "RW", "container_path": "data"}})
    a.call("ACCEPT", offer_ids=[offer["id"]], filters={"refuse_seconds": 0.5}, operations=[
        {"type": "RESERVE", "reserve": {"resources": [disk]}},
        {"type": "CREATE", "create": {"volumes": [volume]}},
        launch(task("long", agent, "dev",
                    labels={"labels": [{"key": "a", "value": "b"}]},
                    discovery={"visibility": "CLUSTER", "name": "web", "ports": {"ports": [
                        {"number": 80, "name": "http", "protocol": "tcp"}]}},
                    kill_policy={"grace_period": {"nanoseconds": 5000000000}},
                    health_check={"type": "COMMAND", "command": {"value": "true"}, "delay_seconds": 1.5}),
               task("short", agent, "dev", "true"),
               task("bad", agent, "dev", "exit 3"),
               task("killed", agent, "dev"),
               task("twice", agent, "dev", cpus=0.1, command="echo hello; sleep 1000", resources=[
                   scalar("cpus", 0.1, "dev"), scalar("mem", 32, "dev"), volume,
                   {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 31000, "end": 31001}]},
                    "allocation_info": {"role": "dev"}}]),
               task("invalid", agent, "dev", resources=[]))])
    a.state("short", "TASK_FINISHED"), a.state("bad", "TASK_FAILED"), a.state("invalid", "TASK_ERROR")
    a.state("long", "TASK_RUNNING"), a.state("twice", "TASK_RUNNING"), a.state("killed", "TASK_RUNNING")
    a.call("KILL", task_id={"value": "killed"}, agent_id=agent)
    a.state("killed", "TASK_KILLED")

    # An executor of our own that only writes down what it is told, once per encoding.
    for accept in (JSON, PROTOBUF):
        kind = SUFFIX[accept]
        listen = ("curl -sN http://$MESOS_AGENT_ENDPOINT/api/v1/executor -H 'Content-Type: application/json' -H 'Accept: %s' -d "
                  "'{\"type\":\"SUBSCRIBE\",\"framework_id\":{\"value\":\"'$MESOS_FRAMEWORK_ID'\"},\"executor_id\":{\"value\":\"'$MESOS_EXECUTOR_ID'\"},"
                  "\"subscribe\":{}}' > events" % accept)
        offer = a.offer()
        a.call("ACCEPT", offer_ids=[offer["id"]], filters={"refuse_seconds": 0.5}, operations=[
            launch(task("own-" + kind, agent, "dev", None, data=base64.b64encode(b"\x00\xffdata").decode(), executor={
                "type": "CUSTOM", "executor_id": {"value": "listener-" + kind}, "name": "listener", "source": "old",
                "resources": [scalar("cpus", 0.1, "dev"), scalar("mem", 32, "dev")], "data": "AAEC",
                "command": {"value": listen, "environment": {"variables": [{"name": "A", "value": "b"}]}},
                "labels": {"labels": [{"key": "x", "value": "y"}]}}))])
        time.sleep(3)
        a.call("MESSAGE", agent_id=agent, executor_id={"value": "listener-" + kind}, data="aGVsbG8=")
        a.call("KILL", task_id={"value": "own-" + kind}, agent_id=agent)
        time.sleep(1)

    time.sleep(1)
    both(MASTER, "master_GET_STATE_running", "/api/v1", {"type": "GET_STATE"})

    # A framework that is over, and one that listens in protobuf.
    a.release()
    c = Scheduler(name="gone", roles=["batch"])
    offer = c.offer()
    c.call("ACCEPT", offer_ids=[offer["id"]], operations=[launch(task("c", agent, "batch", "true"))])
    c.state("c", "TASK_FINISHED")
    c.call("TEARDOWN")
    b = Scheduler(accept=PROTOBUF, name="beta", roles=["dev"])
    for _ in range(200):
        shown = json.loads(request(MASTER, "/api/v1", {"type": "GET_FRAMEWORKS"})[1])["get_frameworks"]["frameworks"]
        shown = [f for f in shown if f["framework_info"]["name"] == "beta"][0]
        if shown.get("offers"):
            break
        time.sleep(0.1)
    b.framework = shown["framework_info"]["id"]
    b.call("ACCEPT", offer_ids=[shown["offers"][0]["id"]], filters={"refuse_seconds": 1}, operations=[
        launch(task("b", agent, "dev", "true"), task("wrong", agent, "dev", resources=[]))])
    for _ in range(60):
        time.sleep(0.1)
        tasks = json.loads(request(MASTER, "/api/v1", {"type": "GET_TASKS"})[1])["get_tasks"]
        for t in tasks["tasks"]:
            if t["task_id"]["value"] == "b" and "status_update_uuid" in t:
                b.call("ACKNOWLEDGE", agent_id=agent, task_id=t["task_id"], uuid=t["status_update_uuid"])
    b.call("RECONCILE", tasks=[{"task_id": {"value": "nobody"}}])
    b.call("MESSAGE", agent_id=agent, executor_id={"value": "listener-json"}, data="aGVsbG8=")

    # The machine of the agent is to be maintained: offers are withdrawn and inverse ones come.
    machine = json.loads(request(MASTER, "/api/v1", {"type": "GET_AGENTS"})[1])["get_agents"]["agents"][0]
    machine = {"hostname": machine["agent_info"]["hostname"], "ip": "127.0.0.1"}
    a.call("REVIVE")
    time.sleep(2)
    status, text = request(MASTER, "/api/v1", {"type": "UPDATE_MAINTENANCE_SCHEDULE", "update_maintenance_schedule": {
        "schedule": {"windows": [{"machine_ids": [machine], "unavailability": {
            "start": {"nanoseconds": int((time.time() + 3600) * 1e9)}, "duration": {"nanoseconds": 3600000000000}}}]}}})
    assert status == 200, text
    a.wait("INVERSE_OFFERS", lambda e: e["type"] == "INVERSE_OFFERS")
    inverse = [e for e in a.events if e["type"] == "INVERSE_OFFERS"][0]["inverse_offers"]["inverse_offers"]
    a.call("ACCEPT_INVERSE_OFFERS", inverse_offer_ids=[i["id"] for i in inverse])
    a.call("RECONCILE", tasks=[])
    a.call("SUPPRESS")
    time.sleep(16)

    directory = json.loads(request(AGENT, "/state")[1])["frameworks"][0]["executors"]
    sandbox = {e["id"]: e["directory"] for e in directory}
    for kind in SUFFIX.values():
        with open(os.path.join(sandbox["listener-" + kind], "events"), "rb") as f:
            save(f"executor_events.{kind}.recordio", f.read())
    for port, whose, calls in (
        (MASTER, "master", "HEALTH FLAGS VERSION METRICS LOGGING_LEVEL STATE AGENTS FRAMEWORKS EXECUTORS OPERATIONS TASKS ROLES "
                           "WEIGHTS MASTER MAINTENANCE_STATUS MAINTENANCE_SCHEDULE QUOTA"),
        (AGENT, "agent", "HEALTH FLAGS VERSION METRICS LOGGING_LEVEL STATE CONTAINERS FRAMEWORKS EXECUTORS OPERATIONS TASKS AGENT "
                         "RESOURCE_PROVIDERS"),
    ):
        for call in calls.split():
            body = {"type": "GET_" + call}
            if call == "METRICS":
                body["get_metrics"] = {}
            if call == "METRICS" and whose == "agent":
                continue    # one process holds both here
            both(port, f"{whose}_GET_{call}", "/api/v1", body)
    both(AGENT, "agent_LIST_FILES", "/api/v1", {"type": "LIST_FILES", "list_files": {"path": sandbox["listener-json"]}})
    both(AGENT, "agent_READ_FILE", "/api/v1", {"type": "READ_FILE", "read_file": {
        "path": sandbox["listener-json"] + "/events", "offset": 3, "length": 100}})
    for path in ("state", "slaves", "frameworks", "tasks", "roles", "weights", "quota", "state-summary", "maintenance/schedule",
                 "maintenance/status", "version"):
        save("legacy_master_" + path.replace("/", "_") + ".json", request(MASTER, "/" + path)[1])
    for path in ("state", "containers", "monitor/statistics"):
        save("legacy_agent_" + path.replace("/", "_") + ".json", request(AGENT, "/" + path)[1])
    a.call("TEARDOWN")
    time.sleep(2)
    for stream, name in ((a, "scheduler_events"), (b, "scheduler_events"), *((w, "master_events") for w in watchers)):
        save(f"{name}.{SUFFIX[stream.accept]}.recordio", stream.raw)
    both(MASTER, "master_GET_STATE_later", "/api/v1", {"type": "GET_STATE"})
    print("capture:", len(os.listdir(OUT)), "files in", OUT)


if __name__ == "__main__":
    main()
