//! Values one after the other in few bytes: numbers as base-128, texts and bytes with their length before them.

/// Writes values.
#[derive(Debug, Default)]
pub struct Pack(Vec<u8>);

impl Pack {
    pub fn number(&mut self, mut value: u64) -> &mut Pack {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Pack {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn text(&mut self, text: &str) -> &mut Pack {
        self.bytes(text.as_bytes())
    }

    pub fn maybe_text(&mut self, text: Option<&str>) -> &mut Pack {
        match text {
            None => self.number(0),
            Some(text) => self.number(1).text(text),
        }
    }

    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

/// Reads them back; `None` where they end too soon or make no sense.
#[derive(Debug)]
pub struct Unpack<'a>(&'a [u8]);

impl<'a> Unpack<'a> {
    pub fn new(bytes: &'a [u8]) -> Unpack<'a> {
        Unpack(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (first, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(first & 0x7f).checked_shl(shift)?;
            if first & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    pub fn maybe_text(&mut self) -> Option<Option<String>> {
        match self.number()? {
            0 => Some(None),
            _ => self.text().map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back_and_nothing_else_does() {
        let bytes = Pack::default().number(0).number(u64::MAX).text("ä").maybe_text(None).maybe_text(Some("x")).take();
        let mut unpack = Unpack::new(&bytes);
        assert_eq!(unpack.number(), Some(0));
        assert_eq!(unpack.number(), Some(u64::MAX));
        assert_eq!(unpack.text().as_deref(), Some("ä"));
        assert_eq!(unpack.maybe_text(), Some(None));
        assert_eq!(unpack.maybe_text(), Some(Some("x".to_owned())));
        assert_eq!(unpack.number(), None);
        assert_eq!(Unpack::new(&[5, 1]).bytes(), None);
        assert_eq!(Unpack::new(&[0xff; 11]).number(), None);
    }
}
