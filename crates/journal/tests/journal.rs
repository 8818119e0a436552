//! What must hold of a journal: what was reported durable is there again, in order, and a torn tail is not.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::mpsc::{Receiver, channel},
};

use bytes::Bytes;
use journal::{Durability, Journal, JournalError, Opened, Ticket};

fn open(path: &Path) -> (Opened, Receiver<Ticket>) {
    let (sender, tickets) = channel();
    let on_durable = Box::new(move |batch: &[Ticket], outcome: Result<(), &std::io::Error>| {
        outcome.unwrap();
        batch.iter().for_each(|&t| sender.send(t).unwrap());
    });
    (Journal::open(path, Durability::Disk, on_durable).unwrap(), tickets)
}

fn record(n: u64) -> Bytes {
    Bytes::from(format!("record {n} {}", "x".repeat((n % 97) as usize)))
}

#[test]
fn what_was_reported_is_there_again_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let (opened, tickets) = open(&path);
    assert!(opened.records.is_empty());
    for n in 0..1_000 {
        opened.journal.append(n, record(n)).unwrap();
    }
    let reported: Vec<Ticket> = tickets.iter().take(1_000).collect();
    assert_eq!(reported, (0..1_000).collect::<Vec<_>>());
    drop(opened);

    let (again, _) = open(&path);
    assert_eq!(again.torn_bytes, 0);
    assert_eq!(again.records, (0..1_000).map(record).collect::<Vec<_>>());
}

#[test]
fn nobody_else_can_read_what_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let (opened, tickets) = open(&path);
    let modes = || {
        let entries = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
        entries.map(|metadata| metadata.permissions().mode() & 0o777).collect::<Vec<_>>()
    };
    assert_eq!(modes(), [0o600, 0o600], "the journal and its lock");
    opened.journal.compact(vec![record(1)]).unwrap();
    opened.journal.append(2, record(2)).unwrap();
    assert_eq!(tickets.recv(), Ok(2));
    assert_eq!(modes(), [0o600, 0o600]);
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_the_rest_survives() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let (opened, _tickets) = open(&path);
    (0..3).for_each(|n| opened.journal.append(n, record(n)).unwrap());
    drop(opened);
    let whole = fs::read(&path).unwrap();
    let last_record_starts = whole.len() - 8 - record(2).len();

    for cut in last_record_starts + 1..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let (again, _) = open(&path);
        assert_eq!(again.records, [record(0), record(1)], "cut at {cut}");
        assert_eq!(again.torn_bytes, (cut - last_record_starts) as u64);
        assert_eq!(again.journal.len_bytes(), last_record_starts as u64);
    }
}

#[test]
fn a_flipped_bit_ends_the_records_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let (opened, _tickets) = open(&path);
    (0..3).for_each(|n| opened.journal.append(n, record(n)).unwrap());
    drop(opened);
    let mut bytes = fs::read(&path).unwrap();
    let second_payload = 8 + 8 + record(0).len() + 8;
    bytes[second_payload] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(open(&path).0.records, [record(0)]);
}

#[test]
fn compaction_replaces_what_came_before_and_keeps_what_comes_after() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let (opened, _tickets) = open(&path);
    (0..500).for_each(|n| opened.journal.append(n, record(n)).unwrap());
    opened.journal.compact(vec![Bytes::from_static(b"sum")]).unwrap();
    opened.journal.append(500, record(500)).unwrap();
    drop(opened);
    assert_eq!(open(&path).0.records, [Bytes::from_static(b"sum"), record(500)]);
}

#[test]
fn a_second_process_a_foreign_file_and_a_newer_format_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let opened = open(&path);
    let again = Journal::open(&path, Durability::Disk, Box::new(|_, _| ()));
    assert!(matches!(again.err(), Some(JournalError::InUse { .. })));
    drop(opened);

    for (content, expected) in [(&b"#!/bin/sh\n"[..], "is not a journal"), (b"MESETAJ\x09", "has format 9")] {
        fs::File::create(&path).unwrap().write_all(content).unwrap();
        let error = Journal::open(&path, Durability::Disk, Box::new(|_, _| ())).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// On a disk of its own, which only root can mount.
#[test]
fn tasks_that_fill_the_disk_leave_the_journal_its_reserve() {
    if !kernel::credentials::is_root() {
        println!("skipped: only root can mount a small disk");
        return;
    }
    const NAMESPACE_OF_MOUNTS: i32 = 0x2_0000;
    let test = || {
        kernel::mounts::leave(NAMESPACE_OF_MOUNTS).unwrap();
        kernel::mounts::follow_host_only().unwrap();
        kernel::mounts::mount_shm(c"size=16m").unwrap();
        let (opened, tickets) = open(Path::new("/dev/shm/journal"));
        let append = |count: u64| {
            (0..count).for_each(|n| opened.journal.append(n, Bytes::from(vec![7; 10_000])).unwrap());
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
