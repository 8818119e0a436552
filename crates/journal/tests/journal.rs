//! What must hold of a journal: what was reported durable is there again, in order, or its loss is told; a write that
//! was never reported may be torn.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, channel},
};

use bytes::Bytes;
use journal::{Damage, Durability, Journal, JournalError, Opened, Options, Ticket};
use stdx::Rng;

fn strict() -> Options {
    Options { durability: Durability::Disk, boot: "this".into(), strict: true }
}

fn lenient() -> Options {
    Options { strict: false, ..strict() }
}

fn open_as(path: &Path, options: &Options) -> (Opened, Receiver<u64>) {
    let (sender, tickets) = channel();
    let on_durable = Box::new(move |batch: &[Ticket], outcome: Result<(), &std::io::Error>| {
        outcome.unwrap();
        batch.iter().for_each(|&t| {
            let _ = sender.send(t.0);
        });
    });
    (Journal::open(path, options, on_durable).unwrap(), tickets)
}

fn open(path: &Path) -> (Opened, Receiver<u64>) {
    open_as(path, &strict())
}

fn refused(path: &Path) -> JournalError {
    Journal::open(path, &strict(), Box::new(|_, _| ())).err().expect("a refusal")
}

fn record(n: u64) -> Bytes {
    Bytes::from(format!("record {n} {}", "x".repeat((n % 97) as usize)))
}

/// A journal with records 0 to `count`, each of them written and reported by itself.
fn kept(directory: &Path, count: u64) -> PathBuf {
    let path = directory.join("journal");
    let (opened, tickets) = open(&path);
    for n in 0..count {
        opened.journal.append(Some(Ticket(n)), record(n)).unwrap();
        tickets.recv().unwrap();
    }
    path
}

/// How many bytes a record takes beside its own.
const OVERHEAD: usize = 20;
const HEADER: usize = 72;

fn begins(n: u64) -> usize {
    HEADER + (0..n).map(|n| OVERHEAD + record(n).len()).sum::<usize>()
}

#[test]
fn what_was_reported_is_there_again_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let (opened, tickets) = open(&path);
    assert!(opened.records.is_empty());
    for n in 0..1_000 {
        opened.journal.append(Some(Ticket(n)), record(n)).unwrap();
    }
    let reported: Vec<u64> = tickets.iter().take(1_000).collect();
    assert_eq!(reported, (0..1_000).collect::<Vec<_>>());
    drop(opened);

    let (again, _) = open(&path);
    assert_eq!(again.torn_bytes, 0);
    assert_eq!(again.records, (0..1_000).map(record).collect::<Vec<_>>());
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "others may read what tasks were given");
}

#[test]
fn nobody_else_can_read_what_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    fs::write(&path, former(&[record(0)])).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let (opened, tickets) = open(&path);
    let modes = || {
        let entries = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
        entries.map(|metadata| metadata.permissions().mode() & 0o777).collect::<Vec<_>>()
    };
    assert_eq!(modes(), [0o600, 0o600], "the journal and its lock");
    opened.journal.compact(vec![record(1)]).unwrap();
    opened.journal.append(Some(Ticket(2)), record(2)).unwrap();
    assert_eq!(tickets.recv(), Ok(2));
    assert_eq!(modes(), [0o600, 0o600]);
}

/// The file as it is when the machine stops while a batch of records `from` to `to` is being written.
fn while_writing(directory: &Path, from: u64, to: u64) -> Vec<u8> {
    let path = kept(directory, from);
    let before = fs::read(&path).unwrap();
    // The batch is one: its records wait in the queue while the first of it would be written.
    let batch = before.len() as u64;
    let (opened, _tickets) = open(&path);
    (from..to).for_each(|n| opened.journal.append(Some(Ticket(n)), record(n)).unwrap());
    drop(opened);
    let mut content = fs::read(&path).unwrap();
    content[..HEADER].copy_from_slice(&before[..HEADER]);
    fs::remove_file(&path).unwrap();
    assert_eq!(begins(from) as u64, batch);
    content
}

#[test]
fn a_write_torn_at_any_byte_is_cut_and_the_rest_survives() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let whole = while_writing(dir.path(), 2, 3);
    for cut in begins(2) + 1..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let (again, _) = open(&path);
        assert_eq!(again.records, [record(0), record(1)], "cut at {cut}");
        assert_eq!(again.torn_bytes, (cut - begins(2)) as u64);
        assert_eq!(again.journal.len_bytes(), begins(2) as u64);
    }
}

