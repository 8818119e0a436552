"""The same framework with PyMesos: runs a command a few times, and ends when all of them have.

pip install pymesos; python3 framework.py 127.0.0.1:5050
"""
import getpass
import sys

from pymesos import MesosSchedulerDriver, Scheduler

TASKS = 5
CPUS, MEM = 0.1, 32


def amount(offer, name):
    return sum(resource["scalar"]["value"] for resource in offer["resources"] if resource["name"] == name)


def scalar(name, value):
    return dict(name=name, type="SCALAR", scalar=dict(value=value))


class Example(Scheduler):
    def __init__(self):
        self.launched = self.ended = 0

    def registered(self, driver, framework_id, master_info):
        print("subscribed as", framework_id["value"])

    def resourceOffers(self, driver, offers):
        for offer in offers:
            tasks = []
            cpus, mem = amount(offer, "cpus"), amount(offer, "mem")
            while self.launched < TASKS and cpus >= CPUS and mem >= MEM:
                name = "hello-py-%d" % self.launched
                tasks.append(dict(
                    task_id=dict(value=name),
                    agent_id=offer["agent_id"],
                    name=name,
                    command=dict(value="echo hello from task %d" % self.launched),
                    resources=[scalar("cpus", CPUS), scalar("mem", MEM)],
                ))
                self.launched += 1
                cpus, mem = cpus - CPUS, mem - MEM
            if tasks:
                driver.launchTasks(offer["id"], tasks)
            else:
                driver.declineOffer(offer["id"])

    def statusUpdate(self, driver, update):
        # PyMesos acknowledges it when this returns.
        print(update["task_id"]["value"] + ":", update["state"])
        if update["state"] == "TASK_FINISHED":
            self.ended += 1
        elif update["state"] not in ("TASK_STAGING", "TASK_STARTING", "TASK_RUNNING"):
            sys.exit("gave up: " + update.get("message", update["state"]))
        if self.ended == TASKS:
            driver.stop()


if __name__ == "__main__":
    master = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:5050"
    info = dict(user=getpass.getuser(), name="example-py", failover_timeout=60)
    driver = MesosSchedulerDriver(Example(), info, master, use_addict=False)
    driver.run()
