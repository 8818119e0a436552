"""Python 2.7, with the v0 driver of Mesos itself: plays one scenario against a master and prints a line for each thing that
happens. Arguments: scenario, master. Environment: PRINCIPAL and SECRET to authenticate, FRAMEWORK to come back as one."""
import os, sys
import mesos27
from mesos.interface import Scheduler, mesos_pb2
from mesos.scheduler import MesosSchedulerDriver

scenario, master = sys.argv[1:3]
COMMANDS = {
    "life": ["true", "exit 3", "sleep 1000"],
    "explicit": ["true"],
    "wait": ["sleep 1000"],
    "adopt": [],
}


def say(*words):
    sys.stdout.write(" ".join(str(word) for word in words) + "\n")
    sys.stdout.flush()


def task_of(offer, name, command):
    task = mesos_pb2.TaskInfo()
    task.task_id.value = task.name = name
    task.slave_id.value = offer.slave_id.value
    task.command.value = command
    for resource, value in (("cpus", 0.5), ("mem", 64)):
        one = task.resources.add()
        one.name, one.type, one.scalar.value = resource, mesos_pb2.Value.SCALAR, value
    return task


class Plays(Scheduler):
    def __init__(self):
        self.waiting = ["task%d" % i for i in range(len(COMMANDS[scenario]))]
        self.ended = set()

    def registered(self, driver, framework_id, master_info):
        say("registered", framework_id.value)
        if scenario == "adopt":
            driver.reconcileTasks([])

    def reregistered(self, driver, master_info):
        say("reregistered")

    def resourceOffers(self, driver, offers):
        for offer in offers:
            tasks = [task_of(offer, name, COMMANDS[scenario][int(name[4:])]) for name in self.waiting]
            self.waiting = []
            if tasks:
                driver.launchTasks(offer.id, tasks)
            else:
                driver.declineOffer(offer.id)

    def statusUpdate(self, driver, update):
        name, state = update.task_id.value, mesos_pb2.TaskState.Name(update.state)
        say("update", name, state)
        if scenario == "explicit" and update.uuid:
            driver.acknowledgeStatusUpdate(update)
        if state == "TASK_RUNNING" and (name, scenario) in (("task2", "life"), ("task0", "adopt")):
            driver.killTask(update.task_id)
        if state in ("TASK_FINISHED", "TASK_FAILED", "TASK_KILLED"):
            self.ended.add(name)
        if name == "nobody's":
            driver.stop()
        elif len(self.ended) == max(1, len(COMMANDS[scenario])):
            if scenario == "life":
                unknown = mesos_pb2.TaskStatus()
                unknown.task_id.value, unknown.state = "nobody's", mesos_pb2.TASK_RUNNING
                driver.reconcileTasks([unknown])
            else:
                driver.stop()

    def offerRescinded(self, driver, offer_id):
        say("rescinded")

    def slaveLost(self, driver, slave_id):
        say("lost", slave_id.value)

    def error(self, driver, message):
        say("error", message)


framework = mesos_pb2.FrameworkInfo(user="", name="libmesos " + scenario, failover_timeout=60, checkpoint=True)
framework.id.value = os.environ.get("FRAMEWORK", "")
more = []
if "PRINCIPAL" in os.environ:
    framework.principal = os.environ["PRINCIPAL"]
    more.append(mesos_pb2.Credential(principal=os.environ["PRINCIPAL"], secret=os.environ["SECRET"]))
driver = MesosSchedulerDriver(Plays(), framework, master, 0 if scenario == "explicit" else 1, *more)
say("ended", mesos_pb2.Status.Name(driver.run()))
