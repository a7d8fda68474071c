//! What a check has found, whatever was looked at.

use crate::tools::json::Json;
use crate::tools::table::Table;
use aof::Lsn;
use stdx::UnixMs;

/// All that was found.
pub(super) struct Findings {
    /// What was named on the command line.
    pub(super) path: String,
    /// What that is.
    pub(super) kind: &'static str,
    pub(super) rows: Vec<Finding>,
    /// Sentences for people.
    pub(super) remarks: Vec<String>,
    /// What a program reads instead of some of the sentences.
    pub(super) more: Vec<(&'static str, Json)>,
    /// The exit code.
    pub(super) code: u8,
}

/// One thing that was looked at.
pub(super) struct Finding {
    pub(super) what: String,
    pub(super) time: Option<UnixMs>,
    /// How many of what.
    pub(super) count: Option<(u64, &'static str)>,
    pub(super) bytes: u64,
    pub(super) lsns: Option<(Lsn, Lsn)>,
    pub(super) verdict: Verdict,
}

/// Whether it is what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Whole,
    /// An attempt that came to no end and promises nothing.
    Unfinished,
    /// A set that was put into quarantine where it is.
    Aside,
    /// Something is behind its end that a crash may leave.
    Torn,
    Damaged,
}

pub(super) struct Verdict {
    pub(super) state: State,
    /// What is there to say besides; may be empty.
    pub(super) text: String,
    /// What a server would end with; 0 if it would not.
    pub(super) code: u8,
}

impl Verdict {
    pub(super) fn whole() -> Self {
        Self { state: State::Whole, text: String::new(), code: 0 }
    }

    pub(super) fn damaged(text: String, code: u8) -> Self {
        Self { state: State::Damaged, text, code }
    }

    fn line(&self) -> String {
        let word = self.state.word();
        if self.text.is_empty() { word.to_owned() } else { format!("{word}: {}", self.text) }
    }
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Unfinished => "unfinished",
            Self::Aside => "aside",
            Self::Torn => "torn",
            Self::Damaged => "damaged",
        }
    }
}

impl Finding {
    fn json(&self) -> Json {
        let mut fields = vec![
            ("what", Json::from(self.what.as_str())),
            ("bytes", Json::from(self.bytes)),
            ("verdict", Json::from(self.verdict.state.word())),
        ];
        if let Some(time) = self.time {
            fields.push(("time_ms", Json::Number(time.0)));
        }
        if let Some((count, of)) = self.count {
            fields.push((of, Json::from(count)));
        }
        if let Some((from, to)) = self.lsns {
            fields.push(("lsns", Json::List(vec![Json::from(from.0), Json::from(to.0)])));
        }
        if !self.verdict.text.is_empty() {
            fields.push(("reason", Json::from(self.verdict.text.as_str())));
        }
        if self.verdict.code != 0 {
            fields.push(("code", Json::from(u64::from(self.verdict.code))));
        }
        Json::Object(fields)
    }
}

impl Findings {
    /// For people: a table, and what is to be said besides.
    pub(super) fn text(&self) -> String {
        let mut table = Table::new(&["what", "time", "count", "bytes", "LSNs", "verdict"]);
        for row in &self.rows {
            table.row(vec![
                row.what.clone(),
                row.time.map(stdx::utc).unwrap_or_default(),
                row.count.map(|(count, of)| format!("{count} {of}")).unwrap_or_default(),
                row.bytes.to_string(),
                row.lsns.map(|(from, to)| format!("{from} to {to}")).unwrap_or_default(),
                row.verdict.line(),
            ]);
        }
        let mut text = format!("{}: {}\n", self.path, self.kind);
        if !self.rows.is_empty() {
            text.push('\n');
            text.push_str(&table.text());
            text.push('\n');
        }
        for remark in &self.remarks {
            text.push_str(remark);
            text.push('\n');
        }
        text
    }

    /// For programs: one object.
    pub(super) fn json(self) -> String {
        let mut fields = vec![
            ("path", Json::from(self.path.as_str())),
            ("kind", Json::from(self.kind)),
            ("code", Json::from(u64::from(self.code))),
            ("items", Json::List(self.rows.iter().map(Finding::json).collect())),
            ("remarks", Json::List(self.remarks.iter().map(|remark| Json::from(remark.as_str())).collect())),
        ];
        fields.extend(self.more);
        Json::Object(fields).text()
    }
}
