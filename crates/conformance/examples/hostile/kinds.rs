//! What tasks try. Scripts are the shell's; `@HOST_PIDNS@`, `@AGENT@` and `@SOCKET@` are put in before they run. None
//! goes on for good: what is not stopped in time is killed by its framework and counts as ended then.

/// One kind of hostile task.
pub struct Kind {
    pub name: &'static str,
    pub script: &'static str,
    /// Local files it asks the agent to fetch.
    pub uris: &'static [&'static str],
    pub needs: Needs,
    pub ends: Ends,
}

/// What must be there for the kind to be borne.
#[derive(Clone, Copy, PartialEq)]
pub enum Needs {
    Nothing,
    /// Namespaces and cgroups.
    Isolation,
    /// A task that is not of the agent's user.
    OtherUser,
}

/// How it must end.
#[derive(Clone, Copy, PartialEq)]
pub enum Ends {
    /// By itself, in whatever state.
    Somehow,
    /// It fails with this reason.
    Fails(&'static str),
    /// It goes on until its framework kills it.
    Killed,
}

const fn kind(name: &'static str, needs: Needs, ends: Ends, script: &'static str) -> Kind {
    Kind { name, script, uris: &[], needs, ends }
}

use Ends::{Fails, Killed, Somehow};
use Needs::{Isolation, Nothing, OtherUser};

pub const KINDS: &[Kind] = &[
    // Processes.
    kind(
        "kills_everything_it_sees",
        Isolation,
        Somehow,
        "[ \"$(readlink /proc/self/ns/pid)\" = '@HOST_PIDNS@' ] && echo ESCAPED: no pid namespace || kill -9 -1",
    ),
    kind(
        "forks_three_thousand_times",
        Isolation,
        Somehow,
        "i=0; while [ $i -lt 3000 ]; do sleep 3 & i=$((i+1)); done 2>/dev/null; echo ESCAPED: 3000 processes",
    ),
    kind(
        "leaves_daemons_behind",
        Nothing,
        Somehow,
        "for i in 1 2 3; do setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 60; done' & done; exit 0",
    ),
    kind("ignores_every_polite_signal", Nothing, Killed, "trap '' TERM INT HUP QUIT; while :; do sleep 1; done"),
    kind("stops_itself", Nothing, Killed, "kill -STOP $$; sleep 60"),
    kind(
        "makes_zombies",
        Nothing,
        Somehow,
        "i=0; while [ $i -lt 200 ]; do (sleep 0 & exec sleep 0.01) & i=$((i+1)); done; exit 0",
    ),
    kind("takes_a_real_time_priority", Isolation, Somehow, "chrt -f 99 true 2>/dev/null && echo ESCAPED: real-time"),
    kind(
        "raises_its_own_limits",
        Isolation,
        Somehow,
        "for f in $(find /sys/fs/cgroup -name memory.limit_in_bytes -o -name pids.max -o -name memory.max 2>/dev/null | head -50); do \
         (echo 9999999999 > $f) 2>/dev/null && echo ESCAPED: wrote $f; done; true",
    ),
    kind(
        "moves_to_another_cgroup",
        Isolation,
        Somehow,
        "for f in $(find /sys/fs/cgroup -name cgroup.procs 2>/dev/null | head -50); do \
         (echo $$ > $f) 2>/dev/null && echo ESCAPED: moved to $f; done; true",
    ),
    kind(
        "looks_at_other_processes",
        Isolation,
        Somehow,
        "for p in /proc/[0-9]*; do grep -qz '^MESETA_TEST_HOME=' $p/environ 2>/dev/null && grep -qz agent $p/cmdline && echo ESCAPED: sees the agent; done; true",
    ),
    // Memory.
    kind("uses_all_memory_at_once", Isolation, Fails("REASON_CONTAINER_LIMITATION_MEMORY"), "tail /dev/zero"),
    kind(
        "lets_a_child_use_all_memory",
        Isolation,
        Fails("REASON_CONTAINER_LIMITATION_MEMORY"),
        "sh -c 'tail /dev/zero'; exit 0",
    ),
    kind("uses_all_memory_later", Isolation, Fails("REASON_CONTAINER_LIMITATION_MEMORY"), "sleep 1; tail /dev/zero"),
    kind(
        "fills_shared_memory",
        Isolation,
        Somehow,
        "dd if=/dev/zero of=/dev/shm/meseta-hostile bs=1M count=512 2>/dev/null && echo ESCAPED: 512 MB of shared memory",
    ),
    kind("leaves_shared_memory_behind", Isolation, Somehow, "echo mine > /dev/shm/meseta-hostile-left"),
    // Files.
    kind(
        "fetches_the_password_file",
        OtherUser,
        Fails("REASON_CONTAINER_LAUNCH_FAILED"),
        "cat shadow && echo ESCAPED: shadow",
    ),
    kind("reads_the_password_file", OtherUser, Somehow, "cat /etc/shadow >/dev/null 2>&1 && echo ESCAPED: shadow"),
    kind(
        "writes_where_it_may_not",
        OtherUser,
        Somehow,
        "for f in /etc/meseta-hostile /usr/bin/meseta-hostile /root/meseta-hostile; do touch $f 2>/dev/null && echo ESCAPED: $f; done; true",
    ),
    kind(
        "links_to_files_of_others",
        OtherUser,
        Somehow,
        "ln /etc/shadow hard 2>/dev/null; ln -s /etc/shadow soft; cat hard >/dev/null 2>&1 && echo ESCAPED: hard link; true",
    ),
    kind("turns_its_output_into_a_fifo", Nothing, Somehow, "rm stdout; mkfifo stdout; sleep 1"),
    kind("turns_its_output_into_a_link", Nothing, Somehow, "rm stdout; ln -s /etc/shadow stdout; sleep 1"),
    kind("turns_its_output_into_a_directory", Nothing, Somehow, "rm stderr; mkdir stderr; sleep 1"),
    kind(
        "swaps_a_file_while_it_is_read",
        Nothing,
        Somehow,
        "i=0; while [ $i -lt 400 ]; do echo fine > x; rm x; ln -s /etc/shadow x; rm x; mkfifo x; rm x; i=$((i+1)); done",
    ),
    kind("removes_its_sandbox", Nothing, Somehow, "cd /; rm -rf \"$MESOS_SANDBOX\" 2>/dev/null; true"),
    kind("closes_its_sandbox", Nothing, Somehow, "mkdir a; touch a/b; chmod 0 a; chmod 0 ."),
    kind(
        "nests_directories_deeply",
        Nothing,
        Somehow,
        "python3 -c \"import os\nfor i in range(15000):\n os.mkdir('d')\n os.chdir('d')\"",
    ),
    kind(
        "makes_fifty_thousand_files",
        Nothing,
        Somehow,
        "mkdir many; cd many; python3 -c \"for i in range(50000): open(str(i), 'w')\"",
    ),
    kind(
        "names_files_oddly",
        Nothing,
        Somehow,
        "touch -- '-rf' 'a\nb' '\"' '<script>' ' ' '..x'; mkdir \"$(printf 'x%.0s' $(seq 255))\"; true",
    ),
    kind(
        "fills_its_disk",
        Isolation,
        Fails("REASON_CONTAINER_LIMITATION_DISK"),
        "i=0; while [ $i -lt 400 ]; do head -c 1M /dev/zero > $i; i=$((i+1)); done; sleep 60",
    ),
    kind("makes_a_huge_sparse_file", Nothing, Somehow, "truncate -s 1T huge"),
    kind("floods_its_output", Nothing, Somehow, "timeout 2 yes hostile; true"),
    kind("writes_one_endless_line", Nothing, Somehow, "timeout 1 tr '\\0' x < /dev/zero; true"),
    kind("dumps_core", Nothing, Somehow, "ulimit -c unlimited; kill -ABRT $$"),
    // The host.
    kind("mounts", Isolation, Somehow, "mount -t tmpfs x /mnt 2>/dev/null && echo ESCAPED: mounted; true"),
    kind(
        "mounts_in_a_namespace_of_its_own",
        Isolation,
        Somehow,
        "unshare -Ur sh -c 'mount -t tmpfs x /mnt' 2>/dev/null && echo ESCAPED: mounted; true",
    ),
    kind(
        "makes_a_device",
        Isolation,
        Somehow,
        "mknod disk b 8 0 2>/dev/null && echo ESCAPED: device; mknod mem c 1 1 2>/dev/null && echo ESCAPED: device; true",
    ),
    kind("sets_the_clock", Isolation, Somehow, "date -s '2001-01-01' 2>/dev/null && echo ESCAPED: clock; true"),
    kind(
        "renames_the_host",
        Isolation,
        Somehow,
        "(echo hostile > /proc/sys/kernel/hostname) 2>/dev/null && echo ESCAPED: hostname; true",
    ),
    kind(
        "writes_to_the_kernels_settings",
        Isolation,
        Somehow,
        "for f in /proc/sys/vm/overcommit_memory /proc/sys/kernel/panic /proc/sysrq-trigger /sys/kernel/mm/ksm/run; do \
         (exec 3>>$f) 2>/dev/null && echo ESCAPED: $f; done; true",
    ),
    kind(
        "enters_the_hosts_namespaces",
        Isolation,
        Somehow,
        "nsenter -t 1 -m true 2>/dev/null && [ \"$(nsenter -t 1 -p readlink /proc/self/ns/pid)\" = '@HOST_PIDNS@' ] && echo ESCAPED: nsenter; true",
    ),
    kind(
        "traces_its_launcher",
        Isolation,
        Somehow,
        "(exec 3>>/proc/1/mem) 2>/dev/null && [ \"$(id -u)\" != 0 ] && echo ESCAPED: memory of its init; true",
    ),
    kind(
        "gains_privileges_by_set_uid",
        OtherUser,
        Somehow,
        "grep -q 'NoNewPrivs:.1' /proc/self/status || echo ESCAPED: new privileges can be had",
    ),
    // The agent's interface.
    kind(
        "launches_as_root_on_the_socket",
        OtherUser,
        Somehow,
        "python3 - <<'P'\nimport json, socket\n\
         body = json.dumps({'type': 'LAUNCH_CONTAINER', 'launch_container': {'container_id': {'value': 'hostile'}, \
         'command': {'value': 'id > /tmp/meseta-hostile-root', 'user': 'root'}}})\n\
         s = socket.socket(socket.AF_UNIX); s.settimeout(5)\n\
         try:\n s.connect('@SOCKET@')\nexcept OSError:\n raise SystemExit(0)\n\
         s.sendall(('POST /api/v1 HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n' % len(body) + body).encode())\n\
         if b' 200 ' in s.recv(4096).split(b'\\r\\n')[0]: print('ESCAPED: launched as root')\nP",
    ),
    kind(
        "launches_as_root_over_tcp",
        OtherUser,
        Somehow,
        "python3 - <<'P'\nimport json, urllib.request\n\
         body = json.dumps({'type': 'LAUNCH_CONTAINER', 'launch_container': {'container_id': {'value': 'hostile'}, \
         'command': {'value': 'id > /tmp/meseta-hostile-root', 'user': 'root'}}}).encode()\n\
         try:\n urllib.request.urlopen(urllib.request.Request('http://@AGENT@/api/v1', body, {'Content-Type': 'application/json'}), timeout=5)\n \
         print('ESCAPED: launched as root')\nexcept OSError:\n pass\nP",
    ),
    kind(
        "ends_its_neighbour_over_tcp",
        Nothing,
        Somehow,
        "python3 - <<'P'\nimport json, urllib.request\n\
         def post(call):\n return urllib.request.urlopen(urllib.request.Request('http://@AGENT@/api/v1', json.dumps(call).encode(), \
         {'Content-Type': 'application/json', 'Accept': 'application/json'}), timeout=5).read()\n\
         try:\n found = json.loads(post({'type': 'GET_CONTAINERS'}))['get_containers']['containers']\n\
         except OSError:\n raise SystemExit(0)\n\
         for one in found:\n  if one['executor_id']['value'].startswith('neighbour'):\n   for kind in ('KILL_CONTAINER', 'KILL_NESTED_CONTAINER'):\n    \
         try:\n     post({'type': kind, kind.lower(): {'container_id': one['container_id']}}); print('ESCAPED:', kind)\n    \
         except OSError:\n     pass\nP",
    ),
    // Its first process dies before the others, which must not be taken for somebody outside then.
    kind(
        "ends_itself_and_then_its_neighbour",
        Nothing,
        Somehow,
        "python3 - <<'P'\nimport json, time, urllib.request\n\
         def post(call):\n return urllib.request.urlopen(urllib.request.Request('http://@AGENT@/api/v1', json.dumps(call).encode(), \
         {'Content-Type': 'application/json', 'Accept': 'application/json'}), timeout=5).read()\n\
         def end(one):\n try:\n  post({'type': 'KILL_CONTAINER', 'kill_container': {'container_id': one['container_id']}}); return True\n \
         except OSError:\n  return False\n\
         try:\n found = json.loads(post({'type': 'GET_CONTAINERS'}))['get_containers']['containers']\n\
         except OSError:\n raise SystemExit(0)\n\
         named = lambda name: [one for one in found if one['executor_id']['value'].startswith(name)]\n\
         for one in named('ends_itself'): end(one)\n\
         for one in named('neighbour') * 100:\n  if end(one): print('ESCAPED: KILL_CONTAINER', flush=True); break\nP",
    ),
];
