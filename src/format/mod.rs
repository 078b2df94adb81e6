//! qubes.xml ⇄ model: an index of where each domain lies, a reader on demand, a writer that copies untouched spans.
