//! The only place that runs another program.
