//! What a resource holds: a scalar, ranges of integers, or a set of words. Both collections are kept sorted and are
//! cheap to clone.

use crate::quantity::Quantity;
use std::{cmp::Ordering, fmt, sync::Arc};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Scalar(Quantity),
    Ranges(Ranges),
    Set(Set),
}

impl Value {
    /// Scalars, ranges and sets never mix; this tells them apart.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Value::Scalar(_) => 0,
            Value::Ranges(_) => 1,
            Value::Set(_) => 2,
        }
    }

    pub fn is_empty(&self) -> bool {
        match self {
            Value::Scalar(scalar) => !scalar.is_positive(),
            Value::Ranges(ranges) => ranges.is_empty(),
            Value::Set(set) => set.is_empty(),
        }
    }

    /// How much there is: the scalar, or how many members the ranges or the set have.
    pub fn quantity(&self) -> Quantity {
        match self {
            Value::Scalar(scalar) => *scalar,
            Value::Ranges(ranges) => Quantity::from_units(i64::try_from(ranges.count()).unwrap_or(i64::MAX)),
            Value::Set(set) => Quantity::from_units(set.len() as i64),
        }
    }

    pub(crate) fn contains(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Scalar(a), Value::Scalar(b)) => b <= a,
            (Value::Ranges(a), Value::Ranges(b)) => a.contains(b),
            (Value::Set(a), Value::Set(b)) => a.contains(b),
            _ => false,
        }
    }

    pub(crate) fn add(&mut self, other: &Value) {
        match (self, other) {
            (Value::Scalar(a), Value::Scalar(b)) => *a += *b,
            (Value::Ranges(a), Value::Ranges(b)) => *a = a.union(b),
            (Value::Set(a), Value::Set(b)) => *a = a.union(b),
            _ => {}
        }
    }

    /// Takes away what is there of `other`; a scalar never falls below zero.
    pub(crate) fn subtract(&mut self, other: &Value) {
        match (self, other) {
            (Value::Scalar(a), Value::Scalar(b)) => *a = a.minus(*b),
            (Value::Ranges(a), Value::Ranges(b)) => *a = a.difference(b),
            (Value::Set(a), Value::Set(b)) => *a = a.difference(b),
            _ => {}
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Scalar(scalar) => scalar.fmt(f),
            Value::Ranges(ranges) => ranges.fmt(f),
            Value::Set(set) => set.fmt(f),
        }
    }
}

/// Both ends belong to the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    pub begin: u64,
    pub end: u64,
}

/// Sorted ranges that neither overlap nor touch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ranges(Arc<[Range]>);

impl Ranges {
    /// Sorts and joins the ranges; inverted ones are dropped.
    pub fn new(ranges: impl IntoIterator<Item = (u64, u64)>) -> Ranges {
        let mut ranges: Vec<Range> =
            ranges.into_iter().filter(|(begin, end)| begin <= end).map(|(begin, end)| Range { begin, end }).collect();
        ranges.sort_unstable();
        Ranges::join(ranges)
    }

