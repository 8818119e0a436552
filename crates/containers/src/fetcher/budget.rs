//! What one container's fetch may still bring, and whether it is still wanted: everything that writes into a sandbox
//! asks here.

use std::{
    cell::Cell,
    io::{self, Read, Write},
};

/// Against archives of endlessly many empty files.
const FILES_MAX: u64 = 1 << 20;
/// Many may fetch at once.
const PIECE_BYTES: usize = 64 << 10;

/// How many bytes may be brought, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    pub bytes: u64,
    /// "that --fetcher_max_size allows"
    pub why: &'static str,
}

pub struct Budget<'a> {
    most: Bound,
    bytes_left: Cell<u64>,
    files_left: Cell<u64>,
    cancelled: &'a dyn Fn() -> bool,
}

impl<'a> Budget<'a> {
    pub fn new(most: Bound, cancelled: &'a dyn Fn() -> bool) -> Budget<'a> {
        Budget { bytes_left: Cell::new(most.bytes), most, files_left: Cell::new(FILES_MAX), cancelled }
    }

    pub fn bytes_max(&self) -> u64 {
        self.most.bytes
    }

    /// What is said of something that is too large.
    pub fn too_large(&self, what: &str) -> String {
        format!("{what} larger than the {} bytes {}", self.most.bytes, self.most.why)
    }

    pub fn check_wanted(&self) -> Result<(), String> {
        if (self.cancelled)() { Err("the container was destroyed".to_owned()) } else { Ok(()) }
    }

    pub fn take_file(&self) -> Result<(), String> {
        let left = self.files_left.get().checked_sub(1);
        self.files_left.set(left.ok_or_else(|| format!("it holds more than {FILES_MAX} files"))?);
        self.check_wanted()
    }

    fn take_bytes(&self, count: usize) -> Result<(), String> {
        let left = self.bytes_left.get().checked_sub(count as u64);
        self.bytes_left.set(left.ok_or_else(|| self.too_large("what is fetched is"))?);
        self.check_wanted()
    }

    /// Writes all of `from` into `to`; `explain` says what an error of `from` means.
    pub fn copy(
        &self,
        from: &mut dyn Read,
        to: &mut dyn Write,
        explain: &dyn Fn(&io::Error) -> String,
    ) -> Result<(), String> {
        pour(from, explain, &mut |piece| {
            self.take_bytes(piece.len())?;
            to.write_all(piece).map_err(|error| format!("cannot write it: {error}"))
        })
    }
}

/// Hands all of `from` to `take`, piece by piece.
pub fn pour(
    from: &mut dyn Read,
    explain: &dyn Fn(&io::Error) -> String,
    take: &mut dyn FnMut(&[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => take(buffer.get(..count).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(explain(&error)),
        }
    }
}
