//! One file per command: its arguments, its glue, its output.