    fn join(sorted: Vec<Range>) -> Ranges {
        let mut joined: Vec<Range> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match joined.last_mut() {
                Some(last) if range.begin <= last.end.saturating_add(1) => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        Ranges(joined.into())
    }

    pub fn as_slice(&self) -> &[Range] {
        &self.0
    }

    pub fn iter(&self) -> impl Iterator<Item = Range> + '_ {
        self.0.iter().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many integers are in it.
    pub fn count(&self) -> u64 {
        self.0.iter().fold(0, |sum: u64, range| sum.saturating_add((range.end - range.begin).saturating_add(1)))
    }

    pub fn contains(&self, other: &Ranges) -> bool {
        let mut mine = self.0.iter();
        let mut current = mine.next();
        other.0.iter().all(|range| {
            while current.is_some_and(|c| c.end < range.begin) {
                current = mine.next();
            }
            current.is_some_and(|c| c.begin <= range.begin && range.end <= c.end)
        })
    }

    pub fn contains_value(&self, value: u64) -> bool {
        let after = self.0.partition_point(|range| range.begin <= value);
        after.checked_sub(1).and_then(|i| self.0.get(i)).is_some_and(|range| value <= range.end)
    }

    pub fn union(&self, other: &Ranges) -> Ranges {
        if other.is_empty() {
            return self.clone();
        }
        let mut all = Vec::with_capacity(self.0.len() + other.0.len());
        let (mut a, mut b) = (self.iter().peekable(), other.iter().peekable());
        loop {
            let from = match (a.peek(), b.peek()) {
                (Some(x), Some(y)) if x <= y => &mut a as &mut dyn Iterator<Item = Range>,
                (Some(_), None) => &mut a,
                (_, Some(_)) => &mut b,
                (None, None) => break,
            };
            all.extend(from.next());
        }
        Ranges::join(all)
    }

    pub fn difference(&self, other: &Ranges) -> Ranges {
        let mut left = Vec::with_capacity(self.0.len() + 1);
        let mut others = other.0.iter().copied().peekable();
        for mut range in self.iter() {
            let mut alive = true;
            while let Some(&cut) = others.peek() {
                if cut.end < range.begin {
                    others.next();
                } else if cut.begin > range.end {
                    break;
                } else {
                    if cut.begin > range.begin {
                        left.push(Range { begin: range.begin, end: cut.begin - 1 });
                    }
                    if cut.end >= range.end {
                        alive = false;
                        break;
                    }
                    range.begin = cut.end + 1;
                    others.next();
                }
            }
            if alive {
                left.push(range);
            }
        }
        Ranges(left.into())
    }

    /// The first `count` integers, for whoever hands out single ports.
    pub fn take(&self, count: u64) -> Ranges {
        let mut left = count;
        let mut taken = Vec::new();
        for range in self.iter() {
            if left == 0 {
                break;
            }
            let end = range.end.min(range.begin.saturating_add(left - 1));
            left -= end - range.begin + 1;
            taken.push(Range { begin: range.begin, end });
        }
        Ranges(taken.into())
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, range) in self.iter().enumerate() {
            write!(f, "{}{}-{}", if i > 0 { ", " } else { "" }, range.begin, range.end)?;
        }
        f.write_str("]")
    }
}

/// Words, sorted, each once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Set(Arc<[Arc<str>]>);

impl Set {
    pub fn new<S: Into<Arc<str>>>(items: impl IntoIterator<Item = S>) -> Set {
        let mut items: Vec<Arc<str>> = items.into_iter().map(Into::into).collect();
        items.sort_unstable();
        items.dedup();
        Set(items.into())
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> + '_ {
        self.0.iter().map(|item| &**item)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn has(&self, item: &str) -> bool {
        self.0.binary_search_by(|mine| (**mine).cmp(item)).is_ok()
    }

    pub fn contains(&self, other: &Set) -> bool {
        other.iter().all(|item| self.has(item))
    }

    pub fn union(&self, other: &Set) -> Set {
        Set::new(self.0.iter().chain(other.0.iter()).cloned())
    }

    pub fn difference(&self, other: &Set) -> Set {
        Set(self.0.iter().filter(|item| !other.has(item)).cloned().collect())
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, item) in self.iter().enumerate() {
            write!(f, "{}{item}", if i > 0 { ", " } else { "" })?;
        }
        f.write_str("}")
    }
}

/// Compares shared texts; the same allocation needs no look at the bytes.
pub(crate) fn cmp_text(a: &Option<Arc<str>>, b: &Option<Arc<str>>) -> Ordering {
    match (a, b) {
        (Some(x), Some(y)) if Arc::ptr_eq(x, y) => Ordering::Equal,
        _ => a.cmp(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(pairs: &[(u64, u64)]) -> Ranges {
        Ranges::new(pairs.iter().copied())
    }

    #[test]
    fn ranges_join_when_they_overlap_or_touch() {
        assert_eq!(ranges(&[(5, 9), (1, 4), (20, 30), (25, 40)]).to_string(), "[1-9, 20-40]");
        assert_eq!(ranges(&[(0, u64::MAX), (3, 4)]).count(), u64::MAX);
        assert!(ranges(&[(4, 3)]).is_empty());
    }

    #[test]
    fn ranges_subtract_inside_across_and_outside() {
        let all = ranges(&[(1, 10), (20, 30)]);
        assert_eq!(all.difference(&ranges(&[(3, 4), (10, 21), (40, 50)])).to_string(), "[1-2, 5-9, 22-30]");
        assert_eq!(all.difference(&all), ranges(&[]));
        assert!(all.contains(&ranges(&[(2, 3), (5, 10), (30, 30)])));
        assert!(!all.contains(&ranges(&[(10, 20)])));
        assert!(all.contains_value(20) && !all.contains_value(11));
        assert_eq!(all.take(12).to_string(), "[1-10, 20-21]");
    }
}