/// A disk writes the pages of one batch in any order: what is whole behind a page that is missing was not promised
/// either.
#[test]
fn a_batch_of_which_the_first_page_is_missing_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let (opened, _tickets) = open(&path);
    opened.journal.append(Some(Ticket(0)), record(0)).unwrap();
    drop(opened);
    let before = fs::read(&path).unwrap();
    // Records of one batch, as the writer gathers them: built by compaction, which writes one batch, too.
    let (opened, _tickets) = open(&path);
    opened.journal.compact((0..50).map(record).collect()).unwrap();
    drop(opened);
    let mut content = fs::read(&path).unwrap();
    content[..HEADER].copy_from_slice(&before[..HEADER]);
    content[begins(3)..begins(9)].fill(0);
    fs::write(&path, &content).unwrap();
    let (again, _) = open(&path);
    assert_eq!(again.records, [record(0), record(1), record(2)]);
    assert!(again.torn_bytes > 0 && again.damage.is_empty());
}

#[test]
fn damage_before_whole_records_is_refused_by_name_or_passed_over_aloud() {
    let dir = tempfile::tempdir().unwrap();
    let path = kept(dir.path(), 3);
    let mut bytes = fs::read(&path).unwrap();
    bytes[begins(1) + OVERHEAD] ^= 1;
    fs::write(&path, &bytes).unwrap();
    // Also if the mark is that of a time before: later records say that this one was promised.
    let error = refused(&path).to_string();
    let expected = format!("{} bytes at offset {} cannot be read; 2 records", begins(2) - begins(1), begins(1));
    assert!(error.contains(&path.display().to_string()) && error.contains(&expected), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes, "a refusal changes nothing");

    let (again, tickets) = open_as(&path, &lenient());
    assert_eq!(again.records, [record(0), record(2)]);
    assert_eq!(again.damage.len(), 1);
    again.journal.append(Some(Ticket(7)), record(7)).unwrap();
    tickets.recv().unwrap();
    drop(again);
    assert_eq!(open(&path).0.records, [record(0), record(2), record(7)]);
    assert_eq!(fs::read(path.with_extension("damaged")).unwrap(), bytes);
}

#[test]
fn an_end_that_is_lost_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = kept(dir.path(), 5);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..begins(4)]).unwrap();
    let error = refused(&path).to_string();
    assert!(error.contains(&format!("it ends at offset {}, {} bytes before", begins(4), whole.len() - begins(4))));
    let (again, _) = open_as(&path, &lenient());
    assert_eq!(again.records, (0..4).map(record).collect::<Vec<_>>());
    assert_eq!(again.damage, [Damage::Missing { at: begins(4) as u64, bytes: (whole.len() - begins(4)) as u64 }]);
}

#[test]
fn an_empty_file_is_no_new_journal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    fs::write(&path, "").unwrap();
    assert!(refused(&path).to_string().contains("empty"));
    assert_eq!(open_as(&path, &lenient()).0.damage, [Damage::Empty]);
}

/// What one fault of a disk does is refused by the file's name, or does no harm.
fn is_told_or_harmless(path: &Path, damaged: &[u8], whole: &[Bytes], what: &str) {
    fs::write(path, damaged).unwrap();
    match Journal::open(path, &strict(), Box::new(|_, _| ())) {
        Ok(opened) => {
            assert_eq!(opened.records, whole, "{what}: silently less");
        }
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains(&path.display().to_string()), "{what}: {error}");
            fs::write(path, damaged).unwrap();
            // Without strictness what is read was written, in that order, and the loss is known.
            match Journal::open(path, &lenient(), Box::new(|_, _| ())) {
                Ok(opened) => {
                    assert!(!opened.damage.is_empty(), "{what}");
                    let mut rest = whole.iter();
                    let all_real = opened.records.iter().all(|record| rest.any(|real| real == record));
                    assert!(all_real, "{what}: what was never written");
                }
                Err(error) => {
                    assert!(!matches!(error, JournalError::Damaged { .. }), "{what}: {error}");
                }
            }
        }
    }
}

#[test]
fn any_bit_that_flips_and_any_cut_is_told_or_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let path = kept(dir.path(), 40);
    // A record whose payload looks like the file itself.
    let (opened, _tickets) = open(&path);
    opened.journal.append(Some(Ticket(40)), Bytes::from(fs::read(&path).unwrap())).unwrap();
    drop(opened);
    let whole = open(&path).0.records;
    let content = fs::read(&path).unwrap();
    let mut rng = Rng::new(14);
    for _ in 0..200 {
        let (at, bit) = (rng.below(content.len() as u64) as usize, rng.below(8));
        let mut damaged = content.clone();
        damaged[at] ^= 1 << bit;
        is_told_or_harmless(&path, &damaged, &whole, &format!("bit {bit} of byte {at}"));
    }
    for _ in 0..200 {
        let length = rng.below(content.len() as u64) as usize;
        is_told_or_harmless(&path, &content[..length], &whole, &format!("cut at {length}"));
    }
    // And every byte of the header.
    for at in 0..HEADER {
        let mut damaged = content.clone();
        damaged[at] ^= 1;
        is_told_or_harmless(&path, &damaged, &whole, &format!("byte {at}"));
    }
}

