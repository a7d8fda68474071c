//! Rows under each other.

/// A table of text; its last column is as wide as it likes.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these heads.
    pub(super) fn new(heads: &[&str]) -> Self {
        Self { rows: vec![heads.iter().map(|head| (*head).to_owned()).collect()] }
    }

    /// One more row, with as many cells as there are heads.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.rows[0].len(), "a cell for each head");
        self.rows.push(cells);
    }

    /// All rows, columns that are empty in all of them left out, numbers to the right.
    pub(super) fn text(&self) -> String {
        let columns = self.rows[0].len();
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let is_used = |column: usize| self.rows[1..].iter().any(|row| !row[column].is_empty());
        let used: Vec<(usize, usize)> =
            (0..columns).filter(|column| is_used(*column)).map(|column| (column, width(column))).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, width) in &used {
                let cell = &row[*column];
                let pad = " ".repeat(width - cell.chars().count());
                let is_number = cell.starts_with(|first: char| first.is_ascii_digit());
                let is_right = is_number && *column + 1 < columns;
                line.push_str(&if is_right { format!("{pad}{cell}  ") } else { format!("{cell}{pad}  ") });
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_and_empty_ones_are_left_out() {
        let mut table = Table::new(&["what", "gone", "bytes", "verdict"]);
        table.row(vec!["a".into(), String::new(), "5".into(), "whole".into()]);
        table.row(vec!["a long name".into(), String::new(), "12345678".into(), "torn: as it is".into()]);
        assert_eq!(
            table.text(),
            "what         bytes     verdict\n\
             a                   5  whole\n\
             a long name  12345678  torn: as it is\n"
        );
    }
}
