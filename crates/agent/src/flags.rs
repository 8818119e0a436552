//! The agent's flags: names, defaults and meanings are those of Mesos's `configuration/agent.md`.

use endpoints::mesos;
use stdx::flags::{Flag, Foreign, Kind::*, Table};

pub static TABLE: Table = Table {
    about: "Runs an agent: offers this machine's resources to a master and runs tasks on them in containers.",
    flags: FLAGS,
    foreign: FOREIGN,
    variables: mesos::LIBPROCESS,
    elsewhere: mesos::MASTER_FLAGS,
};

/// Flags of Mesos's agents that this one does not act upon.
static FOREIGN: &[Foreign] = &[
    Foreign::refused(
        "acls",
        "nobody is authorized by rules; --authenticate_http_readwrite and its siblings say who must show who they are",
    ),
    Foreign::refused("agent_features", "the agent tells the capabilities that it has"),
    Foreign::refused("agent_subsystems", "put the agent into a cgroup with what starts it").alias("slave_subsystems"),
    Foreign::refused("allowed_devices", ""),
    Foreign::idle("appc_simple_discovery_uri_prefix", NO_IMAGES),
    Foreign::idle("appc_store_dir", NO_IMAGES),
    Foreign::fixed(
        "authorizer",
        &["local"],
        "there are no modules, and without rules the local authorizer permits everything",
    )
    .alias("authorizers"),
    Foreign::idle("cgroups_cpu_enable_pids_and_tids_count", "processes and threads are always counted").switch(),
    Foreign::refused("cgroups_net_cls_primary_handle", ""),
    Foreign::refused("cgroups_net_cls_secondary_handles", ""),
    Foreign::idle("check_agent_port_range_only", NO_PORTS).switch(),
    Foreign::idle("container_ports_isolated_range", NO_PORTS),
    Foreign::idle("container_ports_watch_interval", NO_PORTS),
    Foreign::fixed("containerizers", &["mesos"], "that is the only one there is"),
    Foreign::refused("csi_plugin_config_dir", ""),
    Foreign::refused("default_container_dns", ""),
    Foreign::refused("default_container_info", ""),
    Foreign::refused("default_container_shm_size", ""),
    Foreign::fixed("disallow_sharing_agent_ipc_namespace", &["false"], "").switch(),
    Foreign::fixed("disallow_sharing_agent_pid_namespace", &["false"], "").switch(),
    Foreign::refused("disk_profile_adaptor", "there are no modules"),
    Foreign::idle("docker", NO_DOCKER),
    Foreign::idle("docker_config", NO_IMAGES),
    Foreign::idle("docker_ignore_runtime", NO_IMAGES).switch(),
    Foreign::idle("docker_kill_orphans", NO_DOCKER).switch(),
    Foreign::refused("docker_mesos_image", "there is no Docker containerizer"),
    Foreign::idle("docker_registry", NO_IMAGES),
    Foreign::idle("docker_remove_delay", NO_DOCKER),
    Foreign::idle("docker_socket", NO_DOCKER),
    Foreign::idle("docker_stop_timeout", NO_DOCKER),
    Foreign::idle("docker_store_dir", NO_IMAGES),
    Foreign::idle("docker_volume_checkpoint_dir", "the isolator docker/volume, which it concerns, is not there"),
    Foreign::idle("docker_volume_chown", "the isolator docker/volume, which it concerns, is not there").switch(),
    Foreign::idle("egress_burst", NO_PORT_MAPPING),
    Foreign::idle("egress_ceil_limit", NO_PORT_MAPPING),
    Foreign::idle("egress_flow_classifier_parent", NO_PORT_MAPPING),
    Foreign::idle("egress_rate_limit_per_container", NO_PORT_MAPPING),
    Foreign::idle("egress_rate_per_cpu", NO_PORT_MAPPING),
    Foreign::idle("egress_unique_flow_per_container", NO_PORT_MAPPING).switch(),
    Foreign::fixed("enforce_container_ports", &["false"], NO_PORTS).switch(),
    Foreign::idle("ephemeral_ports_per_container", NO_PORT_MAPPING),
    Foreign::idle("eth0_name", NO_PORT_MAPPING),
    Foreign::refused("executor_reregistration_retry_interval", ""),
    Foreign::idle("external_log_file", "the log is this program's own; --log_dir says where"),
    Foreign::refused("firewall_rules", "put a proxy that refuses those endpoints in front of the agent"),
    Foreign::fixed("gc_non_executor_container_sandboxes", &["false"], "").switch(),
    Foreign::idle("hadoop_home", "URIs of HDFS are refused"),
    Foreign::refused("hooks", "there are no modules"),
    Foreign::refused("host_path_volume_force_creation", ""),
    Foreign::idle("http_command_executor", "the command executor always speaks HTTP").switch(),
    Foreign::idle("image_gc_config", NO_IMAGES),
    Foreign::refused("image_providers", "containers have no images yet"),
    Foreign::idle("image_provisioner_backend", NO_IMAGES),
    Foreign::idle("ingress_burst", NO_PORT_MAPPING),
    Foreign::idle("ingress_ceil_limit", NO_PORT_MAPPING),
    Foreign::idle("ingress_isolate_existing_containers", NO_PORT_MAPPING).switch(),
    Foreign::idle("ingress_rate_limit_per_container", NO_PORT_MAPPING),
    Foreign::idle("ingress_rate_per_cpu", NO_PORT_MAPPING),
    Foreign::idle("initialize_driver_logging", "it concerns drivers").switch(),
    Foreign::refused("ip6", "--ip takes an address of either family"),
    Foreign::refused("ip6_discovery_command", "--ip takes an address of either family"),
    Foreign::refused("ip_discovery_command", "give the address itself: --ip=\"$(command)\""),
    Foreign::idle("launcher_dir", "there is one program, which is in no such directory"),
    Foreign::idle("lo_name", NO_PORT_MAPPING),
    Foreign::idle("logbufsecs", "the log is not buffered"),
    Foreign::refused("master_detector", "there are no modules; --master says where masters meet"),
    Foreign::idle("maximum_egress_rate_limit", NO_PORT_MAPPING),
    Foreign::idle("maximum_ingress_rate_limit", NO_PORT_MAPPING),
    Foreign::fixed("memory_profiling", &["false"], "there is no profiler of the allocator").switch(),
    Foreign::idle("minimum_egress_rate_limit", NO_PORT_MAPPING),
    Foreign::idle("minimum_ingress_rate_limit", NO_PORT_MAPPING),
    Foreign::refused("modules", "there are no modules"),
    Foreign::refused("modules_dir", "there are no modules"),
    Foreign::refused("network_cni_config_dir", "containers are in the host's network"),
    Foreign::idle("network_cni_metrics", "containers are in the host's network").switch(),
    Foreign::refused("network_cni_plugins_dir", "containers are in the host's network"),
    Foreign::idle("network_cni_root_dir_persist", "containers are in the host's network").switch(),
    Foreign::idle("network_enable_rate_statistics", NO_PORT_MAPPING).switch(),
    Foreign::idle("network_enable_snmp_statistics", NO_PORT_MAPPING).switch(),
    Foreign::idle("network_enable_socket_statistics_details", NO_PORT_MAPPING).switch(),
    Foreign::idle("network_enable_socket_statistics_summary", NO_PORT_MAPPING).switch(),
    Foreign::idle("network_link_speed", NO_PORT_MAPPING),
    Foreign::idle("network_rate_statistics_interval", NO_PORT_MAPPING),
    Foreign::idle("network_rate_statistics_window", NO_PORT_MAPPING),
    Foreign::refused("nvidia_gpu_devices", "GPUs are not handed out"),
    Foreign::idle("oversubscribed_resources_interval", NO_OVERSUBSCRIPTION),
    Foreign::idle("perf_duration", NO_PERF),
    Foreign::idle("perf_events", NO_PERF),
    Foreign::idle("perf_interval", NO_PERF),
    Foreign::refused("qos_controller", "there are no modules"),
    Foreign::idle("qos_correction_interval_min", NO_OVERSUBSCRIPTION),
    Foreign::refused("resource_estimator", "there are no modules"),
    Foreign::refused("resource_provider_config_dir", ""),
    Foreign::idle("sandbox_directory", "it concerns containers with images, which are not there yet"),
    Foreign::refused("seccomp_config_dir", ""),
    Foreign::refused("seccomp_profile_name", ""),
    Foreign::refused("secret_resolver", "there are no modules"),
    Foreign::idle("systemd_enable_support", "containers outlive the agent with and without systemd").switch(),
    Foreign::idle("systemd_runtime_directory", "containers outlive the agent with and without systemd"),
    Foreign::refused("volume_gid_range", ""),
    Foreign::idle("xfs_kill_containers", NO_XFS).switch(),
    Foreign::idle("xfs_project_range", NO_XFS),
    Foreign::idle("xfs_quota_headroom", NO_XFS),
];

