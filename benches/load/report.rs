//! Tables for people, JSON for programs.

use serde_json::{Map, Value, json};

use super::plan::Plan;

/// What was measured so far.
pub struct Report {
    json: Option<std::path::PathBuf>,
    parts: Map<String, Value>,
}

impl Report {
    pub fn new(plan: &Plan) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        println!("{cores} cores; medians of {} rounds of {:?}, variants interleaved", plan.rounds, plan.window);
        if plan.quick {
            println!("quick: a proof that it runs; the figures say nothing");
        }
        let mut parts = Map::new();
        parts.insert("cores".to_owned(), json!(cores));
        parts.insert("rounds".to_owned(), json!(plan.rounds));
        parts.insert("quick".to_owned(), json!(plan.quick));
        Self { json: plan.json.clone(), parts }
    }

    /// Adds a table: the name of its first column and of the others, and a row of figures for each name.
    pub fn table(&mut self, part: &str, columns: &[&str], rows: &[(String, Vec<f64>)]) {
        println!("\n## {part}\n");
        let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max(columns[0].len());
        print!("| {:width$} |", columns[0]);
        columns[1..].iter().for_each(|column| print!(" {column:>12} |"));
        print!("\n|{}|", "-".repeat(width + 2));
        columns[1..].iter().for_each(|column| print!("{}:|", "-".repeat(column.len().max(12) + 1)));
        println!();
        for (name, figures) in rows {
            print!("| {name:width$} |");
            for (column, figure) in columns[1..].iter().zip(figures) {
                let width = column.len().max(12);
                let text = match figure {
                    figure if figure.is_nan() => "-".to_owned(),
                    figure if figure.abs() >= 1000.0 => format!("{figure:.0}"),
                    figure if figure.abs() >= 10.0 => format!("{figure:.1}"),
                    figure => format!("{figure:.2}"),
                };
                print!(" {text:>width$} |");
            }
            println!();
        }
        let rows: Vec<Value> = rows
            .iter()
            .map(|(name, figures)| {
                let mut row = Map::new();
                row.insert(columns[0].to_owned(), json!(name));
                row.extend(
                    columns[1..].iter().zip(figures).map(|(column, figure)| ((*column).to_owned(), json!(figure))),
                );
                Value::Object(row)
            })
            .collect();
        self.parts.insert(part.to_owned(), Value::Array(rows));
    }

    /// Writes the JSON.
    pub fn finish(self) {
        if let Some(path) = self.json {
            std::fs::write(path, format!("{:#}\n", Value::Object(self.parts))).unwrap();
        }
    }
}

/// The value in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
    }
}

/// Bytes.
pub const MIB: f64 = 1_048_576.0;
