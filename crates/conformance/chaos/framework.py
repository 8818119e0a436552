"""A framework on somebody else's driver that runs small tasks while masters, agents and stores fail, and then sees every task
to its end. Arguments: libmesos (Python 2.7) or pymesos (Python 3), and the master.

Environment: NAME of the framework, SHARE of tasks to run, the folder of their TRACES, ADDRESS of this process; for one that
was started before: FRAMEWORK (its id), NEXT (number of its next task), OPEN (tasks that did not end: JSON, id to agent).
PRINCIPAL and SECRET where masters ask for them.
Prints a line for each thing that happens. Reads `stop` (launch no more) and `end` (tear down) from standard input."""
import json, os, sys, threading, time

ENDS = ("TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_LOST", "TASK_ERROR", "TASK_DROPPED", "TASK_GONE")
AT_ONCE, A_TIME, RECONCILE = 12, 3, 3
kind, master = sys.argv[1:3]
name, share, traces = os.environ["NAME"], int(os.environ["SHARE"]), os.environ["TRACES"]
framework_id = os.environ.get("FRAMEWORK", "")
principal, secret = os.environ.get("PRINCIPAL"), os.environ.get("SECRET")
lock = threading.RLock()


def say(*words):
    with lock:
        sys.stdout.write(" ".join(str(word) for word in words) + "\n")
        sys.stdout.flush()


def command(task):
    return "echo ran >> %s/%s; sleep 0.2" % (traces, task)


if kind == "libmesos":
    os.environ["LIBPROCESS_IP"] = os.environ["ADDRESS"]
    import mesos27
    from mesos.interface import Scheduler, mesos_pb2
    from mesos.scheduler import MesosSchedulerDriver

    def agent_of(offer):
        return offer.slave_id.value

    def new_task(task_id, offer):
        task = mesos_pb2.TaskInfo()
        task.task_id.value = task.name = task_id
        task.slave_id.value = offer.slave_id.value
        task.command.value = command(task_id)
        for resource, value in (("cpus", 0.1), ("mem", 32)):
            one = task.resources.add()
            one.name, one.type, one.scalar.value = resource, mesos_pb2.Value.SCALAR, value
        return task

    def launch(driver, offer, tasks):
        driver.launchTasks(offer.id, tasks)

    def decline(driver, offer):
        driver.declineOffer(offer.id, mesos_pb2.Filters(refuse_seconds=1))

    def reconcile(driver, tasks):
        def asked(task, agent):
            status = mesos_pb2.TaskStatus(state=mesos_pb2.TASK_RUNNING)
            status.task_id.value, status.slave_id.value = task, agent
            return status

        driver.reconcileTasks([asked(task, agent) for task, agent in tasks])

    def told(update):
        return update.task_id.value, mesos_pb2.TaskState.Name(update.state), bool(update.uuid)

    def id_of(framework):
        return framework.value

    info = mesos_pb2.FrameworkInfo(user="root", name=name, failover_timeout=600, checkpoint=True)
    info.capabilities.add().type = mesos_pb2.FrameworkInfo.Capability.PARTITION_AWARE
    info.id.value = framework_id
    proof = []
    if principal:
        info.principal = principal
        proof = [mesos_pb2.Credential(principal=principal, secret=secret)]

    def new_driver(scheduler):
        return MesosSchedulerDriver(scheduler, info, master, 1, *proof)
else:
    from pymesos import MesosSchedulerDriver, Scheduler

    def agent_of(offer):
        return offer["agent_id"]["value"]

    def new_task(task_id, offer):
        scalar = lambda name, value: dict(name=name, type="SCALAR", scalar=dict(value=value))
        return dict(
            task_id=dict(value=task_id), name=task_id, agent_id=offer["agent_id"], command=dict(value=command(task_id)),
            resources=[scalar("cpus", 0.1), scalar("mem", 32)])

    def launch(driver, offer, tasks):
        driver.launchTasks(offer["id"], tasks)

    def decline(driver, offer):
        driver.declineOffer(offer["id"], dict(refuse_seconds=1))

    def reconcile(driver, tasks):
        # Its own reconcileTasks leaves the agents out, and without them no master can say that a task never was.
        asked = [dict(task_id=dict(value=task), agent_id=dict(value=agent)) for task, agent in tasks]
        if driver.connected and driver.framework_id:
            framework = dict(value=driver.framework_id)
            driver._send(dict(type="RECONCILE", framework_id=framework, reconcile=dict(tasks=asked)))

    def told(update):
        return update["task_id"]["value"], update["state"], bool(update.get("uuid"))

    def id_of(framework):
        return framework["value"]

    info = dict(
        user="root", name=name, failover_timeout=600, checkpoint=True, capabilities=[dict(type="PARTITION_AWARE")])
    if framework_id:
        info["id"] = dict(value=framework_id)
    if principal:
        info["principal"] = principal

    def new_driver(scheduler):
        return MesosSchedulerDriver(scheduler, info, master, principal=principal, secret=secret)


class Plays(Scheduler):
    def __init__(self):
        self.next = int(os.environ.get("NEXT", 0))
        self.open = json.loads(os.environ.get("OPEN", "{}"))
        self.busy = True

    def registered(self, driver, framework, master_info):
        say("registered", id_of(framework))
        self.reconcile(driver)

    def reregistered(self, driver, master_info):
        say("reregistered")
        self.reconcile(driver)

    def reconcile(self, driver):
        with lock:
            tasks = list(self.open.items())
        if tasks:
            reconcile(driver, tasks)

    def resourceOffers(self, driver, offers):
        for offer in offers:
            tasks = []
            with lock:
                if self.busy and self.next < share and len(self.open) < AT_ONCE:
                    for _ in range(A_TIME):
                        task = "%s-t%d" % (name, self.next)
                        self.next += 1
                        self.open[task] = agent_of(offer)
                        say("launch", task, agent_of(offer))
                        tasks.append(new_task(task, offer))
            if tasks:
                launch(driver, offer, tasks)
            else:
                decline(driver, offer)

    def statusUpdate(self, driver, update):
        task, state, known = told(update)
        with lock:
            say("update", task, state, "told" if known else "asked")
            if state in ENDS:
                self.open.pop(task, None)

    def error(self, driver, message):
        say("error", message)


scheduler = Plays()
driver = new_driver(scheduler)
driver.start()


def obey():
    for line in iter(sys.stdin.readline, ""):
        if line.strip() == "stop":
            with lock:
                scheduler.busy = False
        else:
            driver.stop()
            time.sleep(1)
            os._exit(0)
    os._exit(1)


thread = threading.Thread(target=obey)
thread.daemon = True
thread.start()
while True:
    time.sleep(RECONCILE)
    try:
        scheduler.reconcile(driver)
    except Exception as error:
        say("note", error)
