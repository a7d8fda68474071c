//! What can be told of a script from its text.

/// What is known of a script before it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// It reads KEYS and ARGV and does nothing else with them: their tables may serve the next script too.
    pub reads_arguments_only: bool,
}

/// Looks through a script.
pub(crate) fn scan(_source: &[u8]) -> Shape {
    Shape::default()
}
