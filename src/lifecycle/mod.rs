//! The verbs: create, remove, start, stop, recover. The only place where the rooms below meet.
