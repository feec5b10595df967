//! Licences: SPDX expressions where they are ones, else names.

/// What is known of a licence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Licence {
    /// Nothing.
    Unknown,
    /// A valid SPDX expression.
    Expression(String),
    /// Something else, as its source has it.
    Name(String),
}

impl Licence {
    pub(crate) fn of(text: Option<&str>) -> Self {
        match text.map(str::trim).filter(|text| !text.is_empty()) {
            None => Self::Unknown,
            Some(text) if ::spdx::Expression::parse(text).is_ok() => Self::Expression(text.to_owned()),
            Some(text) => Self::Name(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_spdx_knows_is_an_expression() {
        for text in ["MIT", "GPL-2.0-only", "Apache-2.0 OR MIT", "BSD-3-Clause AND MIT"] {
            assert_eq!(Licence::of(Some(text)), Licence::Expression(text.into()));
        }
        for text in ["custom", "MIT BSD GPL2+", "MPL-2.0 GPL-2.0-or-later"] {
            assert_eq!(Licence::of(Some(text)), Licence::Name(text.into()));
        }
        assert_eq!(Licence::of(Some(" ")), Licence::Unknown);
    }
}
