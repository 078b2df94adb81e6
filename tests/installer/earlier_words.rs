//! The words of R3's tools: abbreviations, orders of arguments, names and values.
