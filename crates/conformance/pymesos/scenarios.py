"""Scenarios that drive PyMesos, unmodified, as scheduler and as executor. Usage: scenarios.py SCENARIO MASTER

Each scenario prints what happened and exits with 0 only if everything that must happen did. The same scenarios pass
against Apache Mesos 1.11.
"""
import os
import sys
import threading
import time

from pymesos import Executor, MesosExecutorDriver, MesosSchedulerDriver, Scheduler, decode_data, encode_data

TERMINAL = ("TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_LOST", "TASK_ERROR", "TASK_DROPPED")
PATIENCE = 45


def scalar(name, value):
    return dict(name=name, type="SCALAR", scalar=dict(value=value))


def command_task(offer, task_id, command):
    return dict(
        task_id=dict(value=task_id),
        agent_id=offer["agent_id"],
        name=task_id,
        command=dict(value=command),
        resources=[scalar("cpus", 0.1), scalar("mem", 32)],
    )


class Recorder(Scheduler):
    """Launches what `tasks` makes of the first offer, declines the rest, and writes down every update."""

    def __init__(self, tasks):
        self.tasks = tasks
        self.states = {}
        self.updates = []
        self.messages = []
        self.framework_id = None
        self.lock = threading.Condition()

    def registered(self, driver, framework_id, master_info):
        with self.lock:
            self.framework_id = framework_id["value"]
            self.master_info = master_info
            self.lock.notify_all()

    def reregistered(self, driver, master_info):
        self.registered(driver, dict(value=driver.framework_id), master_info)

    def resourceOffers(self, driver, offers):
        for offer in offers:
            tasks, self.tasks = self.tasks and self.tasks(offer), None
            if tasks:
                driver.launchTasks(offer["id"], tasks, dict(refuse_seconds=1))
            else:
                driver.declineOffer(offer["id"], dict(refuse_seconds=1))

    def statusUpdate(self, driver, update):
        with self.lock:
            task, state = update["task_id"]["value"], update["state"]
            print("update", task, state, update.get("reason"), update.get("message", ""), flush=True)
            self.updates.append(update)
            self.states.setdefault(task, []).append(state)
            self.lock.notify_all()

    def frameworkMessage(self, driver, executor_id, agent_id, message):
        with self.lock:
            self.messages.append(decode_data(message))
            self.lock.notify_all()

    def wait(self, condition, what):
        with self.lock:
            if not self.lock.wait_for(condition, PATIENCE):
                sys.exit("waited in vain for %s; states %s, messages %s" % (what, self.states, self.messages))

    def wait_state(self, task, state):
        self.wait(lambda: state in self.states.get(task, []), "%s of %s" % (state, task))


def framework(**more):
    return dict(dict(user="root", name="pymesos-conformance", checkpoint=True, failover_timeout=60.0), **more)


def start(recorder, master, info=None, **options):
    driver = MesosSchedulerDriver(recorder, info or framework(), master, **options)
    driver.start()
    recorder.wait(lambda: recorder.framework_id, "the registration")
    return driver


def finish(master):
    recorder = Recorder(lambda offer: [command_task(offer, "good", "true"), command_task(offer, "bad", "exit 7")])
    driver = start(recorder, master)
    recorder.wait_state("good", "TASK_FINISHED")
    recorder.wait_state("bad", "TASK_FAILED")
    assert recorder.states["good"] == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"], recorder.states
    last = [u for u in recorder.updates if u["task_id"]["value"] == "bad"][-1]
    assert "exited with status 7" in last["message"], last
    driver.stop()


def kill(master):
    recorder = Recorder(lambda offer: [command_task(offer, "long", "sleep 1000")])
    driver = start(recorder, master)
    recorder.wait_state("long", "TASK_RUNNING")
    driver.killTask(dict(value="long"))
    recorder.wait_state("long", "TASK_KILLED")
    driver.stop()


def message(master):
    """A custom executor on PyMesos: it gets a message, answers it, and finishes its task with data."""
    command = dict(value="exec %s %s executor" % (sys.executable, os.path.abspath(__file__)))
    resources = [scalar("cpus", 0.1), scalar("mem", 64)]

    def tasks(offer):
        executor = dict(executor_id=dict(value="echo"), name="echo", command=command, resources=resources)
        task = command_task(offer, "echo-task", "")
        del task["command"]
        return [dict(task, executor=executor, data=encode_data(b"payload"))]

    recorder = Recorder(tasks)
    driver = start(recorder, master)
    recorder.wait_state("echo-task", "TASK_RUNNING")
    running = [u for u in recorder.updates if u["state"] == "TASK_RUNNING"][0]
    agent_id = running["agent_id"]
    driver.sendFrameworkMessage(dict(value="echo"), agent_id, encode_data(b"hello"))
    recorder.wait(lambda: b"echo: hello payload" in recorder.messages, "the executor's answer")
    recorder.wait_state("echo-task", "TASK_FINISHED")
    driver.stop()


def reconcile(master):
    recorder = Recorder(lambda offer: [command_task(offer, "alive", "sleep 1000")])
    driver = start(recorder, master)
    recorder.wait_state("alive", "TASK_RUNNING")
    before = len(recorder.updates)
    driver.reconcileTasks([dict(task_id=dict(value="alive")), dict(task_id=dict(value="never"))])
    recorder.wait(lambda: len(recorder.updates) >= before + 2, "two answers")
    for update in recorder.updates[before:]:
        assert update["reason"] == "REASON_RECONCILIATION", update
    assert recorder.states["alive"][-1] == "TASK_RUNNING", recorder.states
    assert recorder.states["never"] == ["TASK_LOST"], recorder.states
    driver.reconcileTasks([])
    recorder.wait(lambda: recorder.states["alive"].count("TASK_RUNNING") >= 3, "the implicit answer")
    driver.killTask(dict(value="alive"))
    recorder.wait_state("alive", "TASK_KILLED")
    driver.stop()


def failover(master):
    """A second scheduler takes the first one's framework over; the task goes on, and its end reaches the second."""
    first = Recorder(lambda offer: [command_task(offer, "survivor", "sleep 4")])
    driver = start(first, master)
    first.wait_state("survivor", "TASK_RUNNING")
    driver.stop(failover=True)
    second = Recorder(None)
    info = framework(id=dict(value=first.framework_id))
    driver = start(second, master, info)
    assert second.framework_id == first.framework_id
    second.wait_state("survivor", "TASK_FINISHED")
    driver.stop()


class Echo(Executor):
    def launchTask(self, driver, task):
        self.task = task
        driver.sendStatusUpdate(dict(task_id=task["task_id"], state="TASK_RUNNING", timestamp=time.time()))

    def frameworkMessage(self, driver, message):
        answer = b"echo: " + decode_data(message) + b" " + decode_data(self.task["data"])
        driver.sendFrameworkMessage(encode_data(answer))
        driver.sendStatusUpdate(dict(task_id=self.task["task_id"], state="TASK_FINISHED", timestamp=time.time()))


if __name__ == "__main__":
    if sys.argv[1] == "executor":
        MesosExecutorDriver(Echo()).run()
    else:
        dict(finish=finish, kill=kill, message=message, reconcile=reconcile, failover=failover)[sys.argv[1]](sys.argv[2])
        print("passed", sys.argv[1], flush=True)
