//! The master's flags: names, defaults and meanings are those of Mesos's `configuration/master.md`.

use endpoints::mesos;
use stdx::flags::{Flag, Foreign, Kind::*, Table};

pub static TABLE: Table = Table {
    about: "Runs a master: divides the cluster's agents and offers them to frameworks.",
    flags: FLAGS,
    foreign: FOREIGN,
    variables: mesos::LIBPROCESS,
    elsewhere: mesos::AGENT_FLAGS,
};

/// Flags of Mesos's masters that this one does not act upon.
static FOREIGN: &[Foreign] = &[
    Foreign::refused(
        "acls",
        "nobody is authorized by rules; --authenticate_http_readwrite and its siblings say who must show who they are",
    ),
    Foreign::fixed(
        "allocator",
        &["hierarchical", "HierarchicalDRF"],
        "there is one allocator; --role_sorter and --framework_sorter choose how it shares",
    ),
    Foreign::fixed(
        "authorizers",
        &["local"],
        "there are no modules, and without rules the local authorizer permits everything",
    ),
    Foreign::idle("external_log_file", "the log is this program's own; --log_dir says where"),
    Foreign::refused("firewall_rules", "put a proxy that refuses those endpoints in front of the master"),
    Foreign::refused("hooks", "there are no modules"),
    Foreign::idle("initialize_driver_logging", "it concerns drivers").switch(),
    Foreign::refused("ip_discovery_command", "give the address itself: --ip=\"$(command)\""),
    Foreign::idle("logbufsecs", "the log is not buffered"),
    Foreign::refused("master_contender", "there are no modules; masters meet at --zk or --etcd"),
    Foreign::refused("master_detector", "there are no modules; masters meet at --zk or --etcd"),
    Foreign::refused("max_executors_per_agent", "Mesos itself has it only in builds with the port mapping isolator")
        .alias("max_executors_per_slave"),
    Foreign::idle("max_operator_event_stream_subscribers", "the operator event stream is not served"),
    Foreign::fixed("memory_profiling", &["false"], "there is no profiler of the allocator").switch(),
    Foreign::refused("modules", "there are no modules"),
    Foreign::refused("modules_dir", "there are no modules"),
    Foreign::refused("rate_limits", "queues are bounded instead"),
    Foreign::fixed("registry_strict", &["false"], "Mesos has disabled it, too").switch(),
    Foreign::idle("webui_dir", "nothing is read from there"),
];

