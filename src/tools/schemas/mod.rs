//! JSON Schemas (2020-12) of everything that the tools print as JSON. `qubes generate` writes them
//! to `docs/schemas/`; `docs/json.md` says what stays compatible.

mod listings;
mod row;
mod storage;
mod store;
pub(super) mod types;

use row::Row;
pub use row::Schema;

/// Returns every schema.
pub fn all() -> Vec<Schema> {
    let tables: [&[Row]; 3] = [&listings::ROWS, &storage::ROWS, &store::ROWS];
    tables.into_iter().flatten().map(Row::schema).collect()
}
