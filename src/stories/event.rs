//! What a story says while it runs: a closed set, rendered by the command line only.

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A step with this many parts begins; 0 where the number is not known.
    Begin {
        /// The step, as a sentence begins: "reading build output".
        step: &'static str,
        /// How many parts.
        parts: usize,
    },
    /// One part of the step is done.
    Part {
        /// The part's name, such as a file.
        name: String,
    },
    /// The step is done.
    End,
    /// Worth a line where the user asked for details.
    Detail(String),
    /// Something a person should know although nothing failed.
    Warning(String),
}

/// Who listens to a story.
pub type Listener<'a> = &'a (dyn Fn(Event) + Sync);

/// Who listens to a story that runs on many threads for as long as it is wanted.
pub type SharedListener = std::sync::Arc<dyn Fn(Event) + Send + Sync>;