static FLAGS: &[Flag] = &[
    Flag::new("work_dir", Text, None, "Where the master keeps the registry. Required unless --registry=in_memory, --zk or --etcd."),
    Flag::new("ip", Text, Some("127.0.0.1"), "The address to listen on."),
    Flag::new("port", Integer, Some("5050"), "The port to listen on; 0 takes a free one.").within("0", "65535"),
    Flag::new("advertise_ip", Text, None, "The address others reach this master at, if not --ip."),
    Flag::new("advertise_port", Integer, None, "The port others reach this master at, if not --port.").within("1", "65535"),
    Flag::new("require_peer_address_ip_match", Switch, Some("true"), "Whether messages of agents of Mesos and of drivers are dropped whose sender says it is at another machine than the connection comes from. LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH sets it too, as in Mesos, where the default is false. Turn it off if they come through proxies or address translation."),
    Flag::new("allowed_hosts", Text, None, "Names, beside --hostname and this machine's own, by which web browsers and other clients may call this server in `Host`, separated by commas: mesos.example.com, .example.com for all below, or * for any. Its addresses and localhost always may. Requests for other names are refused, so that no web site can have its name lead here (DNS rebinding)."),
    Flag::new("allowed_origins", Text, None, "Web sites whose pages may change something here, as in https://ui.example.com, separated by commas, or * for any; for user interfaces that reach this server under another name, by way of a proxy. Pages of this server itself always may."),
    Flag::new("cross_site_jsonp", Switch, Some("false"), "Whether pages of any web site may read documents as scripts (?jsonp=callback)."),
    Flag::new("max_outbox_bytes", Bytes, Some("32MB"), "How many bytes of events a subscriber may leave unread, about, before its stream is cut; what is said to it in one step is taken as a whole.").within("64KB", "1TB"),
    Flag::new("max_outbox_bytes_total", Bytes, Some("256MB"), "The same for all subscribers together; beyond it the stream with the most is cut.").within("64KB", "1TB"),
    Flag::new("hostname", Text, None, "The host name to give to others; else the address's name or the address."),
    Flag::new("hostname_lookup", Switch, Some("true"), "Whether to look up the host name of the address."),
    Flag::new("cluster", Text, None, "A name of the cluster for people to read.").may_be_empty(),
    Flag::new("zk", Url, None, "Where several masters meet and keep the registry: zk://host:port,host:port/path, with user:password@ before the hosts if they ask for it, or file:///path of a file that holds the URL."),
    Flag::new("zk_session_timeout", Duration, Some("10secs"), "How long ZooKeeper waits for a silent master before another one leads.").within("100ms", "1hrs"),
    Flag::new("etcd", Url, None, "The same in etcd: http[s]://host:port,host:port/path; without a path it is /mesos."),
    Flag::new("etcd_session_timeout", Duration, Some("10secs"), "How long etcd waits for a silent master before another one leads; whole seconds.").within("1secs", "1hrs"),
    Flag::new("etcd_ca_file", Text, None, "Whom to trust as etcd's servers, certificates in PEM, for --etcd=https://…; else Mozilla's authorities. The URL may say the same: ?ca=FILE&cert=FILE&key=FILE."),
    Flag::new("etcd_cert_file", Text, None, "The certificate that this master shows to etcd, in PEM."),
    Flag::new("etcd_key_file", Text, None, "The private key of that certificate, in PEM."),
    Flag::new("quorum", Integer, None, "Read for compatibility and not needed: the registry is kept by ZooKeeper or etcd, which have quorums of their own.").within("1", "1000000"),
    Flag::new("log_auto_initialize", Switch, Some("true"), "Read for compatibility and not needed: an empty registry is begun by the first leader."),
    Flag::new("registry", Text, Some("embedded"), "Where the cluster's state is kept: embedded (a file in --work_dir, safe through crashes) or in_memory (for tests). replicated_log, Mesos's default, is read as embedded. With --zk or --etcd the registry is kept there."),
    Flag::new("registry_fetch_timeout", Duration, Some("1mins"), "How long reading the registry may take.").within("1ms", "1weeks"),
    Flag::new("registry_store_timeout", Duration, Some("20secs"), "How long one write to the registry may take.").within("1ms", "1weeks"),
    Flag::new("flight_recorder", Text, None, "Record every input in this file, as PATH,SIZE (/var/log/flight,64MB); the size is a bound. `cargo xtask sim --replay` steps through it."),
    Flag::new("registry_gc_interval", Duration, Some("15mins"), "How often old entries of unreachable and gone agents are dropped.").within("1secs", "1000weeks"),
    Flag::new("registry_max_agent_age", Duration, Some("2weeks"), "How long an unreachable or gone agent stays in the registry.").within("0ns", "10000weeks"),
    Flag::new("registry_max_agent_count", Integer, Some("102400"), "How many unreachable or gone agents stay in the registry.").within("1", "100000000"),
    Flag::new("agent_ping_timeout", Duration, Some("15secs"), "How long to wait for the answer to one ping.").alias("slave_ping_timeout").within("1secs", "15mins"),
    Flag::new("max_agent_ping_timeouts", Integer, Some("5"), "How many unanswered pings make an agent unreachable.").alias("max_slave_ping_timeouts").within("1", "1000000"),
    Flag::new("agent_reregister_timeout", Duration, Some("10mins"), "How long an agent may take to come back after a master's failover or a broken connection before it is unreachable.").alias("slave_reregister_timeout").within("1secs", "1000weeks"),
    Flag::new("recovery_agent_removal_limit", Text, Some("100%"), "The share of recovered agents that may be missing after --agent_reregister_timeout; if more are, the master exits.").alias("recovery_slave_removal_limit"),
    Flag::new("allocation_interval", Duration, Some("1secs"), "The time between two periodic allocations, and the least time a decline's filter holds.").within("1ms", "1days"),
    Flag::new("allocation_on_recovery", Switch, Some("true"), "Whether resources are offered again as soon as they come free. false waits for the next interval, as Mesos does."),
    Flag::new("allocation_compatibility", Switch, Some("false"), "Allocate exactly as Mesos does, its known flaws included: freed resources wait for the next interval, only roles of the top level have quotas, agents that cannot be offered count for the room that guarantees need, and reservations that nobody uses count for no share."),
    Flag::new("role_sorter", Text, Some("drf"), "The order of roles: drf (who has least of what it needs most comes first) or random.").alias("user_sorter"),
    Flag::new("framework_sorter", Text, Some("drf"), "The order of the frameworks of a role: drf or random."),
    Flag::new("allocator_agent_recovery_factor", Number, Some("0.8"), "After a failover with quotas, offers wait until this part of the agents is back.").within("0", "1"),
    Flag::new("allocator_recovery_timeout", Duration, Some("10mins"), "And for no longer than this.").within("0ns", "1000weeks"),
    Flag::new("offer_constraints_re2_max_mem", Bytes, Some("64KB"), "How large a regular expression of an offer constraint may get when it is compiled.").within("1KB", "1GB"),
    Flag::new("offer_constraints_re2_max_program_size", Integer, Some("100"), "Read for compatibility and not needed: --offer_constraints_re2_max_mem bounds what is compiled.").within("1", "100000000"),
    Flag::new("domain", Text, None, "The fault domain of this master, as JSON or as the path of a file with it: {\"fault_domain\":{\"region\":{\"name\":\"eu\"},\"zone\":{\"name\":\"a\"}}}. Agents of other regions are offered to region-aware frameworks only."),
    Flag::new("require_agent_domain", Switch, Some("false"), "Whether agents without a --domain are turned away."),
    Flag::new("agent_removal_rate_limit", Text, None, "At most so many silent agents are given up in such a time, as in 1/10mins.").alias("slave_removal_rate_limit"),
    Flag::new("offer_timeout", Duration, None, "After how long an unanswered offer is rescinded; never if not set.").within("1ms", "1000weeks"),
    Flag::new("min_allocatable_resources", Text, Some("cpus:0.01|mem:32"), "Sets of quantities, separated by |; an agent is offered if what is free there holds one of them.").may_be_empty(),
    Flag::new("filter_gpu_resources", Switch, Some("true"), "Whether agents with GPUs are offered only to frameworks with the GPU_RESOURCES capability."),
    Flag::new("fair_sharing_excluded_resource_names", Text, None, "Names of resources, separated by commas, that do not count in fair sharing.").may_be_empty(),
    Flag::new("root_submissions", Switch, Some("true"), "Whether frameworks may run as root."),
    Flag::new("max_framework_bytes", Bytes, Some("256KB"), "How large what a framework says about itself may be, its labels and offer constraints included; the registry keeps it.").within("4KB", "64MB"),
    Flag::new("max_task_bytes", Bytes, Some("512KB"), "How large a task with its executor may be, its labels included. The data of the task, which only passes by, does not count.").within("4KB", "64MB"),
    Flag::new("max_reservation_bytes", Bytes, Some("1MB"), "How large the descriptions of all reservations and volumes of one agent may be together, their labels included; masters and the agent keep them.").within("64KB", "16MB"),
    Flag::new("roles", Text, None, "The only roles that frameworks may be in, separated by commas; without it any.").may_be_empty(),
    Flag::new("weights", Text, None, "Weights of roles, such as ads=2,web=3; a role that is not named weighs 1.").may_be_empty(),
    Flag::new("whitelist", Text, Some("*"), "A file with the hostnames of the agents that are offered, one a line, as /path or file:///path. It is read again every 5 seconds; while it cannot be read, what it said last holds. * offers all agents."),
    Flag::new("resource_groups", Text, None, "The resource groups of a cluster that has none yet, as JSON or the absolute path of a file with it: {\"groups\": [...]}. docs/groups.md tells what is in it."),
    Flag::new("max_completed_frameworks", Integer, Some("50"), "How many completed frameworks are remembered.").within("0", "100000000"),
    Flag::new("max_completed_tasks_per_framework", Integer, Some("1000"), "How many completed tasks of a framework are remembered.").within("0", "100000000"),
    Flag::new("max_unreachable_tasks_per_framework", Integer, Some("1000"), "How many unreachable tasks of a framework are remembered.").within("0", "100000000"),
    Flag::new("publish_per_framework_metrics", Switch, Some("true"), "Whether metrics of each framework are published."),
    Flag::new("authenticate_frameworks", Switch, Some("false"), "Whether v0 drivers must prove who they are before they register.").alias("authenticate"),
    Flag::new("authenticate_agents", Switch, Some("false"), "Whether agents must prove who they are before they register.").alias("authenticate_slaves"),
    Flag::new("authenticators", Text, Some("crammd5"), "How drivers and agents prove who they are: crammd5."),
    Flag::new("authentication_v0_timeout", Duration, Some("15secs"), "How long a driver or an agent may take to prove who it is.").within("1ms", "1hrs"),
    Flag::new("authenticate_http_readonly", Switch, Some("false"), "Whether endpoints that only show something ask for a principal and its secret."),
    Flag::new("authenticate_http_readwrite", Switch, Some("false"), "Whether the operator API and endpoints that change something ask for a principal and its secret.").alias("authenticate_http"),
    Flag::new("authenticate_http_frameworks", Switch, Some("false"), "Whether the scheduler API asks for a principal and its secret."),
    Flag::new("http_authenticators", Text, Some("basic"), "How principals show themselves on HTTP: basic."),
    Flag::new("http_framework_authenticators", Text, Some("basic"), "How schedulers show themselves on HTTP: basic."),
    Flag::new("credentials", Path, None, "A file with the principals and secrets of frameworks, agents and operators: {\"credentials\": [{\"principal\": \"...\", \"secret\": \"...\"}]}, or one principal and secret a line."),
    Flag::new("log_dir", Text, None, "A directory for the log file; without it the log goes to stderr."),
    Flag::new("logging_level", Text, Some("INFO"), "What is logged: INFO, WARNING or ERROR."),
    Flag::new("quiet", Switch, Some("false"), "Log errors only."),
    Flag::new("log_json", Switch, Some("false"), "Write the log as JSON lines."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_of_mesos_masters_is_known() {
        let known = |name: &str| {
            name == "version"
                || FLAGS.iter().any(|flag| flag.name == name || flag.alias == Some(name))
                || FOREIGN.iter().any(|foreign| foreign.name == name || foreign.alias == Some(name))
        };
        let unknown: Vec<_> = mesos::MASTER_FLAGS.iter().filter(|name| !known(name)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn every_measure_has_its_bounds() {
        assert_eq!(TABLE.unbounded_measures(), [""; 0]);
    }
}
