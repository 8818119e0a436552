//! How much of what tasks print is kept. The flags are named as the parameters of Mesos's module that rotates.

use containers::Rotation;
use stdx::flags::Values;

/// For stdout and stderr; `None` keeps everything.
pub fn rotations(values: &Values) -> Result<[Option<Rotation>; 2], String> {
    match values.text("container_logger") {
        None | Some("logrotate" | "org_apache_mesos_LogrotateContainerLogger") => {}
        Some("sandbox" | "org_apache_mesos_SandboxContainerLogger") => return Ok([None, None]),
        Some(other) => return Err(format!("--container_logger: '{other}' is neither logrotate nor sandbox")),
    }
    let of = |stream: &str| {
        let flag = format!("max_{stream}_size");
        let bytes = values.bytes(&flag).unwrap_or(Rotation::STEP);
        if bytes < Rotation::STEP {
            return Err(format!("--{flag}: {bytes} bytes are too few, at least {} KB are kept", Rotation::STEP >> 10));
        }
        let flag = format!("logrotate_{stream}_options");
        let files = files(values.text(&flag).unwrap_or_default()).map_err(|why| format!("--{flag}: {why}"))?;
        Ok(Some(Rotation { bytes_max: bytes - bytes % Rotation::STEP, files }))
    };
    Ok([of("stdout")?, of("stderr")?])
}

/// How many old files `options` keeps.
fn files(options: &str) -> Result<u32, String> {
    const MOST: u32 = 1000;
    let mut words = options.split_ascii_whitespace();
    let mut files = 0;
    while let Some(word) = words.next() {
        if word != "rotate" {
            return Err(format!("'{word}' is not among what can be done here, which is: rotate COUNT"));
        }
        let count = words.next().unwrap_or_default();
        let known = count.parse().ok().filter(|count| *count <= MOST);
        files = known.ok_or_else(|| format!("'{count}' is no number up to {MOST}"))?;
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_done_is_taken() {
        assert_eq!(files("rotate 9"), Ok(9));
        assert_eq!(files(""), Ok(0));
        assert!(files("rotate 9 compress").unwrap_err().contains("'compress'"));
        assert!(files("rotate many").unwrap_err().contains("'many'"));
        assert!(files("rotate 100000").is_err());
    }
}
