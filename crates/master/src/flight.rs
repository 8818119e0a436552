//! The flight recorder of a master: what it was made from, then every input, in a bounded place. `cargo xtask sim --replay`
//! steps through it.

use std::path::Path;

use master_core::{
    Input,
    recording::{self, Beginning},
};
use observe::flight::Recorder;
use stdx::units::parse_bytes;

/// Records, if it was asked to.
#[derive(Debug, Default)]
pub struct Flight(Option<Recorder>);

impl Flight {
    /// `setting` is PATH,SIZE, as in `/var/log/flight,64MB`.
    pub fn open(setting: Option<&str>, beginning: impl FnOnce() -> Beginning) -> Result<Flight, String> {
        let Some(setting) = setting else { return Ok(Flight(None)) };
        let form = || format!("--flight_recorder: '{setting}' is not PATH,SIZE as in /var/log/flight,64MB");
        let (path, size) = setting.rsplit_once(',').ok_or_else(form)?;
        let size = parse_bytes(size).map_err(|why| format!("{}: {why}", form()))?;
        let failed = |error: std::io::Error| format!("--flight_recorder: {path}: {error}");
        let mut recorder = Recorder::create(Path::new(path), size).map_err(failed)?;
        recorder.append(&beginning().encode()).map_err(failed)?;
        Ok(Flight(Some(recorder)))
    }

    /// A recorder that cannot write is given up; the master goes on.
    pub fn note(&mut self, input: &Input) {
        if let Some(recorder) = &mut self.0
            && let Some(record) = recording::encode(input)
            && let Err(error) = recorder.append(&record)
        {
            tracing::warn!(%error, "the flight recorder cannot write; it stops");
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_names_a_file_and_a_size() {
        let beginning = || Beginning { info: Default::default(), seed: 1, config: Default::default() };
        assert!(Flight::open(None, beginning).is_ok());
        for wrong in ["/tmp/x", "/tmp/x,much", "/no/such/place/x,1MB"] {
            let error = Flight::open(Some(wrong), beginning).err().unwrap_or_default();
            assert!(error.starts_with("--flight_recorder"), "{error}");
        }
    }
}
