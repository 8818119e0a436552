//! A real text that every Debian machine has: licences, documentation, and if that is not enough, whatever else is
//! text. Collected in an order that only the files decide; counted directly, to compare with.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;

/// How often each word occurs.
pub type Counts = BTreeMap<String, u64>;

const BYTES_MIN: usize = 4 << 20;
const BYTES_MAX: usize = 6 << 20;
const FILE_BYTES_MAX: u64 = 1 << 20;
/// From the most to the least like prose; of the second only files of that name.
const ROOTS: [(&str, Option<&str>); 8] = [
    ("/usr/share/common-licenses", None),
    ("/usr/share/doc", Some("copyright")),
    ("/usr/share/perl", None),
    ("/usr/share/perl5", None),
    ("/usr/share/doc", None),
    ("/usr/share", None),
    ("/usr/lib", None),
    ("/etc", None),
];

pub struct Text {
    bytes: Vec<u8>,
    pub files: usize,
}

impl Text {
    pub fn collect() -> Result<Text, String> {
        let mut text = Text { bytes: Vec::with_capacity(BYTES_MAX), files: 0 };
        for (root, only) in ROOTS {
            text.add_tree(Path::new(root), only, 0);
            if text.bytes.len() >= BYTES_MIN {
                return Ok(text);
            }
        }
        let (found, least) = (text.bytes.len() >> 10, BYTES_MIN >> 10);
        Err(format!("only {found} KiB of text below /usr and /etc; the demonstration wants {least}"))
    }

    pub fn megabytes(&self) -> f64 {
        self.bytes.len() as f64 / 1e6
    }

    /// The count that the cluster's must equal: runs of ASCII letters, in lower case.
    pub fn count(&self) -> Counts {
        let mut counts = Counts::new();
        for word in self.bytes.split(|byte| !byte.is_ascii_alphabetic()).filter(|word| !word.is_empty()) {
            let word = String::from_utf8_lossy(word).to_ascii_lowercase();
            *counts.entry(word).or_default() += 1;
        }
        counts
    }

    /// Writes the text into about `number` files, cut where lines end.
    pub fn write_chunks(&self, directory: &Path, number: usize) -> Result<Vec<PathBuf>, String> {
        let wrong = |error| format!("cannot write the text below {}: {error}", directory.display());
        fs::create_dir_all(directory).map_err(wrong)?;
        let mut paths = Vec::new();
        for (i, chunk) in chunks(&self.bytes, number).into_iter().enumerate() {
            let path = directory.join(format!("chunk-{i:03}"));
            fs::write(&path, chunk).map_err(wrong)?;
            paths.push(path);
        }
        Ok(paths)
    }

    /// Links are passed over, so that nothing is read twice and nothing leads in circles.
    fn add_tree(&mut self, path: &Path, only: Option<&str>, depth: usize) {
        const DEPTH_MAX: usize = 12;
        if self.bytes.len() >= BYTES_MAX || depth > DEPTH_MAX {
            return;
        }
        let Ok(about) = path.symlink_metadata() else { return };
        let wanted = only.is_none_or(|name| path.file_name().is_some_and(|own| own == name));
        if about.is_file() && wanted && about.len() <= FILE_BYTES_MAX {
            self.add_file(path);
        } else if about.is_dir() {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            let mut entries: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
            entries.sort();
            entries.iter().for_each(|entry| self.add_tree(entry, only, depth + 1));
        }
    }

    fn add_file(&mut self, path: &Path) {
        let Ok(file) = File::open(path) else { return };
        let mut content = Vec::new();
        let packed = path.extension().is_some_and(|extension| extension == "gz");
        let read = match packed {
            true => MultiGzDecoder::new(file).take(FILE_BYTES_MAX).read_to_end(&mut content),
            false => file.take(FILE_BYTES_MAX).read_to_end(&mut content),
        };
        if read.is_err() || !is_text(&content) {
            return;
        }
        content.truncate(BYTES_MAX.saturating_sub(self.bytes.len()));
        self.bytes.extend_from_slice(&content);
        // The last word of a file does not grow together with the first of the next.
        self.bytes.push(b'\n');
        self.files += 1;
    }
}

fn is_text(content: &[u8]) -> bool {
    !content.is_empty() && !content.contains(&0) && std::str::from_utf8(content).is_ok()
}

fn chunks(text: &[u8], number: usize) -> Vec<&[u8]> {
    let size = text.len().div_ceil(number.max(1)).max(1);
    let mut chunks = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let least = size.min(rest.len());
        let line_end = rest.iter().skip(least - 1).position(|byte| *byte == b'\n');
        let (chunk, next) = rest.split_at(line_end.map_or(rest.len(), |more| least + more));
        chunks.push(chunk);
        rest = next;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn chunks_together_are_the_text_and_end_where_lines_end(text in "[ab \n]{0,200}", number in 1usize..20) {
            let chunks = chunks(text.as_bytes(), number);
            prop_assert_eq!(chunks.concat(), text.as_bytes());
            prop_assert!(chunks.len() <= number);
            for chunk in chunks.iter().rev().skip(1) {
                prop_assert_eq!(chunk.last(), Some(&b'\n'));
            }
        }
    }

    #[test]
    fn words_are_letters_in_lower_case() {
        let text = Text { bytes: b"The the THE, cat's\n42 caf\xc3\xa9".to_vec(), files: 1 };
        let counts: Vec<(String, u64)> = text.count().into_iter().collect();
        let expected = [("caf", 1), ("cat", 1), ("s", 1), ("the", 3)];
        assert_eq!(counts, expected.map(|(word, count)| (word.to_owned(), count)));
    }
}
