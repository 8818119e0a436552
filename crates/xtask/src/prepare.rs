//! Installs what the tests and the demo need beside Rust: Debian packages, and third-party Mesos clients from PyPI in a
//! virtual environment below `target/`. What is there already is left alone, so a second run works offline.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::shell::{command, find, is_root, output, root, run};

/// A Debian package and a sign that it is there.
struct Package {
    name: &'static str,
    is_there: fn() -> bool,
}

const PACKAGES: [Package; 10] = [
    Package { name: "gcc", is_there: || find("gcc").is_some() },
    Package { name: "python3", is_there: || find("python3").is_some() },
    Package { name: "python3-dev", is_there: has_python_headers },
    Package {
        name: "python3-venv",
        is_there: || output(Command::new("python3").args(["-c", "import ensurepip"])).is_some(),
    },
    Package { name: "xz-utils", is_there: || find("xz").is_some() },
    Package { name: "zookeeper", is_there: || testkit::services::Kind::ZooKeeper.missing().is_none() },
    Package { name: "etcd-server", is_there: || testkit::services::Kind::Etcd.missing().is_none() },
    Package { name: "iproute2", is_there: || find("ip").is_some() },
    Package { name: "curl", is_there: || find("curl").is_some() },
    Package { name: "bzip2", is_there: || find("bzip2").is_some() },
];

/// The client library that the conformance tests drive, unmodified.
const PYMESOS: &str = "pymesos==0.3.15";
const HTTP_PARSER: &str = "http-parser==0.9.0";

/// Everything `cargo xtask test` needs.
pub fn prepare() -> Result<()> {
    packages()?;
    python().map(drop)
}

/// The interpreter of a virtual environment that has the third-party clients.
pub fn python() -> Result<PathBuf> {
    let home = root().join("target/python");
    let interpreter = home.join("bin/python");
    let ready = home.join("ready");
    // The interpreter is a link, which may lead nowhere by now.
    if interpreter.exists() && fs::read_to_string(&ready).is_ok_and(|text| text == PYMESOS) {
        return Ok(interpreter);
    }
    println!("prepare: {PYMESOS} into target/python");
    run(command("python3").arg("-m").arg("venv").arg("--clear").arg(&home))?;
    let pip = || {
        let mut pip = command("target/python/bin/pip");
        pip.args(["--quiet", "--disable-pip-version-check"]);
        pip
    };
    run(pip().args(["install", "cython", "setuptools", "wheel", "six", "addict"]))?;
    http_parser(&home, pip())?;
    run(pip().args(["install", "--no-build-isolation", PYMESOS]))?;
    fs::write(&ready, PYMESOS).context("cannot write target/python/ready")?;
    Ok(interpreter)
}

/// PyMesos needs http-parser, whose C file was generated for Python 3.10 and older; generating it anew from the same
/// sources makes it build on newer ones.
fn http_parser(home: &std::path::Path, mut pip: Command) -> Result<()> {
    let sources = home.join("http-parser");
    fs::create_dir_all(&sources)?;
    run(pip
        .args(["download", "--no-deps", "--no-build-isolation", "--no-binary", ":all:", "-d"])
        .arg(&sources)
        .arg(HTTP_PARSER))?;
    let unpack = "tar xzf http*parser*.tar.gz --strip-components=1 && ../bin/cython -3 http_parser/parser.pyx 2>/dev/null \
                  && ../bin/pip --quiet --disable-pip-version-check install --no-build-isolation .";
    run(Command::new("sh").arg("-c").arg(unpack).current_dir(&sources))
}

fn packages() -> Result<()> {
    let missing: Vec<&str> = PACKAGES.iter().filter(|p| !(p.is_there)()).map(|p| p.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_root() {
        bail!(
            "these Debian packages are missing: {0}\nrun `sudo apt-get install -y {0}` and try again",
            missing.join(" ")
        );
    }
    println!("prepare: apt-get install {}", missing.join(" "));
    let _ = run(command("apt-get").args(["-qq", "update"]));
    run(command("apt-get").args(["install", "-y", "-qq"]).args(&missing).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn has_python_headers() -> bool {
    let find_header = "import os, sysconfig; print(os.path.join(sysconfig.get_paths()['include'], 'Python.h'))";
    output(Command::new("python3").args(["-c", find_header]))
        .is_some_and(|path| fs::exists(path.trim()).unwrap_or(false))
}