// Flags that only say how something is to be done whose own flag is refused.
const NO_DOCKER: &str = "there is no Docker containerizer, which it concerns";
const NO_IMAGES: &str = "it concerns images, which --image_providers would ask for";
const NO_OVERSUBSCRIPTION: &str = "it concerns oversubscription, which is not there";
const NO_PERF: &str = "it concerns the isolator cgroups/perf_event, which is not there";
const NO_PORTS: &str = "it concerns the isolator network/ports, which is not there";
const NO_PORT_MAPPING: &str = "it concerns the isolator network/port_mapping, which is not there";
const NO_XFS: &str = "it concerns the isolator disk/xfs, which is not there";

static FLAGS: &[Flag] = &[
    Flag::new(
        "master",
        Url,
        None,
        "The master's address, host:port; or where several masters meet: zk://host:port,host:port/path, etcd://host:port,host:port/path, or file:///path of a file that holds such a URL. Required.",
    ),
    Flag::new(
        "master_session_timeout",
        Duration,
        Some("10secs"),
        "How long a session with ZooKeeper or etcd lasts without news.",
    ).within("100ms", "1hrs")
    .alias("zk_session_timeout"),
    Flag::new(
        "etcd_ca_file",
        Text,
        None,
        "Whom to trust as etcd's servers, certificates in PEM, for --master=etcds://…; else Mozilla's authorities. The URL may say the same: ?ca=FILE&cert=FILE&key=FILE.",
    ),
    Flag::new("etcd_cert_file", Text, None, "The certificate that this agent shows to etcd, in PEM."),
    Flag::new("etcd_key_file", Text, None, "The private key of that certificate, in PEM."),
    Flag::new("work_dir", Text, None, "Where the agent keeps sandboxes and its checkpoints. Required."),
    Flag::new(
        "runtime_dir",
        Text,
        None,
        "Where the state of running containers is kept until the machine restarts. The default is /var/run/meseta for root and a folder in --work_dir for others.",
    ),
    Flag::new(
        "flight_recorder",
        Text,
        None,
        "Record every input in this file, as PATH,SIZE (/var/log/flight,64MB); the size is a bound. `cargo xtask sim --replay` steps through it.",
    ),
    Flag::new("ip", Text, Some("127.0.0.1"), "The address to listen on."),
    Flag::new("port", Integer, Some("5051"), "The port to listen on; 0 takes a free one.").within("0", "65535"),
    Flag::new("advertise_ip", Text, None, "The address others reach this agent at, if not --ip."),
    Flag::new("advertise_port", Integer, None, "The port others reach this agent at, if not --port.").within("1", "65535"),
    Flag::new(
        "require_peer_address_ip_match",
        Switch,
        Some("true"),
        "Whether messages of masters of Mesos and of executors are dropped whose sender says it is at another machine than the connection comes from. LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH sets it too, as in Mesos, where the default is false. Turn it off if they come through proxies or address translation.",
    ),
    Flag::new(
        "allowed_hosts",
        Text,
        None,
        "Names, beside --hostname and this machine's own, by which web browsers and other clients may call this server in `Host`, separated by commas: mesos.example.com, .example.com for all below, or * for any. Its addresses and localhost always may. Requests for other names are refused, so that no web site can have its name lead here (DNS rebinding).",
    ),
    Flag::new(
        "allowed_origins",
        Text,
        None,
        "Web sites whose pages may change something here, as in https://ui.example.com, separated by commas, or * for any; for user interfaces that reach this server under another name, by way of a proxy. Pages of this server itself always may.",
    ),
    Flag::new(
        "cross_site_jsonp",
        Switch,
        Some("false"),
        "Whether pages of any web site may read documents as scripts (?jsonp=callback).",
    ),
    Flag::new(
        "max_outbox_bytes",
        Bytes,
        Some("32MB"),
        "How many bytes of events a subscriber may leave unread, about, before its stream is cut; what is said to it in one step is taken as a whole.",
    ).within("64KB", "1TB"),
    Flag::new(
        "max_outbox_bytes_total",
        Bytes,
        Some("256MB"),
        "The same for all subscribers together; beyond it the stream with the most is cut.",
    ).within("64KB", "1TB"),
    Flag::new("hostname", Text, None, "The host name to give to others; else the address's name or the address."),
    Flag::new("hostname_lookup", Switch, Some("true"), "Whether to look up the host name of the address."),
    Flag::new(
        "resources",
        Text,
        None,
        "What this agent offers, such as cpus:4;mem:2048;ports:[31000-32000], or as JSON. What is not named is measured.",
    ).may_be_empty(),
    Flag::new(
        "domain",
        Text,
        None,
        "The fault domain of this machine, as JSON or as the path of a file with it: {\"fault_domain\":{\"region\":{\"name\":\"eu\"},\"zone\":{\"name\":\"a\"}}}.",
    ),
    Flag::new("attributes", Text, None, "What frameworks may know of this machine, such as rack:a7;ssd:true.").may_be_empty(),
    Flag::new(
        "competition_weight",
        Text,
        None,
        "How strongly this agent competes for resource groups against others; 1 unless set, 0 for not at all. Shown as the attribute of this name.",
    ),
    Flag::new("default_role", Text, Some("*"), "The role of resources that name none."),
    Flag::new(
        "isolation",
        Text,
        None,
        "How tasks are kept apart, a list: posix/cpu, posix/mem, cgroups/cpu, cgroups/mem, cgroups/pids, disk/du, namespaces/pid, namespaces/ipc, namespaces/uts, filesystem/linux, linux/capabilities, linux/seccomp, linux/nnp; or all, which takes what this host allows. The default is all for root, and posix/cpu,posix/mem for others.",
    ),
    Flag::new("launcher", Text, None, "linux (namespaces and cgroups) or posix (process groups); linux for root."),
    Flag::new("switch_user", Switch, Some("true"), "Whether tasks run as the user they name; only root can."),
    Flag::new(
        "registration_backoff_factor",
        Duration,
        Some("1secs"),
        "The most an agent waits before it first asks to register; each retry may wait twice as long, up to 1mins.",
    ).within("1ms", "1mins"),
    Flag::new(
        "credential",
        Path,
        None,
        "A file with the principal and secret by which this agent proves to the master who it is: {\"principal\": \"...\", \"secret\": \"...\"}, or both on one line.",
    ),
    Flag::new("authenticatee", Text, Some("crammd5"), "How this agent proves who it is: crammd5."),
    Flag::new(
        "authentication_backoff_factor",
        Duration,
        Some("1secs"),
        "How much longer than --authentication_timeout_min an attempt to authenticate may take; each retry may take twice as much more, up to --authentication_timeout_max.",
    ).within("1ms", "1hrs"),
    Flag::new(
        "authentication_timeout_min",
        Duration,
        Some("5secs"),
        "The least time before authentication is tried again.",
    ).within("100ms", "1hrs"),
    Flag::new(
        "authentication_timeout_max",
        Duration,
        Some("1mins"),
        "The most time before authentication is tried again.",
    ).within("100ms", "1days"),
    Flag::new(
        "authenticate_http_readonly",
        Switch,
        Some("false"),
        "Whether endpoints that only show something ask for a principal and its secret.",
    ),
    Flag::new(
        "authenticate_http_readwrite",
        Switch,
        Some("false"),
        "Whether whatever changes something asks for a principal and its secret, or an executor's token. All of /api/v1 does then, reads as well, and --authenticate_http_readonly alone has the same effect on it. Executors that call over the agent's own socket need nothing.",
    ),
    Flag::new(
        "authenticate_http_executors",
        Switch,
        Some("false"),
        "Whether the executor API asks for the token that executors find in MESOS_EXECUTOR_AUTHENTICATION_TOKEN; needs --jwt_secret_key. Executors that call over the agent's own socket need nothing.",
    ),
    Flag::new(
        "jwt_secret_key",
        Path,
        None,
        "A file with a secret, of which all bytes count, that signs executors' tokens (JWT, HS256; claims fid, eid, cid). With it every executor gets a token, and tokens are taken wherever credentials are asked for.",
    )
    .alias("executor_secret_key"),
    Flag::new(
        "identify_callers",
        Switch,
        Some("true"),
        "Whether callers who show neither a credential nor a token are told apart by their process: containers then act on themselves only, and only root and the agent's own user on everything. Without it anybody who reaches the agent may act for every executor and launch containers as any user, as in Mesos.",
    ),
    Flag::new(
        "http_authenticators",
        Text,
        Some("basic"),
        "How principals show themselves on HTTP: basic. Tokens (jwt) are taken as soon as there is a --jwt_secret_key.",
    ),
    Flag::new(
        "http_credentials",
        Path,
        None,
        "A file with the principals and secrets that --authenticate_http_readonly and --authenticate_http_readwrite let in: {\"credentials\": [{\"principal\": \"...\", \"secret\": \"...\"}]}, or one pair a line.",
    ),
    Flag::new(
        "executor_registration_timeout",
        Duration,
        Some("1mins"),
        "How long an executor may take to subscribe before it is killed.",
    ).within("1ms", "1weeks"),
    Flag::new(
        "executor_reregistration_timeout",
        Duration,
        Some("2secs"),
        "How long an executor may take to come back after the agent's restart; at most 15secs.",
    ).within("1ms", "15secs"),
    Flag::new(
        "executor_shutdown_grace_period",
        Duration,
        Some("5secs"),
        "How long an executor may take to shut down before it is killed.",
    ).within("0ns", "1weeks"),
    Flag::new(
        "executor_environment_variables",
        Text,
        None,
        "A JSON object of variables that executors get instead of the agent's environment.",
    ),
    Flag::new(
        "http_executor_domain_sockets",
        Switch,
        Some("false"),
        "Whether executors of frameworks are told to reach the agent at --domain_socket_location; meseta's own always do.",
    ),
    Flag::new(
        "domain_socket_location",
        Text,
        None,
        "The socket at which executors reach the agent without the network; agent.sock in --runtime_dir by default.",
    ),
    Flag::new(
        "recovery_timeout",
        Duration,
        Some("15mins"),
        "How long executors wait for a restarting agent before they give up.",
    ).within("0ns", "1weeks"),
    Flag::new(
        "recover",
        Text,
        Some("reconnect"),
        "reconnect takes up running executors after a restart; cleanup kills them.",
    ),
    Flag::new(
        "strict",
        Switch,
        Some("true"),
        "Whether a damaged journal, a damaged record of a container or an unreadable checkpoint stops the agent (true), or what can be read is used and what is lost told in the log (false).",
    ),
    Flag::new(
        "reconfiguration_policy",
        Text,
        Some("equal"),
        "Which changes of resources and attributes a restart may bring: equal or additive.",
    ),
    Flag::new(
        "checkpoint_durability",
        Text,
        Some("disk"),
        "disk survives a power cut; kernel survives the agent's death only, and is faster.",
    ),
    Flag::new("gc_delay", Duration, Some("1weeks"), "How long the sandbox of a finished executor stays.").within("0ns", "1000weeks"),
    Flag::new(
        "gc_disk_headroom",
        Number,
        Some("0.1"),
        "The share of the disk to keep free: as it fills up, sandboxes go earlier.",
    ).within("0", "1"),
    Flag::new("disk_watch_interval", Duration, Some("1mins"), "How often the disk's use is looked at.").within("10ms", "1weeks"),
    Flag::new(
        "max_completed_executors_per_framework",
        Integer,
        Some("150"),
        "How many completed executors of a framework are remembered.",
    ).within("0", "1000000"),
    Flag::new(
        "pids_limit",
        Integer,
        Some("2048"),
        "How many processes and threads a container may have at a time, with the isolator cgroups/pids; 0 is no limit.",
    )
    .within("0", "4194304"),
    Flag::new(
        "enforce_container_disk_quota",
        Switch,
        Some("false"),
        "Whether a container whose sandbox takes more than the disk it was given is ended, with the isolator disk/du. What is fetched is bounded by it, too.",
    ),
    Flag::new(
        "container_disk_watch_interval",
        Duration,
        Some("15secs"),
        "How often the disk that a container's sandbox takes is measured, with the isolator disk/du.",
    )
    .within("10ms", "1weeks"),
    Flag::new(
        "bounding_capabilities",
        Text,
        None,
        "The capabilities that containers may have at most, with the isolator linux/capabilities, as JSON: {\"capabilities\":[\"NET_RAW\",\"CHOWN\"]}. By default those that docs/isolation.md lists.",
    ),
    Flag::new(
        "effective_capabilities",
        Text,
        None,
        "The capabilities that a container starts with if it asks for none, as JSON; all that are allowed for root and none for others by default.",
    )
    .alias("allowed_capabilities"),
    Flag::new(
        "seccomp_allow_unconfined",
        Switch,
        Some("false"),
        "Whether containers may ask for no filter of system calls (seccomp.unconfined).",
    ),
    Flag::new("cgroups_root", Text, Some("mesos"), "The cgroup below which containers' cgroups are made."),
    Flag::new("cgroups_hierarchy", Text, Some("/sys/fs/cgroup"), "Where cgroups are mounted."),
    Flag::new(
        "cgroups_destroy_timeout",
        Duration,
        Some("1mins"),
        "How long whatever survives a SIGKILL is waited for before a container's destruction is given up.",
    )
    .within("1secs", "1days"),
    Flag::new(
        "cgroups_limit_swap",
        Switch,
        Some("false"),
        "Whether a limit on memory counts swap, too; cgroups v1 only.",
    ),
    Flag::new(
        "revocable_cpu_low_priority",
        Switch,
        Some("true"),
        "Whether containers of revocable cpus get the smallest share of a busy machine.",
    ),
    Flag::new("cgroups_enable_cfs", Switch, Some("false"), "Whether cpus are a hard limit, not only a share."),
    Flag::new(
        "container_logger",
        Text,
        Some("logrotate"),
        "logrotate keeps stdout and stderr of running containers short, sandbox lets them grow.",
    ),
    Flag::new("max_stdout_size", Bytes, Some("10MB"), "How large stdout may become before it is cut.").within("64KB", "1024TB"),
    Flag::new(
        "logrotate_stdout_options",
        Text,
        Some("rotate 9"),
        "How many pieces that were cut off are kept, as stdout.1, stdout.2 and so on: rotate COUNT.",
    ),
    Flag::new("max_stderr_size", Bytes, Some("10MB"), "As --max_stdout_size, of stderr.").within("64KB", "1024TB"),
    Flag::new("logrotate_stderr_options", Text, Some("rotate 9"), "As --logrotate_stdout_options, of stderr."),
    Flag::new("fetcher_stall_timeout", Duration, Some("1mins"), "How long a download may stand still before it fails.").within("1ms", "1weeks"),
    Flag::new(
        "fetcher_cache_dir",
        Text,
        None,
        "Where URIs with 'cache' are kept; fetch in --work_dir by default. Emptied at each start.",
    ),
    Flag::new("fetcher_cache_size", Bytes, Some("2GB"), "How much of them is kept.").within("0B", "1024TB"),
    Flag::new(
        "fetcher_max_size",
        Bytes,
        Some("16GB"),
        "The most that the URIs of one container may bring into its sandbox, unpacked files included.",
    ).within("1B", "1024TB"),
    Flag::new("frameworks_home", Text, None, "Where URIs that are relative paths are looked up."),
    Flag::new(
        "http_heartbeat_interval",
        Duration,
        Some("30secs"),
        "The time between two heartbeats on streams to clients.",
    ).within("10ms", "1weeks"),
    Flag::new("log_dir", Text, None, "A directory for the log file; without it the log goes to stderr."),
    Flag::new("logging_level", Text, Some("INFO"), "What is logged: INFO, WARNING or ERROR."),
    Flag::new("quiet", Switch, Some("false"), "Log errors only."),
    Flag::new("log_json", Switch, Some("false"), "Write the log as JSON lines."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use stdx::flags::{Values, parse};

    fn read(flag: &str) -> Result<Values, String> {
        parse(&TABLE, "MESOS_", [flag.to_owned()], std::iter::empty())
    }

    #[test]
    fn every_flag_of_mesos_agents_is_known() {
        let known = |name: &str| {
            name == "version"
                || FLAGS.iter().any(|flag| flag.name == name || flag.alias == Some(name))
                || FOREIGN.iter().any(|foreign| foreign.name == name || foreign.alias == Some(name))
        };
        let unknown: Vec<_> = mesos::AGENT_FLAGS.iter().filter(|name| !known(name)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn what_only_repeats_how_things_are_is_taken_with_a_note() {
        for flag in [
            "--containerizers=mesos",
            "--launcher_dir=/usr/libexec/mesos",
            "--logbufsecs=0",
            "--initialize_driver_logging",
            "--external_log_file=/x",
            "--systemd_enable_support=false",
            "--authorizers=local",
        ] {
            assert_eq!(read(flag).map(|values| values.notes.len()), Ok(1), "{flag}");
        }
        for flag in ["--containerizers=docker,mesos", "--authorizer=mine", "--acls=x"] {
            assert!(read(flag).is_err(), "{flag}");
        }
        let variable = [("MESOS_CONTAINERIZERS".to_owned(), "docker".to_owned())];
        let error = parse(&TABLE, "MESOS_", std::iter::empty(), variable).expect_err("no Docker");
        assert!(error.starts_with("MESOS_CONTAINERIZERS"), "{error}");
    }

    #[test]
    fn every_measure_has_its_bounds() {
        assert_eq!(TABLE.unbounded_measures(), [""; 0]);
        for wrong in
            ["--gc_disk_headroom=5", "--disk_watch_interval=0secs", "--hostname=", "--work_dir=", "--cgroups_root="]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