/// What is only with the kernel lasts as long as the machine runs: after a power cut its loss is no damage.
#[test]
fn what_the_kernel_kept_lasts_for_its_boot() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let in_kernel = Options { durability: Durability::Kernel, ..strict() };
    let (opened, tickets) = open_as(&path, &in_kernel);
    for n in 0..3 {
        opened.journal.append(Some(Ticket(n)), record(n)).unwrap();
        tickets.recv().unwrap();
    }
    drop(opened);
    let mut content = fs::read(&path).unwrap();
    content[begins(1)..begins(2)].fill(0);
    fs::write(&path, &content).unwrap();
    assert!(matches!(refused(&path), JournalError::Damaged { .. }), "the machine still runs");
    let (again, _) = open_as(&path, &Options { boot: "next".into(), ..in_kernel });
    assert_eq!(again.records, [record(0)]);
    assert!(again.torn_bytes > 0);
}

/// A journal as versions before wrote it.
fn former(records: &[Bytes]) -> Vec<u8> {
    let mut content = b"MESETAJ\x01".to_vec();
    for record in records {
        content.extend_from_slice(&(record.len() as u32).to_le_bytes());
        content.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
        content.extend_from_slice(record);
    }
    content
}

#[test]
fn the_former_format_is_read_and_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let records: Vec<Bytes> = (0..5).map(record).collect();
    let content = former(&records);
    fs::write(&path, &content).unwrap();
    let (opened, tickets) = open(&path);
    assert_eq!(opened.records, records);
    opened.journal.append(Some(Ticket(5)), record(5)).unwrap();
    tickets.recv().unwrap();
    drop(opened);
    assert_eq!(open(&path).0.records, (0..6).map(record).collect::<Vec<_>>());

    // Its end may be torn: by bytes that are missing, or by zeros.
    for tail in [&content[..content.len() - 3], &[&content[..], &[0; 64]].concat()] {
        fs::write(&path, tail).unwrap();
        let (opened, _) = open(&path);
        assert!(opened.torn_bytes > 0);
        assert!(records.starts_with(&opened.records) && opened.records.len() >= 4);
    }
    // Damage before whole records is damage.
    let mut rng = Rng::new(15);
    for _ in 0..200 {
        let at = 8 + rng.below((content.len() - 8 - record(4).len() - 8) as u64) as usize;
        let mut damaged = content.clone();
        damaged[at] ^= 1 << rng.below(8);
        is_told_or_harmless(&path, &damaged, &records, &format!("byte {at}"));
    }
}

#[test]
fn compaction_replaces_what_came_before_and_keeps_what_comes_after() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let (opened, _tickets) = open(&path);
    (0..500).for_each(|n| opened.journal.append(Some(Ticket(n)), record(n)).unwrap());
    opened.journal.compact(vec![Bytes::from_static(b"sum")]).unwrap();
    opened.journal.append(Some(Ticket(500)), record(500)).unwrap();
    drop(opened);
    assert_eq!(open(&path).0.records, [Bytes::from_static(b"sum"), record(500)]);
}

#[test]
fn a_second_process_a_foreign_file_and_a_newer_format_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let opened = open(&path);
    assert!(matches!(refused(&path), JournalError::InUse { .. }));
    drop(opened);

    for (content, expected) in [(&b"#!/bin/sh\n"[..], "is not a journal"), (b"MESETAJ\x09", "has format 9")] {
        fs::File::create(&path).unwrap().write_all(content).unwrap();
        let error = refused(&path).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// On a disk of its own, which only root can mount.
#[test]
fn tasks_that_fill_the_disk_leave_the_journal_its_reserve() {
    if !kernel::credentials::is_root() {
        testkit::skip("needs root, to mount a small disk");
        return;
    }
    const NAMESPACE_OF_MOUNTS: i32 = 0x2_0000;
    let test = || {
        kernel::mounts::leave(NAMESPACE_OF_MOUNTS).unwrap();
        kernel::mounts::follow_host_only().unwrap();
        kernel::mounts::mount_shm(c"size=16m").unwrap();
        let (opened, tickets) = open(Path::new("/dev/shm/journal"));
        let append = |count: u64| {
            (0..count).for_each(|n| opened.journal.append(Some(Ticket(n)), Bytes::from(vec![7; 10_000])).unwrap());
            assert_eq!(tickets.iter().take(count as usize).count() as u64, count);
        };
        append(1);
        assert!(!opened.journal.is_short_of_space());

        let mut garbage = fs::File::create("/dev/shm/garbage").unwrap();
        let full = (0..).find_map(|_| garbage.write_all(&[1; 4096]).err()).unwrap();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        append(300);
        assert!(opened.journal.is_short_of_space());

        fs::remove_file("/dev/shm/garbage").unwrap();
        drop(garbage);
        append(1);
        assert!(!opened.journal.is_short_of_space());
    };
    std::thread::spawn(test).join().unwrap();
}
