//! A socket that another user puts in place of the memory manager's is not used.

use std::os::unix::fs::chown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::unistd::geteuid;
use qubes::hypervisor::qmemman::{MemoryReply, request_memory};
use qubes_test_support::skip;

#[test]
fn the_memory_managers_socket_is_not_used_if_another_user_owns_it() {
    if !geteuid().is_root() {
        return skip("giving a socket to another user needs root");
    }
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("qmemman.sock");
    // The socket never answers.
    let _listener = UnixListener::bind(&path).unwrap();
    chown(&path, Some(65534), None).unwrap();
    let (send, receive) = mpsc::channel();
    let socket = path.clone();
    thread::spawn(move || send.send(request_memory(&socket, 1)));
    let room = receive
        .recv_timeout(Duration::from_secs(20))
        .expect("it waits")
        .unwrap();
    assert!(
        matches!(room, MemoryReply::UntrustedSocket(whose) if whose == "it belongs to user 65534")
    );
    assert!(UnixStream::connect(&path).is_ok());

    // A file that is not a socket is not used either.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "").unwrap();
    assert!(matches!(
        request_memory(&path, 1).unwrap(),
        MemoryReply::UntrustedSocket(_)
    ));
}
