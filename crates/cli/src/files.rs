//! Files that people name on the command line, read with a bound: a device, a pipe or the wrong file gives an error,
//! not a machine without memory.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use crate::output::bytes;

/// What people write by hand: pods, groups, credentials, settings.
pub const WRITTEN_MAX: u64 = 1 << 20;
/// What programs write: recorded clusters, traces, registries.
pub const RECORDED_MAX: u64 = 2 << 30;

/// The bytes of a file; `-` is standard input.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let mut content = Vec::new();
    let outcome = match path.as_os_str() == "-" {
        true => io::stdin().lock().take(most + 1).read_to_end(&mut content),
        false => File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut content)),
    };
    outcome.map_err(|error| format!("cannot read {shown}: {error}"))?;
    match content.len() as u64 > most {
        true => Err(format!("{shown} holds more than {}, which is too much here; is it the right file?", bytes(most))),
        false => Ok(content),
    }
}

pub fn read_text(path: &Path, most: u64) -> Result<String, String> {
    String::from_utf8(read(path, most)?).map_err(|_| format!("{} is not text in UTF-8", path.display()))
}

pub fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_ends_is_refused() {
        let why = read_text(Path::new("/dev/zero"), WRITTEN_MAX).expect_err("endless");
        assert!(why.contains("/dev/zero holds more than 1 MiB"), "{why}");
        assert!(read(Path::new("/nowhere"), 1).expect_err("missing").contains("cannot read /nowhere"));
        assert_eq!(read(Path::new("/dev/null"), 0), Ok(Vec::new()));
    }
}
