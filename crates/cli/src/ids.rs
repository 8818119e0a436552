//! Short ids. Masters make ids of agents and frameworks from a UUID of their own and a counter, `8b2c…-S3` or
//! `8b2c…-0007`; what stands behind the UUID tells them apart on any cluster that had one master. Pure.

use std::collections::{BTreeMap, BTreeSet};

const UUID: usize = 36;
/// Of the UUID, where the counter alone is not enough.
const HEAD: usize = 8;
/// Shorter beginnings of other ids are not worth it.
const LEAST: usize = 24;

/// The UUID and what stands behind it.
fn parts(id: &str) -> Option<(&str, &str)> {
    let (uuid, rest) = id.split_at_checked(UUID)?;
    let tail = rest.strip_prefix('-').filter(|tail| !tail.is_empty())?;
    let dashes = [8, 13, 18, 23];
    let fits = |(at, c): (usize, char)| if dashes.contains(&at) { c == '-' } else { c.is_ascii_hexdigit() };
    uuid.char_indices().all(fits).then_some((uuid, tail))
}

fn head(uuid: &str) -> &str {
    uuid.get(..HEAD).unwrap_or(uuid)
}

/// Whether a person may mean `id` by `text`: a beginning of it, what stands behind its UUID, or both shortened.
pub fn is_meant(id: &str, text: &str) -> bool {
    if text.is_empty() {
        return false;
    }
    if id.starts_with(text) {
        return true;
    }
    let Some((uuid, tail)) = parts(id) else { return false };
    let shortened =
        text.rsplit_once('-').is_some_and(|(head, end)| !head.is_empty() && uuid.starts_with(head) && end == tail);
    tail == text || shortened
}

/// Short forms of ids, each of which means only its own.
#[derive(Debug, Default)]
pub struct Short(BTreeMap<String, String>);

impl Short {
    pub fn of<'a>(ids: impl IntoIterator<Item = &'a str>) -> Short {
        let ids: BTreeSet<&str> = ids.into_iter().collect();
        let (mut tails, mut heads) = (BTreeMap::<&str, usize>::new(), BTreeMap::<(&str, &str), usize>::new());
        for (uuid, tail) in ids.iter().filter_map(|id| parts(id)) {
            *tails.entry(tail).or_default() += 1;
            *heads.entry((head(uuid), tail)).or_default() += 1;
        }
        let begins_one = |text: &str| ids.range(text..).next().is_some_and(|id| id.starts_with(text));
        let short = |id: &str| {
            let (uuid, tail) = parts(id).filter(|(_, tail)| !tail.contains('-'))?;
            if tails.get(tail) == Some(&1) && !begins_one(tail) {
                return Some(tail.to_owned());
            }
            let text = format!("{}-{tail}", head(uuid));
            (heads.get(&(head(uuid), tail)) == Some(&1) && !begins_one(&text)).then_some(text)
        };
        Short(ids.iter().filter_map(|id| Some(((*id).to_owned(), short(id)?))).collect())
    }

    /// Of task ids, which frameworks make as they like: the shortest beginning that only it has.
    pub fn of_tasks<'a>(ids: impl IntoIterator<Item = &'a str>) -> Short {
        let ids: BTreeSet<&str> = ids.into_iter().collect();
        let sorted: Vec<&str> = ids.into_iter().collect();
        let shared = |a: &str, b: &str| a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
        let short = |(at, id): (usize, &&str)| {
            let before = at.checked_sub(1).and_then(|at| sorted.get(at)).map_or(0, |other| shared(other, id));
            let after = sorted.get(at + 1).map_or(0, |other| shared(other, id));
            let length = (before.max(after) + 1).max(LEAST);
            ((*id).to_owned(), id.chars().take(length).collect())
        };
        Short(sorted.iter().enumerate().map(short).collect())
    }

    pub fn get<'a>(&'a self, id: &'a str) -> &'a str {
        self.0.get(id).map_or(id, String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: &str = "8b2c0000-1111-2222-3333-444455556666";
    const OTHER: &str = "9fff0000-1111-2222-3333-444455556666";

    #[test]
    fn what_stands_behind_the_uuid_is_enough_where_there_is_one_master() {
        let ids = [format!("{ONE}-S0"), format!("{ONE}-S1"), format!("{OTHER}-S1"), "own".to_owned()];
        let short = Short::of(ids.iter().map(String::as_str));
        let shown: Vec<&str> = ids.iter().map(|id| short.get(id)).collect();
        assert_eq!(shown, ["S0", "8b2c0000-S1", "9fff0000-S1", "own"]);
        assert!(is_meant(&ids[0], "S0") && is_meant(&ids[0], "8b2c") && is_meant(&ids[1], "8b-S1"));
        assert!(!is_meant(&ids[0], "S") && !is_meant(&ids[0], "9f-S0") && !is_meant(&ids[0], ""));
    }

    #[test]
    fn long_task_ids_are_cut_where_they_differ() {
        let ids = ["short", "a-service-with-a-very-long-name-1-x", "a-service-with-a-very-long-name-2-x"];
        let short = Short::of_tasks(ids);
        assert_eq!(
            ids.map(|id| short.get(id)),
            ["short", "a-service-with-a-very-long-name-1", "a-service-with-a-very-long-name-2"]
        );
    }

    proptest! {
        #[test]
        fn a_short_id_means_its_own_and_no_other(tails in proptest::collection::btree_set("[0-9S]{1,3}", 1..8), two in any::<bool>()) {
            let mut ids: Vec<String> = tails.iter().map(|tail| format!("{ONE}-{tail}")).collect();
            if two {
                ids.extend(tails.iter().map(|tail| format!("{OTHER}-{tail}")));
            }
            let short = Short::of(ids.iter().map(String::as_str));
            for id in &ids {
                let text = short.get(id);
                let meant: Vec<&String> = ids.iter().filter(|id| *id == text || is_meant(id, text)).collect();
                prop_assert!(meant == [id] || text == id, "{} means {:?}", text, meant);
            }
        }

        #[test]
        fn a_cut_task_id_is_the_beginning_of_one_only(ids in proptest::collection::btree_set("[ab]{20,30}", 1..8)) {
            let short = Short::of_tasks(ids.iter().map(String::as_str));
            for id in &ids {
                let text = short.get(id);
                prop_assert!(text == id || ids.iter().filter(|other| other.starts_with(text)).count() == 1);
            }
        }
    }
}
