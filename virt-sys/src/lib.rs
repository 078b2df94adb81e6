//! libvirt behind a late-opened library.
