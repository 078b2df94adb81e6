//! Every room's errors under one roof.
