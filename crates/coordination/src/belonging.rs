//! The note in a master's work directory that says which cluster it belongs to, so that a wrong URL is noticed. It is
//! one line, the cluster's id and a CRC-32 of it; notes of former versions are the id alone.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

#[derive(Debug, thiserror::Error)]
pub enum NoteError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "{path}, which says to which cluster this master belongs, is damaged; if the URL is that of its cluster, remove \
         the file: it is written anew"
    )]
    Damaged { path: PathBuf },
}

/// The id that is noted, if one is.
pub fn read(path: &Path) -> Result<Option<String>, NoteError> {
    let damaged = || NoteError::Damaged { path: path.to_owned() };
    match fs::read(path) {
        Ok(bytes) => {
            let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
            find_id(text).map(|id| Some(id.to_owned())).ok_or_else(damaged)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(NoteError::Read { path: path.to_owned(), source }),
    }
}

/// Notes `id` for good, unless it is noted so already; a note without a sum gets one. Whatever goes wrong, there is a
/// whole note or none.
pub fn write(path: &Path, id: &str) -> io::Result<()> {
    let text = text(id);
    if fs::read(path).is_ok_and(|known| known == text.as_bytes()) {
        return Ok(());
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let new_path = path.with_extension("new");
    let mut new = File::create(&new_path)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    fs::rename(&new_path, path)?;
    File::open(directory)?.sync_all()
}

fn text(id: &str) -> String {
    format!("{id} {:08x}\n", crc32fast::hash(id.as_bytes()))
}

fn find_id(note: &str) -> Option<&str> {
    if let Some((id, _)) = note.rsplit_once(' ') {
        return (text(id) == note).then_some(id);
    }
    let id = note.strip_suffix('\n')?;
    is_uuid(id).then_some(id)
}

/// As every id was that a former version noted.
fn is_uuid(id: &str) -> bool {
    let groups = id.split('-').map(|group| (group.len(), group.bytes().all(|byte| byte.is_ascii_hexdigit())));
    groups.eq([8, 4, 4, 4, 12].map(|length| (length, true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";

    #[test]
    fn any_bit_of_a_note_that_flips_and_any_cut_is_told() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("here").join("cluster");
        assert_eq!(read(&path).unwrap(), None);
        write(&path, ID).unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some(ID));
        let whole = fs::read(&path).unwrap();
        let refused = |damaged: &[u8], what: &str| {
            fs::write(&path, damaged).unwrap();
            let why = read(&path).unwrap_err().to_string();
            assert!(why.contains("cluster, which says") && why.contains("remove the file"), "{what}: {why}");
        };
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            refused(&damaged, &format!("bit {bit}"));
        }
        for length in 0..whole.len() {
            refused(&whole[..length], &format!("cut at {length}"));
        }
    }

    #[test]
    fn a_note_of_a_former_version_is_read_and_given_a_sum() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("cluster");
        fs::write(&path, format!("{ID}\n")).unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some(ID));
        write(&path, ID).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text(ID));
        for damaged in [format!("{}\n", &ID[1..]), ID.replace('a', "q") + "\n", String::new()] {
            fs::write(&path, damaged).unwrap();
            assert!(matches!(read(&path), Err(NoteError::Damaged { .. })));
        }
    }
}
